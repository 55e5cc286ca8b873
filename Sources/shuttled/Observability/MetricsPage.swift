// Owns the order of what `/metrics` prints. Pure, since it may take long and then runs beside everything else.
// Leaves to others: gathering (MetricsReading, ProcessReading), the metrics themselves.

import ShuttleEngine

enum MetricsPage {
    /// Every family that is ever printed; of histograms the name without suffix.
    static var families: [MetricFamily] {
        ProcessMetrics.all.map(\.family) + [ProcessMetrics.build, ProcessMetrics.accessLog]
            + RingMetrics.all.map(\.family) + [RingMetrics.stalled]
            + ServiceMetrics.all.map(\.family) + SessionMetrics.all.map(\.family) + BackendMetrics.all.map(\.family)
    }

    /// Services and backends that are printed: what it costs grows with them.
    static func objectCount(_ reading: MetricsReading) -> Int {
        reading.services.reduce(0) { $0 + 6 + $1.backends.count }
    }

    static func bytes(_ reading: MetricsReading, _ process: ProcessReading, version: String) -> [UInt8] {
        let services = reading.services.map {
            (labels: MetricsText.label("service", $0.configuration.name), object: $0)
        }
        let backends = services.flatMap { labels, service in
            service.backends.map { backend in
                (labels: labels + "," + MetricsText.label("backend", backend.configuration.name), object: backend)
            }
        }
        let ended = reading.distributions.count { $0 != nil }
        var text = MetricsText(
            capacity: 8192 + services.count * 3000 + ended * 8000 + backends.count * 1600)
        for metric in ProcessMetrics.all { text.metric(metric, of: [(labels: "", object: process)]) }
        text.begin(ProcessMetrics.build)
        text.sample(ProcessMetrics.build.name, .whole(1), labels: MetricsText.label("version", version))
        text.begin(ProcessMetrics.accessLog)
        for (outcome, count) in [
            ("written", reading.accessLog.written), ("overrun", reading.accessLog.overrun),
            ("failed", reading.accessLog.failed),
        ] {
            text.sample(
                ProcessMetrics.accessLog.name, .whole(count), labels: MetricsText.label("outcome", outcome))
        }
        let rings = reading.rings.map { (labels: "ring=\"\($0.index)\"", object: $0) }
        for metric in RingMetrics.all { text.metric(metric, of: rings) }
        text.begin(RingMetrics.stalled)
        for ring in reading.rings {
            text.sample(
                RingMetrics.stalled.name, .whole(reading.stalledRings.contains(ring.index) ? 1 : 0),
                labels: "ring=\"\(ring.index)\"")
        }
        for metric in ServiceMetrics.all { text.metric(metric, of: services) }
        for metric in SessionMetrics.all {
            text.begin(metric.family)
            for (service, distributions) in zip(services, reading.distributions) {
                guard let distribution = distributions.map(metric.distribution), distribution.count > 0 else {
                    continue
                }
                text.histogram(
                    metric.family.name, service.labels, distribution, bounds: metric.bounds, unit: metric.unit)
            }
        }
        for metric in BackendMetrics.all { text.metric(metric, of: backends) }
        return text.bytes
    }
}

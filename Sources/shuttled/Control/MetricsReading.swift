// Owns what is read for one answer of `/metrics`, at one moment and on the control loop; printing it needs neither.
// Leaves to others: names and form of metrics (Observability), counting (the engine).

import ShuttleEngine

/// Everything that is counted, as of one moment.
struct MetricsReading: Sendable {
    /// In the order of the configuration.
    var services: [ServiceReport]
    /// Of each service; nil where no session has ended yet.
    var distributions: [SessionDistributions?]
    var rings: [RingStatistics]
    /// Rings that have made no turn for too long.
    var stalledRings: [Int] = []
    var accessLog = AccessLogCounts.Values()
}

extension ControlPlane {
    func metrics(_ bounds: DistributionBounds) -> MetricsReading {
        MetricsReading(
            services: statistics().services, distributions: dataPlane.sessionDistributions(bounds),
            rings: dataPlane.ringStatistics(), stalledRings: stalledRings, accessLog: accessLogCounts.values)
    }
}

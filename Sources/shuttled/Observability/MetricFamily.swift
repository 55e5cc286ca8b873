// Owns what a metric is, and the text exposition format 0.0.4 of Prometheus in which metrics are printed.
// Leaves to others: which metrics there are (ServiceMetrics, BackendMetrics, …).

import ShuttleEngine

/// Samples of one name, with the same meaning and unit.
struct MetricFamily: Sendable {
    enum Kind: String, Sendable {
        case counter
        case gauge
        case histogram
    }

    let name: String
    let kind: Kind
    /// One sentence without line breaks and backslashes.
    let help: String

    init(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        self.kind = kind
        self.help = help
    }
}

/// The value of a sample.
enum MetricValue: Equatable {
    case whole(UInt64)
    case real(Double)

    static func count(_ number: Int) -> MetricValue { .whole(UInt64(max(0, number))) }
    static func flag(_ isSet: Bool) -> MetricValue { .whole(isSet ? 1 : 0) }
}

/// What is measured of each of many objects: a family, and its samples of one object by the labels that tell them apart.
struct Metric<Object>: Sendable {
    struct Sample: Sendable {
        /// Such as `direction="sent"`; empty where there is only one.
        let labels: String
        /// Nil where the object has none.
        let value: @Sendable (Object) -> MetricValue?
    }

    let family: MetricFamily
    let samples: [Sample]

    init(
        _ name: String, _ kind: MetricFamily.Kind, _ help: String, _ value: @escaping @Sendable (Object) -> MetricValue?
    ) {
        family = MetricFamily(name, kind, help)
        samples = [Sample(labels: "", value: value)]
    }

    /// With one label whose values tell samples apart.
    init(
        _ name: String, _ kind: MetricFamily.Kind, _ help: String, by label: String,
        _ values: KeyValuePairs<String, @Sendable (Object) -> MetricValue?>
    ) {
        family = MetricFamily(name, kind, help)
        samples = values.map { Sample(labels: "\(label)=\"\($0.key)\"", value: $0.value) }
    }
}

/// Metrics as text.
struct MetricsText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private(set) var bytes: [UInt8] = []

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    mutating func begin(_ family: MetricFamily) {
        append("# HELP ")
        append(family.name)
        append(" ")
        append(family.help)
        append("\n# TYPE ")
        append(family.name)
        append(" ")
        append(family.kind.rawValue)
        append("\n")
    }

    /// `labels` and `further` are lists of `name="value"`, each empty or not.
    mutating func sample(
        _ name: String, suffix: String = "", _ value: MetricValue, labels: String = "", further: String = ""
    ) {
        append(name)
        append(suffix)
        if !labels.isEmpty || !further.isEmpty {
            append("{")
            append(labels)
            if !labels.isEmpty, !further.isEmpty { append(",") }
            append(further)
            append("}")
        }
        append(" ")
        switch value {
        case .whole(let number): append("\(number)")
        case .real(let number): append("\(number)")
        }
        append("\n")
    }

    /// The samples of a metric, of all objects.
    mutating func metric<Object>(_ metric: Metric<Object>, of objects: [(labels: String, object: Object)]) {
        begin(metric.family)
        for (labels, object) in objects {
            for sample in metric.samples {
                guard let value = sample.value(object) else { continue }
                self.sample(metric.family.name, value, labels: labels, further: sample.labels)
            }
        }
    }

    /// The buckets, sum and count of a histogram, whose bounds are printed as `bounds`.
    mutating func histogram(
        _ name: String, _ labels: String, _ distribution: MagnitudeDistribution, bounds: [String], unit: Double
    ) {
        for (bound, count) in zip(bounds, distribution.cumulative) {
            sample(name, suffix: "_bucket", .whole(count), labels: labels, further: bound)
        }
        sample(name, suffix: "_bucket", .whole(distribution.count), labels: labels, further: "le=\"+Inf\"")
        let sum: MetricValue = unit == 1 ? .whole(distribution.sum) : .real(Double(distribution.sum) * unit)
        sample(name, suffix: "_sum", sum, labels: labels)
        sample(name, suffix: "_count", .whole(distribution.count), labels: labels)
    }

    /// A label with a value that may be anything.
    static func label(_ name: String, _ value: String) -> String {
        var escaped = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return "\(name)=\"\(escaped)\""
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }
}

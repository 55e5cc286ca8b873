// Owns the values that limit the bytes a second of a service's sessions, or of all of them together.
// Leaves to others: pacing (Balancing/ByteRate), what sessions share (Balancing/ServiceBandwidth).

/// Bytes a second in each direction; 0 means no limit.
public struct BandwidthConfiguration: Equatable, Hashable, Sendable {
    /// From clients to backends.
    public var uploadBytesPerSecond = 0
    /// From backends to clients.
    public var downloadBytesPerSecond = 0

    public init() {}
}

extension ServiceConfiguration {
    /// Whether any limit of bandwidth is set.
    var limitsBandwidth: Bool { bandwidth != .blank || serviceBandwidth != .blank }

    /// Whether the sessions of this service that are there must learn of other limits.
    func changesBandwidth(of previous: ServiceConfiguration) -> Bool {
        bandwidth != previous.bandwidth || serviceBandwidth != previous.serviceBandwidth
    }
}

extension BandwidthConfiguration: ConfigurationObject {
    public static let objectName = "bandwidth limit object"

    public static let fields: [ConfigurationField<BandwidthConfiguration>] = [
        .init("upload", .integer(\.uploadBytesPerSecond, ConfigurationRanges.bytesPerSecond), .always),
        .init("download", .integer(\.downloadBytesPerSecond, ConfigurationRanges.bytesPerSecond), .always),
    ]

    public static let rules: [ConfigurationRule<BandwidthConfiguration>] = [
        .init("upload") { problem(with: $0.uploadBytesPerSecond, "upload") },
        .init("download") { problem(with: $0.downloadBytesPerSecond, "download") },
    ]

    private static func problem(with value: Int, _ field: String) -> String? {
        let least = ConfigurationRanges.bytesPerSecondMin
        guard value > 0, value < least else { return nil }
        return
            "\"\(field)\" is \(value), at which a session would stand still; it must be \(least) (bytes a second) at "
            + "least, or 0 for no limit"
    }

    public static let blank = BandwidthConfiguration()
}

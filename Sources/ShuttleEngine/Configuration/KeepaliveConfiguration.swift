// Owns the values that the kernel's keepalive of a service's connections is configured with.

/// How the kernel probes peers that are silent.
public struct KeepaliveConfiguration: Equatable, Hashable, Sendable {
    /// Silence in milliseconds before the first probe, whole seconds; 0 means no probes.
    public var idleMilliseconds = ConfigurationDefaults.keepaliveIdleMilliseconds
    /// Milliseconds between probes, whole seconds.
    public var intervalMilliseconds = ConfigurationDefaults.keepaliveIntervalMilliseconds
    /// Probes without an answer after which the connection is dead.
    public var count = ConfigurationDefaults.keepaliveCount

    public init() {}
}

extension KeepaliveConfiguration: ConfigurationObject {
    public static let objectName = "keepalive object"

    /// All three are printed where one is not its default: they are read together.
    public static let fields: [ConfigurationField<KeepaliveConfiguration>] = [
        .init("idle", .milliseconds(\.idleMilliseconds, ConfigurationRanges.keepaliveIdleMilliseconds), .always),
        .init(
            "interval",
            .milliseconds(\.intervalMilliseconds, ConfigurationRanges.keepaliveIntervalMilliseconds),
            .always
        ),
        .init("count", .integer(\.count, ConfigurationRanges.keepaliveCount), .always),
    ]

    public static let rules: [ConfigurationRule<KeepaliveConfiguration>] = [
        .init("idle") { problem(withPartOfASecond: $0.idleMilliseconds, "idle") },
        .init("interval") { problem(withPartOfASecond: $0.intervalMilliseconds, "interval") },
    ]

    private static func problem(withPartOfASecond milliseconds: Int, _ field: String) -> String? {
        if milliseconds % 1000 == 0 { return nil }
        let below = milliseconds / 1000 * 1000
        let nearest = below == 0 ? "1000" : "\(below) or \(below + 1000)"
        return
            "\"\(field)\" is \(milliseconds); the kernel counts whole seconds here, so it must be a multiple of 1000 "
            + "(milliseconds), such as \(nearest)"
    }

    public static let blank = KeepaliveConfiguration()
}

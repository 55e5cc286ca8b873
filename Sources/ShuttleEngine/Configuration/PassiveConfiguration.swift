// Owns the values that decide when failures of real traffic take a backend out.
// Leaves to others: counting them and deciding (Balancing/PassiveEjection).

/// How many failures within which time take a backend out, and for how long.
public struct PassiveConfiguration: Equatable, Hashable, Sendable {
    /// Within `windowMilliseconds`; 0 means that failures take nothing out.
    public var failures = ConfigurationDefaults.passiveFailures
    public var windowMilliseconds = ConfigurationDefaults.passiveWindowMilliseconds
    /// Without active checks; with them a good check brings the backend back.
    public var downTimeMilliseconds = ConfigurationDefaults.passiveDownTimeMilliseconds

    public init() {}
}

extension PassiveConfiguration: ConfigurationObject {
    public static let objectName = "passive object"

    public static let fields: [ConfigurationField<PassiveConfiguration>] = [
        .init("failures", .integer(\.failures, ConfigurationRanges.passiveFailures), .always),
        .init(
            "window", .milliseconds(\.windowMilliseconds, ConfigurationRanges.passiveTimeMilliseconds), .always
        ),
        .init(
            "down_time", .milliseconds(\.downTimeMilliseconds, ConfigurationRanges.passiveTimeMilliseconds), .always
        ),
    ]

    public static let blank = PassiveConfiguration()
}

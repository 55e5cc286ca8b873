// Owns the values that say which of a service's sessions the access log is to have.
// Leaves to others: choosing them (Worker+Record), writing the log (shuttled).

/// Which sessions are logged when they have ended.
public struct AccessLogConfiguration: Equatable, Hashable, Sendable {
    /// One of so many, drawn by chance; 1 for every one.
    public var oneIn = ConfigurationDefaults.accessLogOneIn

    public init() {}
}

extension AccessLogConfiguration: ConfigurationObject {
    public static let objectName = "access_log object"

    public static let fields: [ConfigurationField<AccessLogConfiguration>] = [
        .init("one_in", .integer(\.oneIn, ConfigurationRanges.accessLogOneIn), .always)
    ]

    public static let blank = AccessLogConfiguration()
}

// Owns the defaults and ranges of configuration fields: one definition for decoding, validation and documentation.

/// Values of fields that a configuration leaves out.
public enum ConfigurationDefaults {
    public static let checkIntervalMilliseconds = 2000
    public static let fall = 2
    public static let rise = 2
    public static let connectTimeoutMilliseconds = 5000
    public static let weight = 1
    public static let retries = 2
    public static let passiveFailures = 5
    public static let passiveWindowMilliseconds = 10_000
    public static let passiveDownTimeMilliseconds = 10_000
    public static let keepaliveIdleMilliseconds = 60_000
    public static let keepaliveIntervalMilliseconds = 10_000
    public static let keepaliveCount = 6
    public static let udpIdleTimeoutMilliseconds = 60_000
    /// Below the ports that one source address has (28,232 by default).
    public static let udpSessionsMax = 16_384
    public static let prereadTimeoutMilliseconds = 5000
    public static let prereadLimitBytes = 16_384
    /// Owner and group, as of the admin endpoint's socket: who else may connect is for the operator to say.
    public static let socketMode = "0660"
    public static let accessLogOneIn = 1
    public static let checkPath = "/"
    public static let checkStatus = "200-399"
    public static let checkTimeoutMilliseconds = 5000
}

/// Ranges of fields and sizes; every bound of the configuration has its name here.
public enum ConfigurationRanges {
    /// A day: longer timeouts are better said as 0 (none).
    public static let timeoutMilliseconds = 0...86_400_000
    /// A connect must end some day: 0 is not allowed.
    public static let connectTimeoutMilliseconds = 1...3_600_000
    public static let checkIntervalMilliseconds = 0...86_400_000
    /// 0 means by the time to live of the answers; between it and `resolveIntervalMillisecondsMin` there is nothing.
    public static let resolveIntervalMilliseconds = 0...86_400_000
    public static let resolveIntervalMillisecondsMin = 1000
    /// Thirty days: what may live longer need not be limited.
    public static let maxLifetimeMilliseconds = 0...2_592_000_000
    public static let percent = 0...100
    /// The kernel takes up to 32767 seconds and 127 probes, tcp(7).
    public static let keepaliveIdleMilliseconds = 0...32_767_000
    public static let keepaliveIntervalMilliseconds = 1000...32_767_000
    public static let keepaliveCount = 1...127
    /// Each widens the port range by its own.
    public static let sourceAddressesMax = 64
    /// Of each of the lists of networks: compiled to at most 20,001 numbers a family.
    public static let accessEntriesMax = 10_000
    /// Tokens come at whole nanoseconds: beyond a million a second that would be far from what was asked for.
    public static let connectionsPerSecond = 1...1_000_000
    public static let rateLimitBurst = 1...1_000_000
    public static let accessLogOneIn = 1...1_000_000
    /// 0 is no limit; between it and `bytesPerSecondMin` there is nothing.
    public static let bytesPerSecond = 0...100_000_000_000
    public static let bytesPerSecondMin = 1024
    public static let checksInARow = 1...1000
    public static let checkTimeoutMilliseconds = 1...3_600_000
    /// Bytes that a check sends, and bytes that it expects.
    public static let checkBytes = 0...4096
    public static let checkPathLength = 1...1024
    /// Of a host that a check names: as long as a name in DNS may be.
    public static let checkNameLength = 1...253
    public static let weight = 0...256
    /// More than any process may have open; 0 is no limit.
    public static let connectionsMax = 0...1_000_000_000
    /// A session remembers each backend it has tried.
    public static let retries = 0...7
    public static let retryTimeoutMilliseconds = 0...3_600_000
    public static let passiveFailures = 0...1_000_000
    public static let passiveTimeMilliseconds = 1...86_400_000
    /// Each has a few bytes of memory, which is touched when it is used.
    public static let queueLimit = 0...1_000_000
    /// A session must end some day: 0 is not allowed.
    public static let udpIdleTimeoutMilliseconds = 1...86_400_000
    public static let udpSessionsMax = 1...1_000_000
    public static let udpDatagrams = 0...1_000_000
    /// What is read first must come some day.
    public static let prereadTimeoutMilliseconds = 1...3_600_000
    /// From what a PROXY header needs at most but for its extensions, up to a receive buffer.
    public static let prereadLimitBytes = 256...16_384
    public static let routesPerService = 1024
    public static let namesPerRoute = 1024
    public static let protocolsPerRoute = 16
    public static let nameLength = 1...128
    public static let port = 1...65535
    public static let backendsPerService = 0...4096
    public static let services = 0...16384
}

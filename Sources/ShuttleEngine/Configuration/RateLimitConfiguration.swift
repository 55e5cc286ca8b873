// Owns the values that limit how fast connections come in to a service.
// Leaves to others: counting them and deciding (Balancing/RateRule, Balancing/RateLimiter).

/// Whose connections share one rate.
public enum RateLimitScope: String, Sendable, CaseIterable, Hashable {
    case service
    /// Those from one client address, whatever its port.
    case client
}

/// What happens to a connection that comes too early.
public enum RateLimitAction: String, Sendable, CaseIterable, Hashable {
    /// It is closed at once.
    case refuse
    /// It waits until it is in time, where that is not too long.
    case delay
}

/// Tokens that come at a steady rate, one for each connection, and how many may be saved up.
public struct RateLimitConfiguration: Equatable, Hashable, Sendable {
    /// Connections a second in the long run.
    public var perSecond = 0
    /// Connections that may come at once when none has come for a while.
    public var burst = 0
    public var scope = RateLimitScope.service
    public var action = RateLimitAction.refuse

    public init() {}
}

extension RateLimitConfiguration: ConfigurationObject {
    public static let objectName = "rate_limit object"

    public static let fields: [ConfigurationField<RateLimitConfiguration>] = [
        .init("per_second", .integer(\.perSecond, ConfigurationRanges.connectionsPerSecond), .required),
        .init("burst", .integer(\.burst, ConfigurationRanges.rateLimitBurst), .required),
        .init("per", .choice(\.scope), .always),
        .init("action", .choice(\.action), .always),
    ]

    public static let blank = RateLimitConfiguration()
}

// Owns the combinations of fields that make no sense together, and saying why.
// Leaves to others: what one field may be (ConfigurationObject), running the rules (ConfigurationValidator).

/// A combination of fields that is refused.
public struct ConfigurationRule<Object>: Sendable {
    /// The fields it is about. The issue is with the first of them; where one could not be used, nothing is said of how
    /// they go together.
    let fields: [String]
    /// Why the combination is impossible and the remedy, as one sentence; nil where it is none.
    let problem: @Sendable (Object) -> String?

    init(_ fields: String..., problem: @escaping @Sendable (Object) -> String?) {
        self.fields = fields
        self.problem = problem
    }
}

extension ServiceConfiguration {
    /// Of the service's own fields: a backend can be changed by itself, and is then checked by itself.
    public static let rules: [ConfigurationRule<ServiceConfiguration>] = [
        ConfigurationRule("resolve_interval") { service in
            let interval = service.resolveIntervalMilliseconds
            let least = ConfigurationRanges.resolveIntervalMillisecondsMin
            guard interval > 0, interval < least else {
                return nil
            }
            return "\"resolve_interval\" is \(interval), which would ask DNS servers too often; it must be \(least) "
                + "(milliseconds) at least, or 0 for the time to live of their answers"
        },
        .init("half_close_timeout", "half_close") { service in
            service.halfCloseTimeoutMilliseconds == 0 || service.halfClose
                ? nil
                : "\"half_close_timeout\" is \(service.halfCloseTimeoutMilliseconds) and \"half_close\" is false, which "
                    + "leaves no direction to time; leave one of them out"
        },
        .init("max_lifetime_jitter", "max_lifetime") { service in
            service.maxLifetimeJitterPercent == 0 || service.maxLifetimeMilliseconds > 0
                ? nil
                : "\"max_lifetime_jitter\" is \(service.maxLifetimeJitterPercent) without a \"max_lifetime\" to lengthen; "
                    + "give one, or leave the jitter out"
        },
    ]
}

extension BackendConfiguration {
    public static let rules: [ConfigurationRule<BackendConfiguration>] = [
        ConfigurationRule("check_address", "address") { $0.checkAddressProblem }
    ]
}

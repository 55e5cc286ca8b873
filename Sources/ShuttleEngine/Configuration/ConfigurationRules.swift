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
    /// Checked as well when a backend is changed by itself, since they may be about what its backends have.
    public static let rules: [ConfigurationRule<ServiceConfiguration>] =
        networkRules + poolRules + [
            ConfigurationRule("resolve_interval") { service in
                let interval = service.resolveIntervalMilliseconds
                let least = ConfigurationRanges.resolveIntervalMillisecondsMin
                guard interval > 0, interval < least else {
                    return nil
                }
                return
                    "\"resolve_interval\" is \(interval), which would ask DNS servers too often; it must be \(least) "
                    + "(milliseconds) at least, or 0 for the time to live of their answers"
            },
            ConfigurationRule("queue_limit", "max_connections") { service in
                guard service.queueLimit > 0, !service.isAnyPlaceLimited else { return nil }
                return
                    "\"queue_limit\" is \(service.queueLimit), but nobody would ever wait: neither the service nor any of "
                    + "its backends has \"max_connections\"; set one, or leave \"queue_limit\" out"
            },
            ConfigurationRule("queue_timeout", "queue_limit") { service in
                guard service.queueTimeoutMilliseconds > 0, service.queueLimit == 0 else { return nil }
                return "\"queue_timeout\" is \(service.queueTimeoutMilliseconds), but the service has no queue; "
                    + "set \"queue_limit\", or leave \"queue_timeout\" out"
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
            ConfigurationRule("preread_timeout", "proxy_protocol_accept", "routes") { service in
                guard service.prereadTimeoutMilliseconds != ConfigurationDefaults.prereadTimeoutMilliseconds else {
                    return nil
                }
                return service.prereadProblem("preread_timeout", service.prereadTimeoutMilliseconds)
            },
            ConfigurationRule("preread_limit", "proxy_protocol_accept", "routes") { service in
                guard service.prereadLimitBytes != ConfigurationDefaults.prereadLimitBytes else { return nil }
                return service.prereadProblem("preread_limit", service.prereadLimitBytes)
            },
        ] + unixRules

    private static let poolRules: [ConfigurationRule<ServiceConfiguration>] = [
        ConfigurationRule("address", "network") { service in
            guard service.isPool, service.network == .udp else { return nil }
            return
                "\"address\" is empty, so only routes lead here, and they lead TLS clients, which speak TCP; give an "
                + "address, or leave \"network\" out"
        },
        ConfigurationRule("address", "proxy_protocol_accept", "routes") { service in
            guard service.isPool, service.prereads else { return nil }
            let field = service.proxyProtocolAccept ? "proxy_protocol_accept" : "routes"
            return "\"address\" is empty, so only routes lead here, and what they have read is not read again; leave "
                + "\"\(field)\" out, or give an address"
        },
        ConfigurationRule("routes") { service in
            guard let (first, second, name) = service.ambiguousRoutes else { return nil }
            let clients = name.isEmpty ? "clients of any name" : "clients of \(Quoted(name))"
            return "\"routes\" has \(clients) at \(first) and at \(second) with no \"alpn\" to tell them apart; leave "
                + "one of them out"
        },
    ]

    /// Whether anything is read of a client before its backend is chosen.
    public var prereads: Bool { proxyProtocolAccept || !routes.isEmpty }

    private func prereadProblem(_ field: String, _ value: Int) -> String? {
        prereads
            ? nil
            : "\"\(field)\" is \(value), but nothing is read before a backend is chosen; set "
                + "\"proxy_protocol_accept\" or \"routes\", or leave \"\(field)\" out"
    }

    /// The sessions of the service, or those of one of its backends, are limited.
    private var isAnyPlaceLimited: Bool { connectionsMax > 0 || backends.contains { $0.connectionsMax > 0 } }
}

extension BackendConfiguration {
    public static let rules: [ConfigurationRule<BackendConfiguration>] = [
        ConfigurationRule("check_address", "address") { $0.checkAddressProblem }
    ]
}

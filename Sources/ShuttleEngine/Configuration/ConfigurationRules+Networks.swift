// Owns which fields of a service have a meaning in which network, and saying why one has none.
// Leaves to others: combinations within one network (ConfigurationRules).

/// What clients speak to a service, and the service to its backends.
public enum Network: String, Sendable, CaseIterable, Hashable {
    case tcp
    case udp
}

extension ServiceConfiguration {
    /// One for each field that has a meaning in one network only, and one for those of backends. A field that is not listed
    /// here as one of both belongs to TCP, so that a new one is refused with UDP until somebody has said what it means there.
    static let networkRules =
        fields.filter { !fieldsOfBothNetworks.contains($0.name) }.map(rule) + [
            ConfigurationRule("address", "network") { service in
                guard service.network == .udp, service.isOnUnixSocket else { return nil }
                return
                    "\"address\" is \(Quoted(service.address)), a unix socket, and \"network\" is \"udp\", whose datagrams "
                    + "come by IP only; give a host and a port, such as \"127.0.0.1:8080\", or leave \"network\" out"
            },
            ConfigurationRule(backendsName, "network") { service in
                guard service.network == .udp, let backend = service.backends.first(where: \.isUnix) else { return nil }
                return
                    "\"address\" of backend \(Quoted(backend.name)) is \(Quoted(backend.address)), a unix socket, and "
                    + "\"network\" is \"udp\", whose datagrams go by IP only; give a host and a port, such as "
                    + "\"10.0.0.1:8080\""
            },
            ConfigurationRule("rate_limit", "network") { service in
                guard service.network == .udp, service.rateLimit?.action == .delay else { return nil }
                return
                    "\"action\" of \"rate_limit\" is \"delay\", and \"network\" is \"udp\": a datagram does not wait for its "
                    + "turn; make \"action\" \"refuse\""
            },
            ConfigurationRule("proxy_protocol_send", "network") { service in
                guard service.network == .udp, service.proxyProtocolSend == .v1 else { return nil }
                return versionOfDatagrams("\"proxy_protocol_send\"")
            },
            ConfigurationRule(backendsName, "network") { service in
                let backend = service.backends.first { $0.proxyProtocolSend == .v1 }
                guard service.network == .udp, let backend else { return nil }
                return versionOfDatagrams("\"proxy_protocol_send\" of backend \(Quoted(backend.name))")
            },
            ConfigurationRule(backendsName, "network") { service in
                guard service.network == .udp else {
                    return nil
                }
                for backend in service.backends {
                    let field = BackendConfiguration.fields.first { field in
                        !backendFieldsOfBothNetworks.contains(field.name) && field.differs(backend, .blank)
                    }
                    if let field {
                        return
                            "\"\(field.name)\" of backend \(Quoted(backend.name)) has no meaning where \"network\" is \"udp\": "
                            + "it is about TCP connections; leave it out"
                    }
                }
                return nil
            },
        ]

    private static func versionOfDatagrams(_ field: String) -> String {
        "\(field) is \"v1\", which is a line of text before a connection's bytes, and \"network\" is \"udp\"; make it \"v2\", "
            + "which goes before each datagram"
    }

    private static func rule(
        for field: ConfigurationField<ServiceConfiguration>
    ) -> ConfigurationRule<ServiceConfiguration> {
        let network: Network = field.name.hasPrefix("udp_") ? .udp : .tcp
        return ConfigurationRule(field.name, "network") { service in
            guard service.network != network, field.differs(service, .blank) else {
                return nil
            }
            let reason = reasonsAgainstUDP[field.name] ?? "it is about TCP connections"
            return network == .udp
                ? "\"\(field.name)\" is about datagrams, and this service's \"network\" is \"tcp\"; leave it out, or set "
                    + "\"network\" to \"udp\""
                : "\"\(field.name)\" has no meaning where \"network\" is \"udp\": \(reason); leave it out"
        }
    }

    private static let fieldsOfBothNetworks: Set<String> = [
        "name", "address", "network", "balance", "check_interval", "fall", "rise", "connect_timeout",
        "resolve_interval",
        "passive", "maintenance", "max_lifetime", "max_lifetime_jitter", "source_address", "drain_timeout", "check",
        "allow", "deny", "rate_limit", "bandwidth_limit", "service_bandwidth_limit", "proxy_protocol_send",
        "proxy_protocol_accept", "access_log", backendsName,
    ]

    private static let backendFieldsOfBothNetworks: Set<String> = [
        "name", "address", "check_address", "weight", "max_connections", "backup", "state", "passive", "slow_start",
        "proxy_protocol_send",
    ]

    private static let reasonsAgainstUDP = [
        "client_timeout": "sessions end by \"udp_idle_timeout\"",
        "server_timeout": "sessions end by \"udp_idle_timeout\"",
        "retries": "no datagram is sent a second time",
        "retry_timeout": "no datagram is sent a second time",
        "max_connections":
            "sessions are bounded by \"udp_max_sessions\", which makes room by ending the one that has been idle "
            + "for longest",
        "preread_timeout": "a header of the PROXY protocol comes with its datagram",
        "preread_limit": "a header of the PROXY protocol is no longer than its datagram",
        "queue_limit": "a datagram does not wait for a place",
        "queue_timeout": "a datagram does not wait for a place",
        "socket_mode": "it is about the files of unix sockets",
        "socket_owner": "it is about the files of unix sockets",
        "socket_group": "it is about the files of unix sockets",
    ]
}

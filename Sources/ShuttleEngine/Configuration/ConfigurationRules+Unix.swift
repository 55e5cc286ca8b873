// Owns which fields go together with unix sockets, and saying why the others do not.
// Leaves to others: all other rules (ConfigurationRules).

extension ServiceConfiguration {
    /// What is said of sockets' files needs a file, and what is said of TCP needs a side that speaks it.
    static let unixRules: [ConfigurationRule<ServiceConfiguration>] = [
        ConfigurationRule("socket_mode", "address") { service in
            service.socketMode == ConfigurationDefaults.socketMode
                ? nil : service.problem(withFileField: "socket_mode", service.socketMode)
        },
        ConfigurationRule("socket_owner", "address") { service in
            service.socketOwner.isEmpty ? nil : service.problem(withFileField: "socket_owner", service.socketOwner)
        },
        ConfigurationRule("socket_group", "address") { service in
            service.socketGroup.isEmpty ? nil : service.problem(withFileField: "socket_group", service.socketGroup)
        },
        ConfigurationRule("keepalive", "address") { service in
            guard service.keepalive != .blank, service.keepalive.idleMilliseconds > 0, service.isUnixOnly else {
                return nil
            }
            return
                "\"keepalive\" is given, which is of TCP, and the service and all of its backends are on unix sockets, "
                + "whose ends are always told; leave it out"
        },
        ConfigurationRule("user_timeout", "address") { service in
            guard service.userTimeoutMilliseconds > 0, service.isUnixOnly else { return nil }
            return
                "\"user_timeout\" is \(service.userTimeoutMilliseconds), which is of TCP, and the service and all of its "
                + "backends are on unix sockets, where nothing is acknowledged; leave it out, or set \"client_timeout\" and "
                + "\"server_timeout\""
        },
        ConfigurationRule("source_address") { service in
            guard !service.sourceAddresses.isEmpty, service.hasUnixBackendsOnly else { return nil }
            return "\"source_address\" is given, and every backend is a unix socket, to which connections come from no "
                + "address; leave it out"
        },
    ]

    /// Whether it listens on a unix socket.
    var isOnUnixSocket: Bool { UnixAddress.isMeant(by: address) }

    private var hasUnixBackendsOnly: Bool { !backends.isEmpty && backends.allSatisfy(\.isUnix) }

    /// Neither side of any session is TCP.
    private var isUnixOnly: Bool { isOnUnixSocket && hasUnixBackendsOnly }

    private func problem(withFileField field: String, _ value: String) -> String? {
        switch try? ListenAddress(parsing: address) {
        case .unix(let address) where !address.isAbstract:
            return nil
        case .unix:
            return
                "\"\(field)\" is \(Quoted(value)), and \"address\" is a name of the abstract namespace, which has no file: "
                + "everybody on this machine may connect; leave the field out, or write a path, such as \"unix:/run/app.sock\""
        default:
            return
                "\"\(field)\" is \(Quoted(value)), and \"address\" is \(Quoted(address)), which has no file; leave the "
                + "field out, or write the path of a unix socket, such as \"unix:/run/app.sock\""
        }
    }
}

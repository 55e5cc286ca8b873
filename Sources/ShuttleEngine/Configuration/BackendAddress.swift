// Owns the forms that a backend's addresses may have: host and port, a unix socket, the name of SRV records, and a port
// alone for checks of what those list.
// Leaves to others: host and port (Endpoint), unix sockets (UnixAddress), asking for names (shuttled/Names).

/// Where a backend is.
public enum BackendAddress: Equatable, Hashable, Sendable {
    /// One server.
    case endpoint(Endpoint)
    /// One server on this machine.
    case unix(UnixAddress)
    /// The servers that the SRV records of a name list, in lower case.
    case service(String)

    /// What the name of SRV records is written after.
    private static let prefix = "srv:"

    public init(parsing text: String) throws(EndpointError) {
        if UnixAddress.isMeant(by: text) {
            self = .unix(try UnixAddress(parsing: text))
            return
        }
        let rest = text.dropFirst(BackendAddress.prefix.utf8.count)
        // A host may be called srv: its port is digits, which no such name is.
        guard text.hasPrefix(BackendAddress.prefix), !rest.isEmpty,
            !rest.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else {
            self = .endpoint(try Endpoint(parsing: text))
            return
        }
        // It keeps the rules of a host name.
        guard case .host(let name, _)? = try? Endpoint(parsing: "\(rest):1"), !AddressLiteral.isIPv4(name[...]),
            !rest.hasPrefix("[")
        else {
            throw .serviceName(text)
        }
        self = .service(name)
    }
}

extension BackendConfiguration {
    /// Whether its address is the name of SRV records. Its checks may then do with a port: each target has a host.
    var isService: Bool {
        if case .service? = try? BackendAddress(parsing: address) { true } else { false }
    }

    /// Whether sessions with it are on a unix socket.
    var isUnix: Bool { UnixAddress.isMeant(by: address) }

    /// Why `check_address` does not go together with `address`, nil where it does.
    var checkAddressProblem: String? {
        guard !checkAddress.isEmpty, let address = try? BackendAddress(parsing: address),
            let checkAddress = try? BackendAddress(parsing: checkAddress)
        else {
            return nil
        }
        let intro = "\"check_address\" is \(Quoted(self.checkAddress))"
        switch (address, checkAddress) {
        case (.service, .endpoint(.wildcard)), (.endpoint, .endpoint):
            return nil
        case (.endpoint, .unix), (.unix, .endpoint), (.unix, .unix):
            return nil
        case (.service(let name), .service(let checkName)) where name == checkName:
            return nil
        case (.service, _):
            return "\(intro), while \"address\" stands for several servers; check each of them: write "
                + "\(Quoted(self.address)) for the ports that it lists, or a port alone, such as \":8080\""
        case (.endpoint, .service), (.unix, .service):
            return
                "\(intro), which stands for several servers, while \"address\" is one; write its host and a port, or "
                + "its unix socket"
        }
    }
}

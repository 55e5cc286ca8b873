// Owns the forms that a service's address may have: host and port, or a unix socket.
// Leaves to others: the forms themselves (Endpoint, UnixAddress).

/// Where a service listens.
public enum ListenAddress: Hashable, Sendable {
    case tcp(Endpoint)
    case unix(UnixAddress)

    public init(parsing text: String) throws(EndpointError) {
        if UnixAddress.isMeant(by: text) {
            self = .unix(try UnixAddress(parsing: text))
        } else {
            self = .tcp(try Endpoint(parsing: text))
        }
    }
}

extension ListenAddress: CustomStringConvertible {
    /// Canonical form: two texts with the same one are the same address.
    public var description: String {
        switch self {
        case .tcp(let endpoint): return endpoint.description
        case .unix(let address): return address.description
        }
    }
}

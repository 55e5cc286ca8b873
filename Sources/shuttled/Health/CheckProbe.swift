// Owns what a check does after its connect, read from the configuration: everything that can be known before.
// Leaves to others: how it is written in a configuration (CheckConfiguration), and doing it (ActiveCheck).

import ShuttleEngine

/// What a check does once it has connected.
enum CheckProbe: Equatable, Sendable {
    /// Nothing: the connect was the check.
    case connect
    case http(HTTPQuestion)
    case expect(ExpectedAnswer)
    case tls(TLSPeer)
}

/// A question by HTTP, and which answers are good.
struct HTTPQuestion: Equatable, Sendable {
    var path: String
    /// The value of the `Host` header.
    var host: String
    var status: StatusRanges
}

/// Bytes to send, and bytes that the answer must contain.
struct ExpectedAnswer: Equatable, Sendable {
    /// Empty where the backend speaks first.
    var send: [UInt8]
    var expect: [UInt8]
}

/// Who is expected to complete a TLS handshake.
struct TLSPeer: Equatable, Sendable {
    /// Nil where only an address is known.
    var serverName: String?
    var isVerified: Bool
}

extension CheckProbe {
    /// What the validated `check` of a service comes to for a backend with these addresses, as the user wrote them.
    init(_ check: CheckConfiguration, checkAddress: String, backendAddress: String) {
        switch check.type {
        case .tcp:
            self = .connect
        case .http:
            self = .http(
                HTTPQuestion(
                    path: check.path,
                    host: check.host.isEmpty ? CheckProbe.hostHeader(checkAddress, backendAddress) : check.host,
                    status: CheckProbe.valid(StatusRanges(check.status), "status")
                )
            )
        case .tcpExpect:
            self = .expect(
                ExpectedAnswer(
                    send: CheckProbe.valid(CheckBytes.bytes(of: check.send), "send"),
                    expect: CheckProbe.valid(CheckBytes.bytes(of: check.expect), "expect")
                )
            )
        case .tls:
            let given = [check.serverName, check.host].first { !$0.isEmpty }
            let known = [checkAddress, backendAddress].lazy.compactMap(CheckProbe.host)
                .first(where: CheckConfiguration.isServerName)
            self = .tls(TLSPeer(serverName: (given ?? known).map(CheckProbe.withoutRoot), isVerified: check.verify))
        }
    }

    /// The validator lets nothing else through.
    private static func valid<Value>(_ value: Value?, _ field: String) -> Value {
        guard let value else {
            preconditionFailure("the field \"\(field)\" of a check was not validated")
        }
        return value
    }

    /// The address that is checked; a unix socket has no name that a server could know it by. A port alone, or the name of SRV records, goes with the address of each backend.
    private static func hostHeader(_ checkAddress: String, _ backendAddress: String) -> String {
        switch try? BackendAddress(parsing: checkAddress) {
        case .endpoint(.host):
            return checkAddress
        case .endpoint(.wildcard(let port)):
            return host(of: backendAddress).map { "\($0):\(port)" } ?? backendAddress
        case .unix:
            return "localhost"
        default:
            return backendAddress
        }
    }

    private static func host(of address: String) -> String? {
        guard let endpoint = try? Endpoint(parsing: address), case .host(let host, _) = endpoint else {
            return nil
        }
        return host
    }

    /// A name as TLS wants it (RFC 6066, 3): `www.example` of `www.example.`.
    private static func withoutRoot(_ name: String) -> String {
        name.hasSuffix(".") ? String(name.dropLast()) : name
    }
}

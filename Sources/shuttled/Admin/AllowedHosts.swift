// Owns which hosts the admin endpoint answers to: what `Host` and `Origin` may name.
// Leaves to others: reading those fields and refusing requests (RequestGuard).

import NIOCore
import ShuttleEngine

/// A host and a port as they stand in `Host` or in an origin, parsed: never compared by their beginnings.
struct Authority: Equatable, Sendable {
    /// Lower case; IPv6 without brackets.
    var host: String
    var port: Int

    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; without a port it is that of http.
    init?(parsing text: some StringProtocol) {
        let hasPort = text.hasSuffix("]") || !text.utf8.contains(UInt8(ascii: ":")) ? false : true
        guard case .host(let host, let port)? = try? Endpoint(parsing: hasPort ? String(text) : "\(text):80") else {
            return nil
        }
        self.host = host
        self.port = port
    }
}

/// The hosts that requests may be meant for.
///
/// A web page from anywhere can make a browser send requests to loopback, under a name of its own whose address it has
/// changed to 127.0.0.1. What gives such a request away is that it names a host which is not ours.
struct AllowedHosts: Sendable {
    /// A name we were told of.
    struct Rule: Equatable, Sendable {
        enum Port: Equatable, Sendable {
            /// The one that the endpoint is bound to.
            case bound
            /// Any: behind another server or a forwarded port, clients name that one's.
            case any
            case exactly(Int)
        }
        var host: String
        var port: Port
    }

    private var rules: [Rule] = []

    /// `boundTo` is the admin address as written, whose host may be a name.
    init(boundTo address: AdminAddress, further: [Rule] = []) {
        if case .tcp(.host(let host, _)) = address {
            rules.append(Rule(host: host, port: .bound))
        }
        rules += further
    }

    /// A value of `-http-host`: `name` for any port, `name:port` for that one.
    static func rule(parsing text: String) throws(AdminAddress.ParsingError) -> Rule {
        guard let authority = Authority(parsing: text) else {
            throw AdminAddress.ParsingError(
                description: "\(Quoted(text)) is not a usable host: write what clients have in their URL between // "
                    + "and the next /, such as \"admin.example\" or \"admin.example:8443\""
            )
        }
        let isPortGiven = !text.hasSuffix("]") && text.utf8.contains(UInt8(ascii: ":"))
        return Rule(host: authority.host, port: isPortGiven ? .exactly(authority.port) : .any)
    }

    /// Whether `authority` is not only where we listen but a name that we were told of, as where a proxy is in front.
    func wereToldOf(_ authority: Authority) -> Bool {
        rules.contains { rule in
            guard rule.host == authority.host else {
                return false
            }
            switch rule.port {
            case .bound: return false
            case .any: return true
            case .exactly(let port): return port == authority.port
            }
        }
    }

    /// Whether a request that arrived at `local` may name `authority`.
    func contains(_ authority: Authority, arrivedAt local: NIOCore.SocketAddress?) -> Bool {
        let localPort = local?.port
        if authority.port == localPort, let localAddress = local.flatMap({ NumericAddress($0) }) {
            if let named = NumericAddress(authority.host) {
                if named == localAddress || named.isLoopback && localAddress.isLoopback {
                    return true
                }
            } else if authority.host == "localhost", localAddress.isLoopback {
                return true
            }
        }
        return rules.contains { rule in
            guard rule.host == authority.host else {
                return false
            }
            switch rule.port {
            case .bound: return authority.port == localPort
            case .any: return true
            case .exactly(let port): return authority.port == port
            }
        }
    }
}

// Owns where the admin endpoint listens, as it is written (`-http`) and as it is once bound.
// Leaves to others: the flag itself (Options), looking names up and opening sockets (AdminListener).

import ShuttleEngine

/// An admin address as the user wrote it.
enum AdminAddress: Equatable, Sendable, CustomStringConvertible {
    /// `host:port`, `[v6]:port` or `:port`; port 0 asks for any free one.
    case tcp(Endpoint)
    /// `/path` or `unix:/path`.
    case unix(path: String)

    static let standard = AdminAddress.tcp(.host("127.0.0.1", port: 9090))

    /// Longest path of a unix socket.
    static let pathLengthMax = UnixAddress.lengthMax

    /// Why a text is not an admin address; the description is for people and names text and remedy.
    struct ParsingError: Error, Equatable, CustomStringConvertible {
        var description: String
    }

    init(parsing text: String) throws(ParsingError) {
        let path: Substring
        if text.hasPrefix("unix:") {
            path = text.dropFirst("unix:".count)
        } else if text.hasPrefix("/") {
            path = text[...]
        } else {
            do throws(EndpointError) {
                self = .tcp(try Endpoint(parsing: text, allowingPortZero: true))
                return
            } catch {
                throw ParsingError(description: error.description)
            }
        }
        guard path.hasPrefix("/") else {
            throw ParsingError(
                description: "\(Quoted(text)) is not a usable address: the path of a unix socket must start with /, "
                    + "such as \"unix:/run/shuttle/admin.sock\""
            )
        }
        guard !path.utf8.contains(0) else {
            throw ParsingError(description: "\(Quoted(text)) is not a usable address: a path has no zero bytes")
        }
        guard path.utf8.count <= AdminAddress.pathLengthMax else {
            throw ParsingError(
                description: "\(Quoted(text)) is not a usable address: its path has \(path.utf8.count) bytes, a unix "
                    + "socket may have \(AdminAddress.pathLengthMax); choose a shorter one"
            )
        }
        guard !path.hasSuffix("/") else {
            throw ParsingError(
                description: "\(Quoted(text)) is not a usable address: its path ends in /; name the socket file"
            )
        }
        self = .unix(path: String(path))
    }

    var description: String {
        switch self {
        case .tcp(let endpoint): return endpoint.description
        case .unix(let path): return "unix:\(path)"
        }
    }

    /// Whether this can only mean the machine itself. A host name may still turn out to, which the listener finds.
    var isLoopbackForSure: Bool {
        switch self {
        case .unix: return true
        case .tcp(.wildcard): return false
        case .tcp(.host(let host, _)): return host == "localhost" || NumericAddress(host)?.isLoopback == true
        }
    }
}

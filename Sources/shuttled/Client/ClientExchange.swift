// Owns what the client sends and what it gets: one request, one answer.
// Leaves to others: carrying them (AdminClient), what they mean (the commands).

import NIOCore
import NIOHTTP1
import ShuttleEngine

/// One request to the admin API.
struct ClientRequest: Equatable, Sendable {
    var method: HTTPMethod
    /// Path and query, percent-encoded.
    var target: String
    var headers: [(name: String, value: String)] = []
    var body: [UInt8]?
    /// What the server may take beyond the time that every answer gets: it was asked to wait.
    var patience: TimeAmount = .zero

    init(_ method: HTTPMethod, _ target: String) {
        self.method = method
        self.target = target
    }

    static func == (one: ClientRequest, other: ClientRequest) -> Bool {
        one.method == other.method && one.target == other.target && one.body == other.body
            && one.patience == other.patience
            && one.headers.elementsEqual(other.headers) { $0.name == $1.name && $0.value == $1.value }
    }
}

/// The answer to one.
struct ClientAnswer: Sendable {
    var status: Int
    var headers: HTTPHeaders
    var body: [UInt8] = []

    var isProblem: Bool { headers.first(name: "Content-Type")?.hasPrefix("application/problem+json") == true }

    /// The body as JSON, nil where it is none.
    var document: JSONDocument? { try? JSONDocument(parsing: body) }

    /// The version of what the answer is about, as `If-Match` takes it.
    var tag: String? { headers.first(name: "ETag") }

    /// What would confirm a change that takes itself back otherwise.
    var confirmID: String? { headers.first(name: "Confirm-Id") }
}

/// What a path on the command line stands for.
enum ClientPath: Equatable, Sendable {
    case configuration
    case service(String)
    case backend(service: String, name: String)

    struct ParsingError: Error, Equatable, CustomStringConvertible {
        var description: String
    }

    /// `config`, `SERVICE` or `SERVICE/BACKEND`; a slash before it does no harm.
    init(parsing text: String) throws(ParsingError) {
        let path = text.hasPrefix("/") ? text.dropFirst() : text[...]
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if parts == ["config"] {
            self = .configuration
            return
        }
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else {
            throw ParsingError(
                description:
                    "\(Quoted(text)) names neither a service nor a backend; write SERVICE, SERVICE/BACKEND, or "
                    + "config for all of the configuration"
            )
        }
        guard !ConfigurationNames.reservedForRoutes.contains(parts[0]) else {
            throw ParsingError(
                description: "\(Quoted(text)): no service can have the name \(Quoted(parts[0])), it is reserved; write "
                    + "SERVICE, SERVICE/BACKEND, or config for all of the configuration"
            )
        }
        self = parts.count == 1 ? .service(parts[0]) : .backend(service: parts[0], name: parts[1])
    }

    /// Where it is read with its statistics, and changed.
    var target: String {
        switch self {
        case .configuration: "/config"
        case .service(let name): "/\(ClientPath.encoded(name))"
        case .backend(let service, let name): "/\(ClientPath.encoded(service))/\(ClientPath.encoded(name))"
        }
    }

    /// Where its configuration is read alone.
    var configurationTarget: String {
        switch self {
        case .configuration: "/config"
        case .service(let name): "/v1/services/\(ClientPath.encoded(name))"
        case .backend(let service, let name):
            "/v1/services/\(ClientPath.encoded(service))/backends/\(ClientPath.encoded(name))"
        }
    }

    /// As people name it.
    var text: String {
        switch self {
        case .configuration: "config"
        case .service(let name): name
        case .backend(let service, let name): "\(service)/\(name)"
        }
    }

    /// A segment of a path or a value of a query: all that a name may not consist of is encoded, for the server to refuse.
    static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            if byte < 0x80, Character(Unicode.Scalar(byte)).isLetter || Character(Unicode.Scalar(byte)).isNumber {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else if "-._~".utf8.contains(byte) {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                result += "%" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return result
    }
}

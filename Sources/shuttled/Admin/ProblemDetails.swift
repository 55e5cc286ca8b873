// Owns the form in which the admin API says no: problem details of RFC 9457, for every error there is.
// Leaves to others: the words of single refusals (ProblemDetails+Refusals, RequestGuard, AdminRoute), and sending them.

import Hummingbird
import NIOCore
import ShuttleEngine

/// An answer other than success.
struct ProblemDetails: Error, Equatable, Sendable {
    /// What went wrong, for programs: each kind is one `type`, with one status and one title.
    enum Kind: String, CaseIterable, Sendable {
        case malformedRequest = "malformed-request"
        case malformedJSON = "malformed-json"
        case invalidConfiguration = "invalid-configuration"
        case cannotListen = "cannot-listen"
        case unsupportedParameter = "unsupported-parameter"
        case foreignHost = "foreign-host"
        case foreignOrigin = "foreign-origin"
        case notFound = "not-found"
        case unknownService = "unknown-service"
        case unknownBackend = "unknown-backend"
        case methodNotAllowed = "method-not-allowed"
        case requestTimeout = "request-timeout"
        case addressInUse = "address-in-use"
        case contentTooLarge = "content-too-large"
        case unsupportedMediaType = "unsupported-media-type"
        case headerTooLarge = "header-too-large"
        case notDurable = "not-durable"
        case shuttingDown = "shutting-down"

        /// Stable: clients may tell problems apart by it.
        var type: String { "urn:shuttle:problem:\(rawValue)" }

        var status: HTTPResponse.Status {
            switch self {
            case .malformedRequest, .malformedJSON, .invalidConfiguration, .cannotListen, .unsupportedParameter:
                return .badRequest
            case .foreignHost, .foreignOrigin: return .forbidden
            case .notFound, .unknownService, .unknownBackend: return .notFound
            case .methodNotAllowed: return .methodNotAllowed
            case .requestTimeout: return .requestTimeout
            case .addressInUse: return .conflict
            case .contentTooLarge: return .contentTooLarge
            case .unsupportedMediaType: return .unsupportedMediaType
            case .headerTooLarge: return .requestHeaderFieldsTooLarge
            case .notDurable: return .internalServerError
            case .shuttingDown: return .serviceUnavailable
            }
        }

        var title: String {
            switch self {
            case .malformedRequest: return "The request is not well formed"
            case .malformedJSON: return "The body is not JSON"
            case .invalidConfiguration: return "The configuration is not valid"
            case .cannotListen: return "An address cannot be listened on"
            case .unsupportedParameter: return "The request asks for what is not supported"
            case .foreignHost: return "The request is meant for another host"
            case .foreignOrigin: return "The request comes from another site"
            case .notFound: return "There is nothing at this path"
            case .unknownService: return "There is no such service"
            case .unknownBackend: return "There is no such backend"
            case .methodNotAllowed: return "The method is not allowed here"
            case .requestTimeout: return "The request took too long to arrive"
            case .addressInUse: return "An address is in use by another program"
            case .contentTooLarge: return "The body is too large"
            case .unsupportedMediaType: return "The body is not of a type that is read here"
            case .headerTooLarge: return "The header is too large"
            case .notDurable: return "The change could not be made durable"
            case .shuttingDown: return "The server is shutting down"
            }
        }
    }

    var kind: Kind
    /// What is wrong with this request and what would help.
    var detail: String
    /// Places in the body, each with what is wrong there.
    var issues: [ConfigurationIssue]
    /// Header fields beyond those that every answer has.
    var headers: HTTPFields

    init(_ kind: Kind, _ detail: String, issues: [ConfigurationIssue] = [], headers: HTTPFields = [:]) {
        self.kind = kind
        self.detail = detail
        self.issues = issues
        self.headers = headers
    }

    static let contentType = "application/problem+json"

    /// The body that is sent.
    var bytes: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("type", kind.type)
            writer.member("title", kind.title)
            writer.member("status", kind.status.code)
            writer.member("detail", detail)
            if !issues.isEmpty {
                writer.list("errors") { writer in
                    for issue in issues {
                        writer.object { writer in
                            writer.member("pointer", issue.pointer)
                            writer.member("detail", issue.detail)
                        }
                    }
                }
            }
        }
        return writer.finish(trailingNewline: true)
    }

    var response: Response {
        Response.admin(kind.status, contentType: ProblemDetails.contentType, body: bytes, headers: headers)
    }
}

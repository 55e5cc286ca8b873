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
        case invalidParameter = "invalid-parameter"
        case clientLeft = "client-left"
        case unauthorized
        case insufficientRole = "insufficient-role"
        case foreignHost = "foreign-host"
        case foreignOrigin = "foreign-origin"
        case notFound = "not-found"
        case unknownService = "unknown-service"
        case unknownBackend = "unknown-backend"
        case unknownHistoryEntry = "unknown-history-entry"
        case unknownConfirmation = "unknown-confirmation"
        case unknownConnection = "unknown-connection"
        case unknownDisconnect = "unknown-disconnect"
        case awaitsConfirmation = "awaits-confirmation"
        case confirmationEnded = "confirmation-ended"
        case methodNotAllowed = "method-not-allowed"
        case requestTimeout = "request-timeout"
        case addressInUse = "address-in-use"
        case notDraining = "not-draining"
        case waitTimeout = "wait-timeout"
        case conditionFailed = "condition-failed"
        case contentTooLarge = "content-too-large"
        case unsupportedMediaType = "unsupported-media-type"
        case headerTooLarge = "header-too-large"
        case notDurable = "not-durable"
        case shuttingDown = "shutting-down"
        case tooManyWaiting = "too-many-waiting"

        /// Stable: clients may tell problems apart by it.
        var type: String { "urn:shuttle:problem:\(rawValue)" }

        var status: HTTPResponse.Status {
            switch self {
            case .malformedRequest, .malformedJSON, .invalidConfiguration, .cannotListen, .unsupportedParameter,
                .invalidParameter, .clientLeft:
                return .badRequest
            case .unauthorized: return .unauthorized
            case .insufficientRole, .foreignHost, .foreignOrigin: return .forbidden
            case .notFound, .unknownService, .unknownBackend, .unknownHistoryEntry, .unknownConfirmation,
                .unknownConnection, .unknownDisconnect:
                return .notFound
            case .methodNotAllowed: return .methodNotAllowed
            case .requestTimeout, .waitTimeout: return .requestTimeout
            case .addressInUse, .notDraining, .awaitsConfirmation, .confirmationEnded: return .conflict
            case .conditionFailed: return .preconditionFailed
            case .contentTooLarge: return .contentTooLarge
            case .unsupportedMediaType: return .unsupportedMediaType
            case .headerTooLarge: return .requestHeaderFieldsTooLarge
            case .notDurable: return .internalServerError
            case .shuttingDown, .tooManyWaiting: return .serviceUnavailable
            }
        }

        var title: String {
            switch self {
            case .malformedRequest: return "The request is not well formed"
            case .malformedJSON: return "The body is not JSON"
            case .invalidConfiguration: return "The configuration is not valid"
            case .cannotListen: return "An address cannot be listened on"
            case .unsupportedParameter: return "The request asks for what is not supported"
            case .invalidParameter: return "A parameter of the query is not valid"
            case .clientLeft: return "The client has ended its side of the connection"
            case .unauthorized: return "The request has no valid token"
            case .insufficientRole: return "The token does not allow this"
            case .foreignHost: return "The request is meant for another host"
            case .foreignOrigin: return "The request comes from another site"
            case .notFound: return "There is nothing at this path"
            case .unknownService: return "There is no such service"
            case .unknownBackend: return "There is no such backend"
            case .unknownHistoryEntry: return "There is no such change in the history"
            case .unknownConfirmation: return "No such change waits to be confirmed"
            case .unknownConnection: return "There is no such connection"
            case .unknownDisconnect: return "There is no such disconnect job"
            case .awaitsConfirmation: return "Another change waits to be confirmed"
            case .confirmationEnded: return "The change does not wait any more"
            case .methodNotAllowed: return "The method is not allowed here"
            case .requestTimeout: return "The request took too long to arrive"
            case .addressInUse: return "An address is in use by another program"
            case .notDraining: return "The backend takes new sessions"
            case .waitTimeout: return "What was waited for has not come about in time"
            case .conditionFailed: return "What the request says must be so is not so"
            case .contentTooLarge: return "The body is too large"
            case .unsupportedMediaType: return "The body is not of a type that is read here"
            case .headerTooLarge: return "The header is too large"
            case .notDurable: return "The change could not be made durable"
            case .shuttingDown: return "The server is shutting down"
            case .tooManyWaiting: return "Too many requests that take long are under way"
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

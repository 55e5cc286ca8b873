// Owns what `shuttled ctl` ends with: exit codes for scripts, and how what went wrong is told.
// Leaves to others: finding it out (AdminClient), and what the server says about it (ProblemDetails).

import NIOHTTP1

/// Exit codes of the client, after sysexits.h where it has one. One for each thing that a script does something else about.
enum ClientStatus: Int32, CaseIterable, Sendable {
    case done = 0
    case usage = 64
    case refused = 65
    case notFound = 66
    case cannotConnect = 69
    case serverFault = 70
    case conditionFailed = 73
    case fileFault = 74
    case notReached = 75
    case notUnderstood = 76
    case unauthorised = 77

    var meaning: String {
        switch self {
        case .done: "done"
        case .usage: "the arguments cannot be used"
        case .refused: "the server refused it (4xx)"
        case .notFound: "there is no such service, backend or change (404)"
        case .cannotConnect: "no answer: cannot connect, or the connection broke or was silent"
        case .serverFault: "the server could not do it (5xx), or is not ready"
        case .conditionFailed: "-if-match or -create-only did not hold (412)"
        case .fileFault: "a file cannot be read, or the output not be written"
        case .notReached: "what was waited for has not come about in time"
        case .notUnderstood: "what answers there is no shuttled"
        case .unauthorised: "not allowed: no or the wrong token, or a foreign host name (401, 403)"
        }
    }

    /// What an answer's status comes to; nil where it is success.
    init?(answer status: Int) {
        switch status {
        case 200..<300: return nil
        case 401, 403: self = .unauthorised
        case 404: self = .notFound
        case 412: self = .conditionFailed
        case 400..<500: self = .refused
        case 500..<600: self = .serverFault
        default: self = .notUnderstood
        }
    }

    /// The table that `-help` has.
    static var list: String {
        allCases.map { "\($0.rawValue) \($0.meaning)" }.joined(separator: "; ")
    }
}

/// Why a command came to nothing.
struct ClientFailure: Error, Equatable, Sendable {
    var status: ClientStatus
    /// The first says what is wrong, the others where. None where there is nobody left to be told.
    var lines: [String]

    init(_ status: ClientStatus, _ text: String, further: [String] = []) {
        self.status = status
        self.lines = [text] + further
    }

    /// Whoever read the output has gone: that is no fault to speak of.
    static let readerLeft = {
        var failure = ClientFailure(.fileFault, "")
        failure.lines = []
        return failure
    }()

    /// What the server said where it did not do what it was asked for; nil where it did.
    init?(_ answer: ClientAnswer) {
        guard let status = ClientStatus(answer: answer.status) else {
            return nil
        }
        let reason = HTTPResponseStatus(statusCode: answer.status).reasonPhrase
        let document = answer.isProblem ? answer.document : nil
        guard let document, let detail = document.root.member("detail")?.string else {
            self.init(
                status == .serverFault || status == .unauthorised ? status : .notUnderstood,
                "answered \(answer.status) \(reason), and not as shuttled does; check -http and SHUTTLE_ADMIN, and what is "
                    + "between"
            )
            return
        }
        // Only the wait's own end is this one; that a request took too long to arrive is a refusal like any other.
        let isWait = document.root.member("type")?.string == "urn:shuttle:problem:wait-timeout"
        let issues = document.root.member("errors").map { Array($0.children) } ?? []
        let places = issues.map { issue in
            (pointer: issue.member("pointer")?.string ?? "", detail: issue.member("detail")?.string ?? "")
        }
        // Of a single fault the detail may have said all there is.
        let isSaid =
            places.count == 1 && detail.hasSuffix(places[0].detail) && detail.contains("\"\(places[0].pointer)\"")
        self.init(
            isWait ? .notReached : status, Printable.line(detail),
            further: isSaid
                ? [] : places.map { Printable.line("\($0.pointer.isEmpty ? "(all of it)" : $0.pointer): \($0.detail)") }
        )
        let isForeign = document.root.member("type")?.string?.contains(":foreign-") == true
        if status == .unauthorised, !isForeign {
            lines.append("a token is taken from SHUTTLE_TOKEN, or from the file that -token-from names")
        }
    }

    /// As it is written to standard error.
    var text: String {
        lines.enumerated().map { $0.offset == 0 ? "shuttled ctl: \($0.element)\n" : "  \($0.element)\n" }.joined()
    }
}

/// Text for a terminal, which obeys nobody's name for a service.
enum Printable {
    /// One line without control characters.
    static func line(_ text: String) -> String {
        let isPlain = text.unicodeScalars.allSatisfy { !isControl($0) }
        guard !isPlain else {
            return text
        }
        var result = ""
        for scalar in text.unicodeScalars {
            if isControl(scalar) {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: true
        default: false
        }
    }
}

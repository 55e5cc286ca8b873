// Owns how a configuration that cannot be used is reported: every problem with its JSON pointer, line and column.
// Leaves to others: finding problems (ConfigurationDecoder, ConfigurationValidator), and the form they take in an HTTP
// answer or on a terminal.

import ShuttleEngine

/// Everything that is wrong with a configuration document, in the order of the document.
struct ConfigurationDecodingError: Error, Equatable, Sendable, CustomStringConvertible {
    enum Kind: Equatable, Sendable {
        /// The text is not JSON; there is one problem.
        case malformed
        /// It is JSON, but not a configuration.
        case invalid
    }

    /// An issue, and where in the text it is.
    struct Problem: Equatable, Sendable, CustomStringConvertible {
        var issue: ConfigurationIssue
        var position: JSONPosition

        var description: String {
            if issue.pointer.isEmpty {
                return "\(position): \(issue.detail)"
            }
            return "\(position), at \(Quoted(issue.pointer)): \(issue.detail)"
        }
    }

    let kind: Kind
    let problems: [Problem]
    /// Whether `problems` was cut off: there may be more.
    let isTruncated: Bool

    var issues: [ConfigurationIssue] {
        problems.map(\.issue)
    }

    /// One line for each problem.
    var description: String {
        var lines = problems.map(\.description)
        if isTruncated {
            lines.append("only the first \(problems.count) problems are listed")
        }
        return lines.joined(separator: "\n")
    }

    init(_ error: JSONSyntaxError) {
        kind = .malformed
        isTruncated = false
        problems = [
            Problem(
                issue: ConfigurationIssue(pointer: error.pointer ?? "", detail: error.reason),
                position: error.position
            )
        ]
    }

    /// Issues with what `document` holds, found by whomever: each gets its position, and they come in its order.
    init(_ issues: [ConfigurationIssue], in document: JSONDocument, isTruncated: Bool = false) {
        kind = .invalid
        self.isTruncated = isTruncated
        let offsets = issues.map { document.offset(nearest: $0.pointer) }
        let positions = JSONPosition.positions(of: offsets, in: document.bytes)
        problems = issues.indices
            .sorted { (offsets[$0], $0) < (offsets[$1], $1) }
            .map { Problem(issue: issues[$0], position: positions[$0]) }
    }
}

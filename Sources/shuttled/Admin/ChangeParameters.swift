// Owns what the query of a change may say.
// Leaves to others: doing so (AdminRequest).

import NIOCore
import ShuttleEngine

/// The query of a request that changes something. Passing over what is not understood would make the change another one
/// than was asked for, so it is refused.
struct ChangeParameters: Equatable, Sendable {
    /// `dry_run=1`: say what would happen, and change nothing.
    var isDryRun = false
    /// `confirm=60s`: take it back unless it is confirmed within so long.
    var confirmWithin: TimeAmount?

    private static let known = ["dry_run", "confirm"]
    static let confirmMin: TimeAmount = .seconds(1)
    static let confirmMax: TimeAmount = .hours(24)

    init(_ parameters: [(name: String, value: String)]) throws(ProblemDetails) {
        var seen: Set<String> = []
        for (name, value) in parameters {
            guard seen.insert(name).inserted else {
                throw ChangeParameters.refusal("the query has \(Quoted(name)) more than once; give it once")
            }
            switch name {
            case "dry_run":
                guard value == "0" || value == "1" else {
                    throw ChangeParameters.refusal(
                        "dry_run is \(Quoted(value)); it must be 1 (say what would change) or 0 (change it)"
                    )
                }
                isDryRun = value == "1"
            case "confirm":
                guard let limit = QueryParameters.duration(value),
                    (ChangeParameters.confirmMin...ChangeParameters.confirmMax).contains(limit)
                else {
                    throw ChangeParameters.refusal(
                        "confirm is \(Quoted(value)); it must be a whole number with its unit (ms, s, m or h), such as "
                            + "60s, from \(QueryParameters.text(ChangeParameters.confirmMin)) to "
                            + "\(QueryParameters.text(ChangeParameters.confirmMax))"
                    )
                }
                confirmWithin = limit
            default:
                let hint =
                    FieldSuggestion.nearest(to: name, among: ChangeParameters.known).map { "; did you mean \($0)?" }
                    ?? "; changes take dry_run and confirm; remove the other one"
                throw ChangeParameters.refusal("the query has \(Quoted(name)), which is no parameter of changes\(hint)")
            }
        }
    }

    private static func refusal(_ detail: String) -> ProblemDetails {
        ProblemDetails(.unsupportedParameter, "\(detail). Nothing was changed")
    }
}

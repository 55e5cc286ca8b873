// Owns reading the parameters of a query: each known, each once, each with a value that can be used.
// Leaves to others: taking a query apart (RequestTarget), what the parameters mean (the resources).

import NIOCore
import ShuttleEngine

/// The parameters of a request, all of names that its route knows.
struct QueryParameters: Sendable {
    private let values: [String: String]

    /// `known` is in the order in which they are listed to who gets one wrong.
    init(_ parameters: [(name: String, value: String)], known: [String]) throws(ProblemDetails) {
        var values: [String: String] = [:]
        for (name, value) in parameters {
            guard known.contains(name) else {
                throw ProblemDetails(
                    .unsupportedParameter,
                    "the query has \(Quoted(name)), which is not known here; use \(known.joined(separator: ", "))"
                )
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw ProblemDetails(.invalidParameter, "the query has \(Quoted(name)) twice; give it once")
            }
        }
        self.values = values
    }

    subscript(name: String) -> String? { values[name] }

    /// A length of time, such as `500ms`, `30s`, `5m` or `1h`; nil where there is no such parameter.
    func duration(_ name: String, max maximum: TimeAmount) throws(ProblemDetails) -> TimeAmount? {
        guard let text = values[name] else {
            return nil
        }
        guard let amount = QueryParameters.duration(text), amount <= maximum else {
            throw ProblemDetails(
                .invalidParameter,
                "\(name) is \(Quoted(text)); it must be a whole number with its unit (ms, s, m or h), such as 500ms, "
                    + "30s or 5m, from 0 to \(QueryParameters.text(maximum))"
            )
        }
        return amount
    }

    /// A whole number, written in one way only; nil where there is no such parameter.
    func integer(_ name: String, in range: ClosedRange<Int>) throws(ProblemDetails) -> Int? {
        guard let text = values[name] else {
            return nil
        }
        guard let number = Int(text), String(number) == text, range.contains(number) else {
            throw ProblemDetails(
                .invalidParameter,
                "\(name) is \(Quoted(text)); it must be an integer from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return number
    }

    /// Whether `name=1` is given; 0 is as good as nothing.
    func flag(_ name: String) throws(ProblemDetails) -> Bool {
        guard let text = values[name] else {
            return false
        }
        guard text == "0" || text == "1" else {
            throw ProblemDetails(.invalidParameter, "\(name) is \(Quoted(text)); it must be 1 (yes) or 0 (no)")
        }
        return text == "1"
    }

    /// A number without a unit may be anything, so only 0 needs none.
    static func duration(_ text: String) -> TimeAmount? {
        if text == "0" {
            return .zero
        }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        // More are beyond every limit, and would overflow as nanoseconds.
        guard !digits.isEmpty, let number = Int64(digits), number <= 1_000_000 else {
            return nil
        }
        switch text[digits.endIndex...] {
        case "ms": return .milliseconds(number)
        case "s": return .seconds(number)
        case "m": return .minutes(number)
        case "h": return .hours(number)
        default: return nil
        }
    }

    /// As people write it.
    static func text(_ amount: TimeAmount) -> String {
        let milliseconds = amount.nanoseconds / 1_000_000
        for (unit, length) in [("h", Int64(3_600_000)), ("m", 60_000), ("s", 1000)]
        where milliseconds > 0 && milliseconds.isMultiple(of: length) {
            return "\(milliseconds / length)\(unit)"
        }
        return "\(milliseconds)ms"
    }
}

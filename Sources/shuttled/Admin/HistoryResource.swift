// Owns `/v1/history`: the changes that were made, newest first, each of them, and making one of them so again.
// Leaves to others: remembering them (HistoryKeeper), making changes (AdminRequest).

import Hummingbird
import ShuttleEngine

struct HistoryResource: Sendable {
    let control: any AdminControl

    static let limitDefault = 50
    static let limitRange = 1...1000

    func list(_ request: AdminRequest) async throws -> Response {
        let (before, limit) = try HistoryResource.page(request.parameters)
        let page = await control.history(before: before, limit: limit)
        let count = page.entries.reduce(0) { $0 + $1.entry.deltas.count }
        return .json(
            await HeavyWork.run(isLong: count >= HeavyWork.objectsMin) { HistoryEncoder.bytes(of: page) })
    }

    func get(_ id: String, _ request: AdminRequest) async throws -> Response {
        if let parameter = request.parameters.first {
            throw HistoryResource.refusal(
                "the query has \(Quoted(parameter.name)), and nothing is asked here; remove it")
        }
        let detail = try await detail(id)
        let isLong = detail.entry.deltas.count >= HeavyWork.objectsMin
        return .json(await HeavyWork.run(isLong: isLong) { HistoryEncoder.bytes(of: detail) })
    }

    /// Makes the configuration what it was after a change: a change like any other.
    func restore(_ id: String, _ request: AdminRequest) async throws -> Response {
        try await request.change(control, to: .replaceAll(try await detail(id).after))
    }

    private func detail(_ id: String) async throws(ProblemDetails) -> HistoryDetail {
        // Written in one way only.
        guard let number = Int(id), String(number) == id, let detail = await control.historyEntry(number) else {
            throw ProblemDetails(
                .unknownHistoryEntry,
                "there is no change \(Quoted(id)) in the history; GET /v1/history lists those that are remembered"
            )
        }
        return detail
    }

    private static func page(
        _ parameters: [(name: String, value: String)]
    ) throws(ProblemDetails) -> (before: Int?, limit: Int) {
        var values: [String: Int] = [:]
        for (name, value) in parameters {
            let range: ClosedRange<Int>
            switch name {
            case "limit": range = limitRange
            case "before": range = 1...Int.max
            default:
                throw refusal("the query has \(Quoted(name)); the history takes limit and before. Remove the other one")
            }
            guard let number = Int(value), String(number) == value, range.contains(number) else {
                let rule =
                    name == "limit"
                    ? "an integer from \(range.lowerBound) to \(range.upperBound)"
                    : "the id of a change, as the answer before has it in \"next\""
                throw refusal("\(name) is \(Quoted(value)); it must be \(rule)")
            }
            guard values.updateValue(number, forKey: name) == nil else {
                throw refusal("the query has \(Quoted(name)) more than once; give it once")
            }
        }
        return (values["before"], values["limit"] ?? limitDefault)
    }

    private static func refusal(_ detail: String) -> ProblemDetails {
        ProblemDetails(.unsupportedParameter, detail)
    }
}

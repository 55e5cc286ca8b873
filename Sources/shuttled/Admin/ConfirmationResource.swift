// Owns `/v1/confirm`: the change that is taken back unless somebody confirms it, confirming it, and taking it back at once.
// Leaves to others: keeping it (ConfirmationKeeper), making changes that are to be confirmed (AdminRequest).

import Hummingbird
import ShuttleEngine

struct ConfirmationResource: Sendable {
    let control: any AdminControl

    /// Of the answer to a change with `?confirm=`.
    static let idField = HTTPFields.Element.Name("Confirm-Id")!
    static let untilField = HTTPFields.Element.Name("Confirm-Until")!

    func list(_ request: AdminRequest) async throws -> Response {
        _ = try QueryParameters(request.parameters, known: [])
        let pending = await control.pendingChange()
        var writer = JSONWriter()
        writer.object { writer in
            writer.list("pending") { writer in
                if let pending {
                    ConfirmationResource.write(pending, to: &writer)
                }
            }
        }
        return .json(writer.finish(trailingNewline: true))
    }

    func get(_ id: String, _ request: AdminRequest) async throws -> Response {
        _ = try QueryParameters(request.parameters, known: [])
        guard let pending = await control.pendingChange(), "\(pending.id)" == id else {
            throw ProblemDetails.unknownConfirmation(id)
        }
        var writer = JSONWriter()
        ConfirmationResource.write(pending, to: &writer)
        return .json(writer.finish(trailingNewline: true))
    }

    func confirm(_ id: String, _ request: AdminRequest) async throws -> Response {
        let number = try ConfirmationResource.number(id)
        let control = control
        return try await request.decide { origin, condition async throws(ChangeRefusal) in
            try await control.confirm(number, origin: origin, if: condition)
        }
    }

    func revert(_ id: String, _ request: AdminRequest) async throws -> Response {
        let number = try ConfirmationResource.number(id)
        let control = control
        return try await request.decide { origin, condition async throws(ChangeRefusal) in
            try await control.revert(number, origin: origin, if: condition)
        }
    }

    /// Written in one way only.
    private static func number(_ id: String) throws(ProblemDetails) -> Int {
        guard let number = Int(id), "\(number)" == id else {
            throw .unknownConfirmation(id)
        }
        return number
    }

    private static let linesMax = 20

    private static func write(_ pending: PendingChange, to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("id", pending.id)
            writer.member("time", Timestamp.text(milliseconds: pending.milliseconds))
            writer.member("until", Timestamp.text(milliseconds: pending.untilMilliseconds))
            writer.member(
                "remaining_milliseconds", pending.remainingMilliseconds(at: ControlPlane.millisecondsNow())
            )
            writer.member("peer", pending.peer)
            writer.name("token")
            if let token = pending.token {
                writer.value(token)
            } else {
                writer.null()
            }
            writer.member("request", pending.request)
            writer.member("services", pending.services)
            let lines = pending.lines
            writer.member("diff", lines.prefix(linesMax))
            if lines.count > linesMax {
                writer.member("diff_lines_left_out", lines.count - linesMax)
            }
        }
    }
}

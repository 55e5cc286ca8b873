// Owns `/v1/recent`: the sessions that have ended last, the newest first. Leaves to others: remembering them (the engine),
// their printed form (RecentSessionsEncoder).

import Hummingbird
import ShuttleEngine

struct RecentSessionsResource: Sendable {
    let control: any AdminControl

    static let limitDefault = 100
    static let limitRange = 1...10_000

    func get(_ request: AdminRequest) async throws -> Response {
        let query = try RecentSessionsResource.query(request.parameters)
        guard let recent = await control.recentSessions(query) else {
            throw ProblemDetails(
                .notFound,
                "no sessions are remembered, since shuttled was started with -recent 0; start it with a number")
        }
        if recent.sessions.isEmpty { try await checkNames(of: query) }
        return .json(
            await HeavyWork.run(isLong: recent.sessions.count >= HeavyWork.objectsMin) {
                RecentSessionsEncoder.bytes(of: recent)
            })
    }

    /// Names of what was removed are good as long as there are sessions of it.
    private func checkNames(of query: RecentSessionsQuery) async throws(ProblemDetails) {
        guard query.service != nil || query.backend != nil else { return }
        let services = await control.configuration().services
        if let name = query.service {
            guard let service = services.first(where: { $0.name == name }) else { throw .unknownService(name) }
            if let backend = query.backend, !service.backends.contains(where: { $0.name == backend }) {
                throw .unknownBackend(backend, of: name)
            }
        } else if let backend = query.backend,
            !services.contains(where: { $0.backends.contains { $0.name == backend } })
        {
            throw ProblemDetails(
                .unknownBackend,
                "no service has a backend \(Quoted(backend)), and no session that is remembered had one; GET /config lists "
                    + "the ones there are"
            )
        }
    }

    private static func query(
        _ parameters: [(name: String, value: String)]
    ) throws(ProblemDetails) -> RecentSessionsQuery {
        let values = try QueryParameters(parameters, known: ["service", "backend", "reason", "limit"])
        var query = RecentSessionsQuery(service: values["service"], backend: values["backend"], limit: limitDefault)
        for name in values["reason"].map({ $0.split(separator: ",", omittingEmptySubsequences: false) }) ?? [] {
            guard let reason = TerminationReason(name: name) else {
                throw ProblemDetails(
                    .invalidParameter,
                    "reason has \(Quoted(String(name))), which is none; use one of "
                        + TerminationReason.allCases.map(\.name).joined(separator: ", ")
                        + ", or several with commas between them"
                )
            }
            query.reasons.append(reason)
        }
        if let text = values["limit"] {
            guard let limit = Int(text), String(limit) == text, limitRange.contains(limit) else {
                throw ProblemDetails(
                    .invalidParameter,
                    "limit is \(Quoted(text)); it must be an integer from \(limitRange.lowerBound) to "
                        + "\(limitRange.upperBound)"
                )
            }
            query.limit = limit
        }
        return query
    }
}

// The sessions of the data plane that does what a test tells it to.

import Glibc
import NIOCore

@testable import ShuttleEngine
@testable import shuttled

extension FakeDataPlane {
    func ask(_ query: SessionQuery, ring: Int) {
        state.withLock { state in
            precondition(state.answer == nil, "two questions at once")
            state.queries.append(query)
            var answer = SessionAnswer()
            switch query {
            case .list(let filter, let first, let limit, _):
                let found = state.sessions[ring].filter {
                    $0.identifier.place >= first && (filter.service == nil || filter.service == $0.service)
                }
                answer.sessions = Array(found.prefix(limit))
                answer.next = found.dropFirst(limit).first?.identifier.place
            case .look(let identifiers):
                answer.sessions = state.sessions[ring].filter { identifiers.contains($0.identifier) }
            case .end(let identifiers):
                let before = state.sessions[ring].count
                state.sessions[ring].removeAll { identifiers.contains($0.identifier) }
                answer.endedCount = before - state.sessions[ring].count
                let now = NIODeadline.now().uptimeNanoseconds
                state.ended += identifiers.map { ($0, now) }
            }
            state.answer = answer
        }
    }

    func sessionAnswer() -> SessionAnswer? {
        state.withLock { $0.answer.take() }
    }

    func explain(service: String, client: ExplainedClient) -> Explanation? { nil }

    func hasSessions(ofService service: String?, backend: String?) -> Bool {
        state.withLock { state in
            state.live.contains { found in
                (service == nil || found.configuration.name == service)
                    && (backend == nil || found.configuration.backends.contains { $0.name == backend })
            }
        }
    }
}

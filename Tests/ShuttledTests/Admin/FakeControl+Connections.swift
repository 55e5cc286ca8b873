// The part of the remembering control plane that is about connections.

import NIOCore
import Synchronization

@testable import ShuttleEngine
@testable import shuttled

extension FakeControl {
    func explain(service: String, client: ExplainedClient) async -> ServiceExplanation? {
        noteThread()
        return state.withLock { state in
            state.explained.append((service, client))
            return state.explanation
        }
    }

    func connections(_ query: ConnectionQuery) async -> ConnectionPage {
        noteThread()
        return state.withLock { state in
            state.asked.append(query)
            let start = state.connections.firstIndex { $0.session.identifier.place >= query.after?.place ?? 0 }
            let rest = state.connections[(start ?? state.connections.count)...]
            let page = rest.prefix(query.limit)
            let next = rest.dropFirst(query.limit).first.map {
                ConnectionCursor(ring: 0, place: $0.session.identifier.place)
            }
            return ConnectionPage(connections: Array(page), next: next)
        }
    }

    func connection(_ identifier: SessionIdentifier, interval: TimeAmount) async -> ConnectionReport? {
        noteThread()
        return state.withLock { state in state.connections.first { $0.session.identifier == identifier } }
    }

    func hasConnections(ofService service: String?, backend: String?) async -> Bool {
        services.contains { found in
            found.name == service && (backend == nil || found.backends.contains { $0.name == backend })
        }
    }

    func countConnections(_ filter: SessionFilter) async -> Int { state.withLock { $0.connections.count } }

    func disconnect(
        _ identifier: SessionIdentifier, origin: ChangeOrigin
    ) async throws(DisconnectRefusal) -> ConnectionReport {
        noteThread()
        let found = state.withLock { state -> ConnectionReport? in
            guard let index = state.connections.firstIndex(where: { $0.session.identifier == identifier }) else {
                return nil
            }
            return state.connections.remove(at: index)
        }
        guard let found else {
            throw .unknownConnection
        }
        return found
    }

    func disconnect(
        _ request: DisconnectRequest, origin: ChangeOrigin
    ) async throws(DisconnectRefusal) -> DisconnectReport {
        noteThread()
        if let refusal = state.withLock({ $0.disconnectRefusal }) {
            throw refusal
        }
        return state.withLock { state in
            let report = DisconnectReport(
                id: state.disconnects.count + 1, request: request, peer: origin.peer,
                startedMilliseconds: 1_764_115_200_029, matched: 7, ended: 3, gone: 1
            )
            state.disconnects.insert(report, at: 0)
            return report
        }
    }

    func disconnectJobs() async -> [DisconnectReport] { state.withLock { $0.disconnects } }

    func cancelDisconnect(_ id: Int, origin: ChangeOrigin) async -> DisconnectReport? {
        state.withLock { state in
            guard let index = state.disconnects.firstIndex(where: { $0.id == id }) else {
                return nil
            }
            state.disconnects[index].state = .cancelled
            return state.disconnects[index]
        }
    }
}

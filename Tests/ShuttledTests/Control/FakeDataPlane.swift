// Owns a data plane that does what a test tells it to, and remembers what it was asked for.

import Glibc
import ShuttleEngine
import Synchronization

@testable import ShuttleEngine
@testable import shuttled

/// Applies changes at once unless told otherwise.
final class FakeDataPlane: DataPlane, Sendable {
    struct State {
        /// What was asked for, in order, in words.
        var calls: [String] = []
        var live: [ResolvedService] = []
        var prepared: [ResolvedService]?
        var epoch: Epoch = 0
        /// Names of services whose listener cannot be opened, with the errno.
        var listenFailures: [String: Int32] = [:]
        /// Rings that do not take anything up.
        var silentRings: [Int] = []
        /// Times that `progress` says "waiting" for each epoch.
        var delay = 0
        var waited = 0
        var activeSessions = 0
        var down: Set<String> = []
        /// When traffic was judged.
        var judgements: [UInt64] = []
        /// What the next judgement comes to.
        var ejectionChanges: [EjectionChange] = []
        var checks: [String: (good: Int, bad: Int)] = [:]
        /// Sessions of backends, by `service/backend`.
        var active: [String: Int] = [:]
        /// What is said of a service beyond its backends.
        var change: (@Sendable (inout ServiceStatistics) -> Void)?
        /// Sessions that there are, by ring, and what is asked of them.
        var sessions: [[SessionReport]] = [[], []]
        var queries: [SessionQuery] = []
        var answer: SessionAnswer?
        /// Sessions that were ended, with the time.
        var ended: [(identifier: SessionIdentifier, nanoseconds: UInt64)] = []
        /// Rounds of each ring's loop.
        var turns: [UInt64] = [0, 0]
        /// Times that statistics were asked for.
        var looks = 0
    }

    let state = Mutex(State())

    var calls: [String] { state.withLock { $0.calls } }
    var liveNames: [String] { state.withLock { $0.live.map(\.configuration.name) } }

    let ringCount = 2
    func ringTurns() -> [UInt64] { state.withLock { $0.turns } }
    func wakeRings() { state.withLock { $0.calls.append("wake") } }
    let sessionCapacity = 1000
    var activeSessions: Int { state.withLock { $0.activeSessions } }

    func prepare(_ services: [ResolvedService]) throws(ListenFailure) {
        let failure = state.withLock { state -> ListenFailure? in
            state.calls.append("prepare")
            for (index, service) in services.enumerated() {
                if let code = state.listenFailures[service.configuration.name] {
                    return ListenFailure(serviceIndex: index, address: service.listenAddress!, code: code)
                }
            }
            precondition(state.prepared == nil, "two changes at once")
            state.prepared = services
            return nil
        }
        if let failure {
            throw failure
        }
    }

    func abandon() {
        state.withLock {
            $0.calls.append("abandon")
            $0.prepared = nil
        }
    }

    func commit() -> Epoch {
        state.withLock { state in
            state.calls.append("commit")
            state.live = state.prepared!
            state.prepared = nil
            state.waited = 0
            state.epoch += 1
            return state.epoch
        }
    }

    func progress(_ epoch: Epoch) -> CommitProgress {
        state.withLock { state in
            if !state.silentRings.isEmpty {
                return .waiting(rings: state.silentRings)
            }
            if state.waited < state.delay {
                state.waited += 1
                return .waiting(rings: [0, 1])
            }
            return .complete
        }
    }

    func setHealth(service: String, backend: String, isUp: Bool) {
        state.withLock { state in
            state.calls.append("\(service)/\(backend) \(isUp ? "up" : "down")")
            if isUp {
                state.down.remove("\(service)/\(backend)")
            } else {
                state.down.insert("\(service)/\(backend)")
            }
        }
    }

    func recordCheck(service: String, backend: String, result: CheckResult) {
        state.withLock { state in
            var count = state.checks["\(service)/\(backend)"] ?? (0, 0)
            if result.status == .success {
                count.good += 1
            } else {
                count.bad += 1
            }
            state.checks["\(service)/\(backend)"] = count
        }
    }

    func judgeTraffic(at milliseconds: UInt64) -> [EjectionChange] {
        state.withLock { state in
            state.judgements.append(milliseconds)
            defer { state.ejectionChanges = [] }
            return state.ejectionChanges
        }
    }

    func statistics() -> [ServiceStatistics] {
        state.withLock { state in
            state.looks += 1
            return state.live.map { service in
                let name = service.configuration.name
                var statistics = ServiceStatistics(
                    configuration: service.configuration, sentBytes: 0, receivedBytes: 0, errors: 0, connections: 0,
                    active: 0, panics: 0, queued: 0, refused: 0, refusedPerClient: 0, queueTimeouts: 0,
                    queueOverflows: 0,
                    backends: service.configuration.backends.map { backend in
                        var statistics = BackendStatistics.none(of: backend)
                        statistics.isUp = !state.down.contains("\(name)/\(backend.name)")
                        statistics.active = state.active["\(name)/\(backend.name)"] ?? 0
                        return statistics
                    }
                )
                state.change?(&statistics)
                return statistics
            }
        }
    }
    func ringStatistics() -> [RingStatistics] { [] }
    let recentSessionsPerRing = 0
    func recentSessions(limit: Int, where isWanted: (FinishedSession) -> Bool) -> [FinishedSession] { [] }
    func sessionCursor() -> FinishedSessionCursor { FinishedSessionCursor(positions: [0, 0], logged: [0, 0]) }
    func takeLoggedSessions(since cursor: inout FinishedSessionCursor, limit: Int) -> FinishedSessions {
        FinishedSessions(sessions: [])
    }
    func sessionDistributions(_ bounds: DistributionBounds) -> [SessionDistributions?] {
        state.withLock { $0.live.map { _ in nil } }
    }

    func stopAccepting() -> Epoch {
        state.withLock {
            $0.calls.append("stop accepting")
            return $0.epoch
        }
    }

    func cutSessions() {
        state.withLock {
            $0.calls.append("cut")
            $0.activeSessions = 0
        }
    }

    func stop() { state.withLock { $0.calls.append("stop") } }
}

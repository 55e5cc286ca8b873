// A control plane that only remembers: what the admin API is tested against.

import NIOCore
import Synchronization

@testable import ShuttleEngine
@testable import shuttled

/// Keeps a configuration, applies changes to it without a data plane, and can be told to refuse.
final class FakeControl: AdminControl {
    struct State {
        var services: [ServiceConfiguration]
        var versions = ConfigurationVersions()
        var refusal: ChangeRefusal?
        var readiness = shuttled.Readiness(checks: [("configuration", true, "applied")])
        var changes: [(change: ConfigurationChange, origin: ChangeOrigin)] = []
        /// Changes that have been asked for, also those that wait.
        var changesAsked = 0
        /// While there is one, changes wait for it.
        var gate: EventLoopFuture<Void>?
        var wereCallsOnLoop = true
        var waits: [(wait: ServiceWait, timeout: TimeAmount)] = []
        /// What waits come to; nil: they last as long as their clients are there.
        var waitOutcome: ServiceWait.Outcome?
        var waitEnds: [ClientPresence.End] = []
        var pending: PendingChange?
        var pendingEnd: ConfirmationKeeper.End?
        var remembersSessions = true
        var asked: [ConnectionQuery] = []
        var connections: [ConnectionReport] = []
        var explained: [(service: String, client: ExplainedClient)] = []
        var explanation: ServiceExplanation?
        var disconnectRefusal: DisconnectRefusal?
        var disconnects = [DisconnectReport]()
    }
    let state: Mutex<State>
    let loop: any EventLoop
    let events = EventLog(capacity: 64, process: "test")

    init(_ services: [ServiceConfiguration] = [], loop: any EventLoop) {
        var versions = ConfigurationVersions()
        versions.update(from: [], to: services)
        state = Mutex(State(services: services, versions: versions))
        self.loop = loop
    }

    // What tests set and ask.

    func refuse(with refusal: ChangeRefusal?) { state.withLock { $0.refusal = refusal } }
    func setReadiness(_ readiness: shuttled.Readiness) { state.withLock { $0.readiness = readiness } }
    func setGate(_ gate: EventLoopFuture<Void>?) { state.withLock { $0.gate = gate } }
    func setWaitOutcome(_ outcome: ServiceWait.Outcome?) { state.withLock { $0.waitOutcome = outcome } }
    func forgetSessions() { state.withLock { $0.remembersSessions = false } }
    func setPending(_ pending: PendingChange?) { state.withLock { $0.pending = pending } }
    var waits: [(wait: ServiceWait, timeout: TimeAmount)] { state.withLock { $0.waits } }
    var waitEnds: [ClientPresence.End] { state.withLock { $0.waitEnds } }
    var services: [ServiceConfiguration] { state.withLock { $0.services } }
    var origins: [ChangeOrigin] { state.withLock { $0.changes.map(\.origin) } }
    var changesAsked: Int { state.withLock { $0.changesAsked } }
    var wereCallsOnLoop: Bool { state.withLock { $0.wereCallsOnLoop } }

    // AdminControl

    func configuration() async -> LiveConfiguration {
        noteThread()
        return state.withLock { LiveConfiguration(services: $0.services, versions: $0.versions) }
    }

    func apply(
        _ change: ConfigurationChange, origin: ChangeOrigin, if condition: ChangeCondition
    ) async throws(ChangeRefusal) -> LiveConfiguration {
        noteThread()
        state.withLock { $0.changesAsked += 1 }
        if let gate = state.withLock({ $0.gate }) {
            try? await gate.get()
        }
        let result = state.withLock { state -> Result<LiveConfiguration, ChangeRefusal> in
            if let refusal = state.refusal {
                return .failure(refusal)
            }
            if let failure = condition.failure(state.versions.tag(of: change.part)) {
                return .failure(.conditionFailed(failure))
            }
            do throws(ChangeRefusal) {
                let next = try NextConfiguration(applying: change, to: state.services).services
                state.versions.update(from: state.services, to: next)
                state.services = next
            } catch {
                return .failure(error)
            }
            state.changes.append((change, origin))
            return .success(LiveConfiguration(services: state.services, versions: state.versions))
        }
        return try result.get()
    }

    func preview(
        _ change: ConfigurationChange, origin: ChangeOrigin, if condition: ChangeCondition
    ) async throws(ChangeRefusal) -> ChangePreview {
        noteThread()
        let (live, refusal) = state.withLock {
            (LiveConfiguration(services: $0.services, versions: $0.versions), $0.refusal)
        }
        if let refusal {
            throw refusal
        }
        if let failure = condition.failure(live.versions.tag(of: change.part)) {
            throw .conditionFailed(failure)
        }
        let next = try NextConfiguration(applying: change, to: live.services).services
        return ChangePreview(
            diff: ConfigurationDiff(from: live.services, to: next),
            effects: ChangeEffects(from: live.services, to: next) { _, backend in backend == nil ? 5 : 3 },
            current: live
        )
    }

    func pendingChange() async -> PendingChange? {
        noteThread()
        return state.withLock { $0.pending }
    }

    func confirm(
        _ id: Int, origin: ChangeOrigin, if condition: ChangeCondition
    ) async throws(ChangeRefusal) -> LiveConfiguration {
        try await endPending(id, .confirmed)
    }

    func revert(
        _ id: Int, origin: ChangeOrigin, if condition: ChangeCondition
    ) async throws(ChangeRefusal) -> LiveConfiguration {
        try await endPending(id, .reverted)
    }

    private func endPending(_ id: Int, _ end: ConfirmationKeeper.End) async throws(ChangeRefusal) -> LiveConfiguration {
        noteThread()
        guard state.withLock({ $0.pending?.id }) == id else {
            throw .notPending(id: id, end: state.withLock { $0.pendingEnd })
        }
        state.withLock {
            $0.pending = nil
            $0.pendingEnd = end
        }
        return await configuration()
    }

    func history(before id: Int?, limit: Int) async -> HistoryPage {
        noteThread()
        return FakeControl.history.page(before: id, limit: limit)
    }

    func historyEntry(_ id: Int) async -> HistoryDetail? {
        noteThread()
        return FakeControl.history.detail(of: id)
    }

    /// The service `web` came, and went.
    static let history: History = {
        var history = History()
        for (request, before, after) in [("start", [], [web]), ("DELETE /web", [web], [])] {
            history.add(
                MadeChange(
                    origin: ChangeOrigin(peer: "127.0.0.1:4000", request: request), before: before, after: after,
                    version: VersionTag(text: "v"), milliseconds: 1_764_115_200_029
                )
            )
        }
        return history
    }()

    func statistics() async -> LiveStatistics {
        noteThread()
        return state.withLock {
            LiveStatistics(services: $0.services.map(Self.statistics), versions: $0.versions)
        }
    }

    func ringStatistics() async -> [RingStatistics] {
        noteThread()
        return FakeControl.rings
    }

    func recentSessions(_ query: RecentSessionsQuery) async -> RecentSessions? {
        noteThread()
        guard let recent = FakeControl.recent(state.withLock { $0.remembersSessions }) else { return nil }
        var wanted = recent
        wanted.sessions = Array(recent.sessions.filter(query.isWanted).prefix(query.limit))
        return wanted
    }

    func metrics(_ bounds: DistributionBounds) async -> MetricsReading {
        noteThread()
        return MetricsReading(
            services: await statistics().services, distributions: state.withLock { $0.services.map { _ in nil } },
            rings: FakeControl.rings)
    }

    func readiness() async -> shuttled.Readiness { state.withLock { $0.readiness } }

    func wait(for wait: ServiceWait, timeout: TimeAmount, presence: ClientPresence) async -> ServiceWait.Outcome {
        noteThread()
        let outcome = state.withLock { state in
            state.waits.append((wait, timeout))
            return state.waitOutcome
        }
        if let outcome {
            return outcome
        }
        let end = await withCheckedContinuation { continuation in
            presence.onEnd { continuation.resume(returning: $0) }
        }
        state.withLock { $0.waitEnds.append(end) }
        switch end {
        case .left, .stalled: return .clientLeft
        case .revoked: return .revoked
        case .stopping: return .shuttingDown
        }
    }

    func noteThread() {
        let isOnLoop = loop.inEventLoop
        state.withLock { $0.wereCallsOnLoop = $0.wereCallsOnLoop && isOnLoop }
    }

    /// Statistics in which every number is another one.
    static func statistics(of service: ServiceConfiguration) -> ServiceReport {
        ServiceReport(
            ServiceStatistics(
                configuration: service, sentBytes: 11, receivedBytes: 12, errors: 13, connections: 14, active: 15,
                panics: 29,
                queued: 16, refused: 17, refusedPerClient: 18, queueTimeouts: 19, queueOverflows: 20,
                denied: 35, refusedByRate: 36, delayed: 37, delays: 38, bandwidthHolds: 39, retried: 40,
                prereadFailures: 42, prereadTimeouts: 41, routed: 43,
                draining: 31, ended: SessionEnds(idle: 16, halfClose: 17, lifetime: 18, drain: 19, operator: 20),
                backends: service.backends.map {
                    BackendStatistics(
                        configuration: $0, isUp: true, sentBytes: 21, receivedBytes: 22, errors: 23, connections: 24,
                        active: 25, checkSuccesses: 26, checkFailures: 27,
                        isEjected: true, ejections: 28, lastFailure: .timedOut, retried: 38, slowStartPercent: 36,
                        draining: 34,
                        ended: SessionEnds(idle: 28, halfClose: 29, lifetime: 30, drain: 32, operator: 33),
                        lastCheck: CheckResult(
                            status: .fail, reason: #"expected "+PONG", got "-LOADING""#, durationMicroseconds: 28,
                            endedAtMilliseconds: 1_764_115_200_029
                        )
                    )
                }
            )
        )
    }

    /// Rings in which every number is another one.
    static let rings = [10, 20].map { first in
        RingStatistics(
            index: first / 10 - 1, sessions: first + 1, turns: UInt64(first + 13), submissions: UInt64(first + 14),
            completions: UInt64(first + 15), completionOverflows: UInt64(first + 16), starvations: UInt64(first + 2),
            acceptPauses: UInt64(first + 3),
            staleCompletions: UInt64(first + 4), splicedBytes: UInt64(first + 5), adoptions: UInt64(first + 6),
            adoptionMicrosecondsP999: UInt64(first + 7), adoptionMicrosecondsMax: UInt64(first + 8),
            inspectionTurns: UInt64(first + 13), inspectionMicrosecondsP999: UInt64(first + 15),
            inspectionMicrosecondsMax: UInt64(first + 14),
            adoptionDurations: [9, 11].map { step in
                RingStatistics.DurationCount(nanosecondsMax: UInt64(first + step), count: UInt64(first + step + 1))
            }
        )
    }

    static let web = ServiceConfiguration(
        name: "web", address: "127.0.0.1:8080",
        backends: [BackendConfiguration(name: "one", address: "10.0.0.1:80", checkAddress: "10.0.0.1:81", weight: 3)]
    )
}

// Owns what the control plane asks of the data plane: the seam at which tests put one that fails in chosen ways.
// Leaves to others: doing it (ShuttleEngine's Engine).

import ShuttleEngine

/// The engine as the control plane uses it. Called on the control loop only.
///
/// There is one writer, hence one change between `prepare` and `commit` or `abandon` at most.
protocol DataPlane: AnyObject {
    var ringCount: Int { get }
    /// Sessions that fit at the same time.
    var sessionCapacity: Int { get }
    /// Sessions now, also those of removed services.
    var activeSessions: Int { get }
    /// Binds the listeners of `services` that are new; on failure nothing has changed.
    func prepare(_ services: [ResolvedService]) throws(ListenFailure)
    /// Closes what `prepare` opened.
    func abandon()
    /// Publishes what was prepared; `progress` says when every ring has taken it up.
    func commit() -> Epoch
    func progress(_ epoch: Epoch) -> CommitProgress
    func setHealth(service: String, backend: String, isUp: Bool)
    /// Backends that their traffic takes out or lets back; `milliseconds` never goes back.
    func judgeTraffic(at milliseconds: UInt64) -> [EjectionChange]
    func recordCheck(service: String, backend: String, result: CheckResult)
    func statistics() -> [ServiceStatistics]
    func ringStatistics() -> [RingStatistics]
    /// Rounds of each ring's loop, and having each make one.
    func ringTurns() -> [UInt64]
    func wakeRings()
    /// Sessions that each ring remembers when they have ended; 0 for none.
    var recentSessionsPerRing: Int { get }
    /// The newest that have ended, the newest first.
    func recentSessions(limit: Int, where isWanted: (FinishedSession) -> Bool) -> [FinishedSession]
    /// Where a reader begins that wants every session to be logged that ends from now on.
    func sessionCursor() -> FinishedSessionCursor
    func takeLoggedSessions(since cursor: inout FinishedSessionCursor, limit: Int) -> FinishedSessions
    /// How long the sessions of each service took, in the order of `statistics`.
    func sessionDistributions(_ bounds: DistributionBounds) -> [SessionDistributions?]
    /// Asks one ring about its sessions; one question at a time.
    func ask(_ query: SessionQuery, ring: Int)
    /// Its answer, nil while there is none.
    func sessionAnswer() -> SessionAnswer?
    /// What would become of a client that came now; nil where there is no such service.
    func explain(service: String, client: ExplainedClient) -> Explanation?
    /// Whether there is such a service or backend, or was, and has sessions.
    func hasSessions(ofService service: String?, backend: String?) -> Bool
    /// Closes every listener; `progress` says when it is done.
    func stopAccepting() -> Epoch
    func cutSessions()
    func stop()
}

/// The real one. It keeps the prepared change, which cannot be copied and hence not be passed through a protocol.
final class EngineDataPlane: DataPlane {
    private let engine: Engine
    private var prepared: PreparedChange?

    init(_ engine: sending Engine) {
        self.engine = engine
    }

    var ringCount: Int { engine.report.ringCount }
    var sessionCapacity: Int { engine.report.sessionCapacity }
    var activeSessions: Int { engine.activeSessions }

    func prepare(_ services: [ResolvedService]) throws(ListenFailure) {
        precondition(prepared == nil, "a change is under way already")
        prepared = try engine.prepare(services)
    }

    func abandon() {
        if let change = prepared.take() {
            engine.abandon(change)
        }
    }

    func commit() -> Epoch {
        guard let change = prepared.take() else {
            preconditionFailure("nothing was prepared")
        }
        return engine.commit(change)
    }

    func progress(_ epoch: Epoch) -> CommitProgress { engine.progress(epoch) }

    func setHealth(service: String, backend: String, isUp: Bool) {
        engine.setHealth(service: service, backend: backend, isUp: isUp)
    }

    func recordCheck(service: String, backend: String, result: CheckResult) {
        engine.recordCheck(service: service, backend: backend, result: result)
    }

    func judgeTraffic(at milliseconds: UInt64) -> [EjectionChange] { engine.judgeTraffic(at: milliseconds) }
    func statistics() -> [ServiceStatistics] { engine.statistics() }
    func ringStatistics() -> [RingStatistics] { engine.ringStatistics() }
    func ringTurns() -> [UInt64] { engine.turns() }
    func wakeRings() { engine.wakeRings() }
    var recentSessionsPerRing: Int { engine.recentSessionsPerRing }
    func recentSessions(limit: Int, where isWanted: (FinishedSession) -> Bool) -> [FinishedSession] {
        engine.recentSessions(limit: limit, where: isWanted)
    }
    func sessionCursor() -> FinishedSessionCursor { engine.sessionCursor() }
    func takeLoggedSessions(since cursor: inout FinishedSessionCursor, limit: Int) -> FinishedSessions {
        engine.takeLoggedSessions(since: &cursor, limit: limit)
    }
    func sessionDistributions(_ bounds: DistributionBounds) -> [SessionDistributions?] {
        engine.sessionDistributions(bounds)
    }
    func ask(_ query: SessionQuery, ring: Int) { engine.ask(query, ring: ring) }
    func sessionAnswer() -> SessionAnswer? { engine.sessionAnswer() }
    func explain(service: String, client: ExplainedClient) -> Explanation? {
        engine.explain(service: service, client: client)
    }
    func hasSessions(ofService service: String?, backend: String?) -> Bool {
        engine.hasSessions(ofService: service, backend: backend)
    }
    func stopAccepting() -> Epoch { engine.stopAccepting() }
    func cutSessions() { engine.cutSessions() }
    func stop() { engine.stop() }
}

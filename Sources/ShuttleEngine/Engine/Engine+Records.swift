// Owns telling of sessions that have ended: the newest of all rings, and those since a reader has looked. Rings are not asked
// and not held up: records are read where their workers have left them. Leaves to others: their form (Counters/SessionRecord).

import Synchronization

extension Engine {
    /// The newest sessions that have ended and for which `isWanted` holds, the newest first; at most `limit`.
    ///
    /// Of each ring the last `Options.recentSessionsPerRing` are looked at. What is overwritten meanwhile is left out.
    public func recentSessions(limit: Int, where isWanted: (FinishedSession) -> Bool = { _ in true })
        -> [FinishedSession]
    {
        let rings = workers.map(\.link)
        var positions = rings.map { $0.pointee.records.end }
        let oldest = zip(rings, positions).map { ring, end in
            end - min(end, UInt64(min(recentSessionsPerRing, ring.pointee.records.capacity)))
        }
        // The next candidate of each ring; the newest of them is the next of all.
        var heads: [SessionRecord?] = rings.map { _ in nil }
        func advance(_ ring: Int) {
            heads[ring] = nil
            while heads[ring] == nil, positions[ring] > oldest[ring] {
                positions[ring] -= 1
                heads[ring] = rings[ring].pointee.records.record(at: positions[ring])
            }
        }
        for ring in rings.indices { advance(ring) }
        var sessions: [FinishedSession] = []
        while sessions.count < limit {
            var newest: (ring: Int, record: SessionRecord)?
            for (ring, head) in heads.enumerated() {
                guard let head, newest.map({ head.endedAt > $0.record.endedAt }) ?? true else { continue }
                newest = (ring, head)
            }
            guard let (ring, record) = newest else { break }
            let session = named(record, ring: ring)
            if isWanted(session) { sessions.append(session) }
            advance(ring)
        }
        return sessions
    }

    /// Where a reader begins that wants every session to be logged that ends from now on.
    public func sessionCursor() -> FinishedSessionCursor {
        let logged = workers.map { $0.link.pointee.records.loggedEnd }
        return FinishedSessionCursor(positions: workers.map { $0.link.pointee.records.end }, logged: logged)
    }

    /// The sessions to be logged that have ended since `cursor`, at most `limit`; moves the cursor behind them.
    public func takeLoggedSessions(since cursor: inout FinishedSessionCursor, limit: Int) -> FinishedSessions {
        precondition(cursor.positions.count == workers.count, "the cursor is of another engine")
        var taken = FinishedSessions(sessions: [])
        for offset in workers.indices where taken.sessions.count < limit {
            let ring = (cursor.nextRing + offset) % workers.count
            taken.lost += workers[ring].link.pointee.records.takeLogged(
                from: &cursor.positions[ring], logged: &cursor.logged[ring], limit: limit - taken.sessions.count
            ) { taken.sessions.append(named($0, ring: ring)) }
        }
        cursor.nextRing = (cursor.nextRing + 1) % workers.count
        return taken
    }

    /// How long sessions that have ended took and what they moved, by service in the order of the configuration; nil where
    /// none has ended yet.
    public func sessionDistributions(_ bounds: DistributionBounds) -> [SessionDistributions?] {
        services.map { service in
            let record = service.table.pointee.record
            // Memory of those that nobody has come to stays untouched.
            guard record.pointee.counters.sum({ $0.connections.load(ordering: .relaxed) }) > 0 else { return nil }
            func distribution(_ measure: SessionMeasure, _ exponents: [Int]) -> MagnitudeDistribution {
                record.pointee.histograms.summary(measure).distribution(atPowersOfTwo: exponents)
            }
            let duration = distribution(.duration, bounds.durations)
            guard duration.count > 0 else { return nil }
            return SessionDistributions(
                connect: distribution(.connect, bounds.times), firstByte: distribution(.firstByte, bounds.times),
                wait: distribution(.wait, bounds.times), duration: duration, sent: distribution(.sent, bounds.bytes),
                received: distribution(.received, bounds.bytes))
        }
    }

    private func named(_ record: SessionRecord, ring: Int) -> FinishedSession {
        let backend = records.names.backends[record.backend]
        return FinishedSession(
            ring: ring,
            service: records.names.services[record.service] ?? "",
            backend: backend?.name,
            backendAddress: backend?.address,
            record: record
        )
    }

    // MARK: Names

    /// Names that are kept for records of what is gone, at most: twice as many as there can be records, so that the look
    /// through all of them is worth it.
    private var departedNamesMax: Int { 2 * workers.reduce(0) { $0 + $1.link.pointee.records.capacity } + 1024 }

    /// Forgets the names that no record has any more, once there are many.
    func forgetNames() {
        guard records.names.departedCount > departedNamesMax else { return }
        var services: Set<UInt32> = []
        var backends: Set<UInt32> = []
        for worker in workers {
            let end = worker.link.pointee.records.end
            let count = min(end, UInt64(worker.link.pointee.records.capacity))
            for position in end - count..<end {
                guard let record = worker.link.pointee.records.record(at: position) else { continue }
                services.insert(record.service)
                backends.insert(record.backend)
            }
        }
        records.names.forget(exceptServices: services, exceptBackends: backends)
    }
}

extension SessionRecord {
    /// Nanoseconds of the rings' clock.
    public var endedAt: UInt64 { startedAt &+ duration }
}

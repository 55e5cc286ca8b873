// Owns asking the rings about their sessions: the memory of the question, and names for what was found.
// Leaves to others: looking (Worker+Inspect), in which order rings are asked and what for (shuttled/Control).

import Synchronization

extension Engine {
    /// Asks one ring about its sessions; `sessionAnswer` says when it has answered. One question at a time.
    ///
    /// The ring looks at a few slots in each turn of its loop, between everything else that it does.
    public func ask(_ query: SessionQuery, ring: Int) {
        precondition(asked == nil, "a ring was asked before another has answered")
        let inspection = UnsafeMutablePointer<SessionInspection>.allocate(capacity: 1)
        switch query {
        case .list(let filter, let place, let limit, let wantsClients):
            inspection.initialize(
                to: SessionInspection(
                    .list, match: match(filter), wantsClients: wantsClients, from: place, rowCapacity: limit))
        case .look(let identifiers):
            let targets = Engine.targets(identifiers, ring: ring)
            inspection.initialize(
                to: SessionInspection(.look, wantsClients: true, targets: targets, rowCapacity: targets.count))
        case .end(let identifiers):
            inspection.initialize(
                to: SessionInspection(.end, targets: Engine.targets(identifiers, ring: ring), rowCapacity: 0))
        }
        asked = (ring, inspection)
        let link = workers[ring].link
        _ = link.pointee.inspections.put(inspection)
        link.pointee.command(WorkerLink.inspectCommand)
        wake([ring])
    }

    /// What the ring has answered; nil while it has not. Nothing when the engine was stopped meanwhile.
    public func sessionAnswer() -> SessionAnswer? {
        guard let (ring, inspection) = asked else { return SessionAnswer() }
        // One that has ended has no sessions, and answers nobody.
        guard
            inspection.pointee.isDone.load(ordering: .acquiring)
                || workers[ring].link.pointee.hasEnded.load(ordering: .acquiring)
        else {
            // A wake can be lost when a ring's queue is full.
            wake([ring])
            return nil
        }
        defer { forgetQuestion() }
        let isListed = inspection.pointee.work == .list && !inspection.pointee.isComplete
        return SessionAnswer(
            sessions: inspection.pointee.rows[..<inspection.pointee.rowCount].map { report($0, ring: ring) },
            next: isListed && inspection.pointee.isDone.load(ordering: .relaxed) ? inspection.pointee.next : nil,
            endedCount: inspection.pointee.endedCount
        )
    }

    /// Whether there is such a service or backend, or was, and has sessions; without a service, a backend of any.
    public func hasSessions(ofService service: String?, backend: String?) -> Bool {
        if let backend { return !records.backends(named: backend, of: service).isEmpty }
        return service.map { !records.services(named: $0).isEmpty } ?? true
    }

    /// Frees it; the ring must be through with it.
    func forgetQuestion() {
        guard let (_, inspection) = asked.take() else { return }
        inspection.pointee.match.services?.deallocate()
        inspection.pointee.match.backends?.deallocate()
        inspection.deinitialize(count: 1)
        inspection.deallocate()
    }

    private func match(_ filter: SessionFilter) -> SessionMatch {
        SessionMatch(
            services: filter.service.map { Engine.copy(records.services(named: $0)) },
            backends: filter.backend.map { Engine.copy(records.backends(named: $0, of: filter.service)) },
            clients: filter.client?.addresses,
            ageMinMilliseconds: filter.ageMinMilliseconds,
            idleMinMilliseconds: filter.idleMinMilliseconds,
            bytesMin: filter.bytesMin
        )
    }

    private static func copy<Record: ~Copyable>(
        _ records: [UnsafeMutablePointer<Record>]
    ) -> UnsafeBufferPointer<UnsafeMutablePointer<Record>> {
        let memory = UnsafeMutableBufferPointer<UnsafeMutablePointer<Record>>.allocate(capacity: records.count)
        _ = memory.initialize(from: records.sorted())
        return UnsafeBufferPointer(memory)
    }

    private static func targets(_ identifiers: [SessionIdentifier], ring: Int) -> [SessionTarget] {
        identifiers.map {
            precondition($0.ring == ring, "a session was asked for at another ring than its own")
            return SessionTarget(place: $0.place, generation: $0.generation)
        }
    }

    private func report(_ row: SessionRow, ring: Int) -> SessionReport {
        SessionReport(
            identifier: SessionIdentifier(
                ring: ring, place: row.target.place, generation: row.target.generation),
            network: row.isOfDatagrams ? .udp : .tcp,
            state: row.state,
            service: records.name(of: row.service) ?? "",
            backend: row.backend.flatMap { records.name(of: $0) },
            client: row.client,
            lookedAtMilliseconds: row.now,
            ageMilliseconds: row.ageMilliseconds,
            idleMilliseconds: row.idleMilliseconds,
            sentBytes: row.sentBytes,
            receivedBytes: row.receivedBytes
        )
    }
}

// Owns how a worker looks through its sessions for the control thread, and ends some of them: a few in a turn, so that no
// session waits for long. Leaves to others: what is asked (SessionInspection), ending a session (Worker+Close).

import Synchronization

extension Worker where Ring: ~Copyable {
    /// Slots looked at in a turn. Each may cost a few cache misses and a call for the client's address, together less than
    /// a microsecond.
    static var slotsPerLook: UInt32 { 16 }
    /// Sessions ended in a turn: each costs several operations that are taken back.
    static var endsPerTurn: UInt32 { 16 }

    /// The control thread has a question.
    @inline(never)
    mutating func takeInspection() {
        // Before it is taken: the next one is put in only when this one is done.
        link.pointee.commands.bitwiseAnd(~WorkerLink.inspectCommand, ordering: .acquiringAndReleasing)
        guard let next = link.pointee.inspections.take() else { return }
        precondition(inspection == nil, "a second question came before the first was answered")
        inspection = next
        isFollowing = true
    }

    mutating func continueInspection() {
        guard let inspection else { return }
        let start = ring.nowNanoseconds()
        let isDone =
            switch inspection.pointee.work {
            case .list: list(inspection)
            case .look: lookAtTargets(inspection)
            case .end: endTargets(inspection)
            }
        link.pointee.inspectionTurns.record(ring.nowNanoseconds() &- start)
        guard isDone else { return }
        self.inspection = nil
        // The last touch of it.
        inspection.pointee.isDone.store(true, ordering: .releasing)
    }

    // MARK: Listing

    private func list(_ inspection: UnsafeMutablePointer<SessionInspection>) -> Bool {
        let end = placeOfDatagrams(datagrams.table.touchedCount)
        for _ in 0..<Self.slotsPerLook {
            var place = inspection.pointee.next
            if Int(place) < sessions.capacity, place >= sessions.touchedCount { place = placeOfDatagrams(0) }
            guard place < end else {
                inspection.pointee.isComplete = true
                return true
            }
            guard inspection.pointee.rowCount < inspection.pointee.rows.count else { return true }
            inspection.pointee.next = place &+ 1
            guard var row = row(at: place), inspection.pointee.match.matches(row) else { continue }
            if inspection.pointee.wantsClients || inspection.pointee.match.clients != nil {
                row.client = client(at: place)
                guard inspection.pointee.match.matches(row.client) else { continue }
            }
            inspection.pointee.append(row)
        }
        return false
    }

    private func lookAtTargets(_ inspection: UnsafeMutablePointer<SessionInspection>) -> Bool {
        let end = min(UInt32(inspection.pointee.targets.count), inspection.pointee.next &+ Self.slotsPerLook)
        while inspection.pointee.next < end {
            let target = inspection.pointee.targets[Int(inspection.pointee.next)]
            inspection.pointee.next &+= 1
            guard var row = row(of: target) else { continue }
            if inspection.pointee.wantsClients { row.client = client(at: target.place) }
            inspection.pointee.append(row)
        }
        inspection.pointee.isComplete = Int(end) == inspection.pointee.targets.count
        return inspection.pointee.isComplete
    }

    // MARK: Ending

    private mutating func endTargets(_ inspection: UnsafeMutablePointer<SessionInspection>) -> Bool {
        let end = min(UInt32(inspection.pointee.targets.count), inspection.pointee.next &+ Self.endsPerTurn)
        while inspection.pointee.next < end {
            let target = inspection.pointee.targets[Int(inspection.pointee.next)]
            inspection.pointee.next &+= 1
            guard let row = row(of: target), row.state != .closing else { continue }
            inspection.pointee.endedCount += 1
            if row.isOfDatagrams {
                endDatagramSession(target.place &- placeOfDatagrams(0), .operator)
            } else {
                self.end(target.place, .operator)
            }
        }
        inspection.pointee.isComplete = Int(end) == inspection.pointee.targets.count
        return inspection.pointee.isComplete
    }

    // MARK: One session

    /// As `datagramTimer`.
    private func placeOfDatagrams(_ slot: UInt32) -> UInt32 { datagramTimer(slot) }

    private func row(of target: SessionTarget) -> SessionRow? {
        guard let row = row(at: target.place), row.target.generation == target.generation else { return nil }
        return row
    }

    /// The session at a place, without its client; nil where there is none.
    private func row(at place: UInt32) -> SessionRow? {
        guard Int(place) >= sessions.capacity else { return connectionRow(place) }
        return datagramRow(place)
    }

    private func connectionRow(_ place: UInt32) -> SessionRow? {
        guard place < sessions.touchedCount else { return nil }
        let slot = sessions[place]
        guard slot.pointee.isOccupied else { return nil }
        let lastActivity = max(slot.pointee.downstreamClock.lastActivity, slot.pointee.upstreamClock.lastActivity)
        return SessionRow(
            target: SessionTarget(place: place, generation: slot.pointee.generation),
            isOfDatagrams: false,
            state: slot.pointee.session.state,
            service: slot.pointee.service,
            backend: slot.pointee.backend,
            now: now,
            ageMilliseconds: now &- slot.pointee.facts.pointee.startedAt / 1_000_000,
            idleMilliseconds: now &- lastActivity,
            sentBytes: slot.pointee.facts.pointee.sentBytes,
            receivedBytes: slot.pointee.facts.pointee.receivedBytes
        )
    }

    private func datagramRow(_ place: UInt32) -> SessionRow? {
        let slot = place &- placeOfDatagrams(0)
        guard slot < datagrams.table.touchedCount, datagrams.table.isLive(slot) else { return nil }
        let session = datagrams[slot]
        return SessionRow(
            target: SessionTarget(place: place, generation: datagrams.table.generation(of: slot)),
            isOfDatagrams: true,
            state: .relaying,
            service: session.pointee.service,
            backend: session.pointee.backend,
            now: now,
            ageMilliseconds: now &- session.pointee.facts.startedAt / 1_000_000,
            idleMilliseconds: now &- datagrams.table.lastActivity(of: slot),
            sentBytes: session.pointee.facts.sentBytes,
            receivedBytes: session.pointee.facts.receivedBytes
        )
    }

    private func client(at place: UInt32) -> SocketAddress? {
        guard Int(place) >= sessions.capacity else { return address(ofClient: place)?.unmapped }
        return datagrams.table.path(of: place &- placeOfDatagrams(0)).clientAddress.unmapped
    }
}

// Owns what must hold: after every turn, whenever nothing can happen any more, and at the end.

import Synchronization

@testable import ShuttleEngine

extension Simulation {
    // MARK: After every turn

    /// Buffers add up; sessions that began to close are known to have.
    func checkAfterTurn(_ index: Int) {
        let ring = rings[index]
        var queued = 0
        var occupied = 0
        var pipes = 0
        for slotIndex in 0..<workers[index].sessions.touchedCount {
            let slot = workers[index].sessions[slotIndex]
            guard slot.pointee.isOccupied else { continue }
            occupied += 1
            if slot.pointee.queuePosition != .max || slot.pointee.wasPreread || slot.pointee.rateLimiter != 0 {
                ring.waited.insert(SlotUse(slot: slotIndex, generation: slot.pointee.generation))
            }
            noteFullListenQueue(ring, slotIndex, slot)
            let (up, down) = (slot.pointee.session.upward.queue.count, slot.pointee.session.downward.queue.count)
            queued += Int(up + down)
            buffersHeldMax = max(buffersHeldMax, Int(max(up, down)))
            for side in [Side.downstream, .upstream] { pipes += checkPipe(ring, slotIndex, slot, from: side) }
            guard Int(slotIndex) < ring.sessions.count, let session = ring.sessions[Int(slotIndex)],
                session.generation == slot.pointee.generation
            else { continue }
            if session.isHeld || slot.pointee.session.isHeld { session.lastHeld = network.now }
            session.isHeld = slot.pointee.session.isHeld
            guard slot.pointee.session.phase == .closing, !session.isClosing else { continue }
            network.ledger.beganClosing(session)
        }
        ring.checkBuffers(queued: queued)
        if pipes != ring.takenPipeCount {
            network.violate(.leak, "ring \(index): \(ring.takenPipeCount) pipes are in use, flows hold \(pipes)")
        }
        let counted = links[index].pointee.sessions.load(ordering: .relaxed)
        if counted != occupied || workers[index].sessions.count != occupied {
            network.violate(.counters, "ring \(index) counts \(counted) sessions and has \(occupied)")
        }
    }

    /// A session that asks a full listen queue again has no connect under way: what it chooses afterwards is chosen by
    /// what is known then, as by one that has waited for a place.
    private func noteFullListenQueue(_ ring: RingCore, _ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        guard slot.pointee.session.phase == .connecting, slot.pointee.upstream < 0, !slot.pointee.awaitsFirstReceive,
            let backend = slot.pointee.backend, backend.pointee.address.pointee.isUnix
        else { return }
        let use = SlotUse(slot: index, generation: slot.pointee.generation)
        if ring.waited.insert(use).inserted { queuesFoundFull += 1 }
        ring.askingAgain[use] = backend.pointee.address.pointee.simulatedPort
    }

    /// A flow holds a pipe just while it is spliced and owes what is in it; 1 when it holds one.
    private func checkPipe(
        _ ring: RingCore,
        _ index: UInt32,
        _ slot: UnsafeMutablePointer<SessionSlot>,
        from side: Side
    ) -> Int {
        let flow = slot.pointee.session.flow(from: side)
        let place = "ring \(ring.index), slot \(index), from \(side): "
        if flow.isSplicing && !flow.queue.isEmpty {
            network.violate(.misuse, place + "it is spliced with \(flow.queue.count) buffers in its queue")
        }
        guard flow.pipe != .none else {
            if flow.isSplicing && flow.owedBytes > 0 {
                network.violate(.misuse, place + "\(flow.owedBytes) bytes are owed from no pipe")
            }
            return 0
        }
        guard ring.pipes.indices.contains(Int(flow.pipe.rawValue)) else {
            network.violate(.misuse, place + "there is no pipe \(flow.pipe.rawValue)")
            return 0
        }
        let pipe = ring.pipes[Int(flow.pipe.rawValue)]
        if !flow.isSplicing { network.violate(.misuse, place + "it is copied and holds a pipe") }
        if pipe.count == 0 || pipe.count != Int(flow.owedBytes) || pipe.source?.session?.slot != index {
            network.violate(.misuse, place + "\(flow.owedBytes) bytes are owed; its pipe has \(pipe.count)")
        }
        return 1
    }

    func splicedFlowCount(_ index: Int) -> Int {
        var count = 0
        for slotIndex in 0..<workers[index].sessions.touchedCount {
            let slot = workers[index].sessions[slotIndex]
            guard slot.pointee.isOccupied else { continue }
            count += slot.pointee.session.upward.isSplicing ? 1 : 0
            count += slot.pointee.session.downward.isSplicing ? 1 : 0
        }
        return count
    }

    // MARK: When nothing can happen at this time

    /// Whoever could go on must have gone on.
    func checkQuiet() {
        checkQueues()
        for (index, ring) in rings.enumerated() {
            let isAcknowledged = control.acknowledged(index) == control.epoch
            if !isAcknowledged {
                network.violate(
                    .snapshot, "ring \(index) rests on epoch \(control.acknowledged(index)) of \(control.epoch)")
            }
            for session in ring.sessions {
                guard let session, !session.isOver, session.isEstablished, let client = session.client,
                    let upstream = session.upstream
                else { continue }
                if client.wasEndRead || upstream.wasEndRead, network.ledger.idleLimits(session).closesAtFirstEnd {
                    checkEnding(session, client, upstream)
                } else {
                    checkQuiet(session, from: client, to: upstream)
                    checkQuiet(session, from: upstream, to: client)
                }
                checkIdle(session, client, upstream)
                checkAge(session, client, upstream)
                checkBothReset(session, client, upstream)
                checkKeepalive(session, client, upstream)
            }
        }
    }

    private func checkQuiet(_ session: SimulatedSession, from source: SimulatedConnection, to sink: SimulatedConnection)
    {
        guard !sink.isDead, !sink.isProxyClosed, !source.isProxyClosed, sink.toldOfResetAt == nil else { return }
        let place = "connection \(source.key) to \(sink.key): "
        if isHeldBack(session, from: source) { return }
        let isSinkIdle = sink.sendOperation == nil && sink.unacknowledged == 0
        if let told = source.toldOfResetAt {
            // The wait before a reset is polled at growing intervals.
            // A receive that is to find the end takes a buffer like any other.
            guard isSinkIdle, sink.accepted == source.sentByPeer, session.ring.freeBufferCount > 0 else { return }
            if network.now > max(told, sink.lastAcknowledgement) + 200 {
                network.violate(.stuck, place + "the reset was not passed on")
            }
            return
        }
        if source.hasPeerReset || sink.hasPeerReset { return }
        let hasUnread = source.unread > 0 || source.hasPeerFinished && !source.wasEndRead
        if hasUnread && isSinkIdle && session.ring.freeBufferCount > 0 {
            network.violate(.stuck, place + "\(source.unread) bytes or the end are not read though there is room")
        }
        if sink.sendOperation == nil && sink.writeReadiness == nil && source.readByProxy > sink.accepted {
            network.violate(.stuck, place + "\(source.readByProxy - sink.accepted) bytes are held back")
        }
        if source.wasEndRead && sink.accepted == source.sentByPeer && !sink.hasProxyFinished {
            network.violate(.stuck, place + "the end was not passed on")
        }
    }

    /// What comes from a connection is not read now since its session is held back to its bandwidth, and is to be.
    private func isHeldBack(_ session: SimulatedSession, from source: SimulatedConnection) -> Bool {
        guard session.isHeld else { return false }
        let slot = workers[session.ring.index].sessions[session.slot]
        let side: Side = source.isClient ? .downstream : .upstream
        guard slot.pointee.generation == session.generation, slot.pointee.session.flow(from: side).isHeld else {
            return false
        }
        return network.now <= workers[session.ring.index].sessions.pace(session.slot, from: side).pointee.resumesAt + 5
    }

    /// With both sides gone there is nothing to wait for.
    private func checkBothReset(
        _ session: SimulatedSession,
        _ client: SimulatedConnection,
        _ upstream: SimulatedConnection
    ) {
        guard client.hasPeerReset, upstream.hasPeerReset, let told = client.toldOfResetAt ?? upstream.toldOfResetAt
        else { return }
        if network.now > max(told, client.resetAt, upstream.resetAt) + 200 {
            network.violate(.stuck, "connections \(client.key) and \(upstream.key) are both reset and held open")
        }
    }

    // MARK: At the end

    func checkCounters() {
        var up: UInt64 = 0
        var down: UInt64 = 0
        for port in Set(control.backends.map(\.port)).sorted() {
            checkCounters(of: port)
            up += UInt64(network.ledger.bytesUp[port] ?? 0)
            down += UInt64(network.ledger.bytesDown[port] ?? 0)
        }
        let records = control.serviceRecords.map(\.record)
        let sum = { (value: (borrowing CounterBlock) -> UInt64) in
            records.reduce(0) { $0 + $1.pointee.counters.sum(value) }
        }
        let counted = [
            sum { $0.sentBytes.load(ordering: .relaxed) }, sum { $0.receivedBytes.load(ordering: .relaxed) },
            sum { $0.connections.load(ordering: .relaxed) },
        ]
        // A client that was led to another service counts there as well.
        let routed = sum { $0.routed.load(ordering: .relaxed) }
        let seen = [up, down, UInt64(network.ledger.acceptedClients) + routed]
        if counted != seen { network.violate(.counters, "services count \(counted); the network saw \(seen)") }
        if records.contains(where: { $0.pointee.counters.active != 0 }) {
            network.violate(.counters, "a service has sessions left in its gauge")
        }
        checkPlacesReturned()
        control.checkReclaimed()
        if plan.isCalm { checkWhole() }
        if plan.hasExactTurns { checkTurns() }
    }

    /// All records that ever stood for a port together.
    private func checkCounters(of port: UInt16) {
        let records = control.backends.filter { $0.port == port }
        let ledger = network.ledger
        let counted = records.reduce([0, 0, 0]) { sum, record in zip(sum, record.counters).map { $0 + $1 } }
        let seen = [
            UInt64(ledger.bytesUp[port] ?? 0), UInt64(ledger.bytesDown[port] ?? 0),
            UInt64(ledger.established[port] ?? 0),
        ]
        let connections = network.connections.filter { $0.port == port && !$0.isClient }
        // One that was established while its session was being closed need not count.
        let used = UInt64(connections.count { $0.wasUsed })
        if counted[0...1] != seen[0...1] || !(used...seen[2]).contains(counted[2]) {
            network.violate(
                .counters,
                "port \(port) counts \(counted) sent, received and connections; the network saw \(seen)"
            )
        }
        if records.contains(where: { $0.record.pointee.active.load(ordering: .relaxed) != 0 }) {
            network.violate(.counters, "port \(port) has sessions left in its gauge")
        }
        let errors = records.reduce(0) { $0 + $1.errors }
        let failed = (ledger.failedConnects[port] ?? 0) + (ledger.fullListenQueues[port] ?? 0)
        let causes = UInt64(failed + connections.count { $0.hasPeerReset })
        if errors > causes { network.violate(.counters, "port \(port) counts \(errors) errors of \(causes)") }
    }

    /// In a calm run every client that came through reached a backend, and both got everything and a clean end.
    private func checkWhole() {
        // Whoever was turned away, for want of slots or of places, is counted.
        let begun = network.ledger.sessions.count { $0.client != nil }
        let turnedAway = control.serviceRecords.reduce(0) { sum, entry in
            let counters = TurnedAway(entry.record)
            return sum + counters.errors + counters.refused + counters.refusedPerClient + counters.queueOverflows
                + counters.denied + counters.refusedByRate
        }
        if network.ledger.acceptedClients != begun + Int(turnedAway) - failedConnects {
            network.violate(
                .end,
                "\(network.ledger.acceptedClients) clients were accepted, \(begun) served, \(turnedAway) turned away"
            )
        }
        for session in network.ledger.sessions {
            // Whoever leaves the queue without having said a word wants nothing any more.
            if session.hasWaited, session.upstream == nil, session.client?.sentByPeer == 0 { continue }
            guard let client = session.client, let upstream = session.upstream, session.isEstablished else {
                network.violate(.end, "a client found no backend")
                continue
            }
            for (source, sink) in [(client, upstream), (upstream, client)] {
                if sink.readByPeer != source.sentByPeer || sink.peer?.sawEnd != true {
                    network.violate(
                        .end,
                        "connection \(sink.key) got \(sink.readByPeer) of \(source.sentByPeer) bytes and "
                            + (sink.peer?.sawEnd == true ? "an end" : "no end")
                    )
                }
            }
        }
    }

    private var failedConnects: Int { network.ledger.failedConnects.values.reduce(0, +) }

    /// Every prefix of turns is a prefix of the rotation, as often as it went round.
    private func checkTurns() {
        for (rotation, ports) in turnsTaken {
            var expected: [UInt16: Int] = [:]
            var taken: [UInt16: Int] = [:]
            guard
                let service = network.ledger.sessions.isEmpty
                    ? nil
                    : control.plans.first(where: {
                        control.compiledService(named: $0.name)?.rotation === rotation
                    })
            else { continue }
            for (index, port) in ports.enumerated() {
                let backend = Int(rotation.sequence[index % rotation.sequence.count])
                expected[service.backends[backend].port, default: 0] += 1
                taken[port, default: 0] += 1
            }
            if expected != taken { network.violate(.balance, "round robin gave \(taken) instead of \(expected)") }
        }
    }

    func checkEnd() {
        for (index, link) in links.enumerated() {
            let stale = link.pointee.staleCompletions.load(ordering: .relaxed)
            if stale != UInt64(rings[index].duplicates) {
                network.violate(.crossed, "ring \(index) dropped \(stale) completions of \(rings[index].duplicates)")
            }
            if link.pointee.sessions.load(ordering: .relaxed) != 0 {
                network.violate(.leak, "ring \(index) has sessions left")
            }
            if !rings[index].armed.isEmpty {
                network.violate(.leak, "ring \(index) has \(rings[index].armed.count) operations left")
            }
            rings[index].checkBuffers(queued: 0)
            if rings[index].takenPipeCount > 0 {
                network.violate(.leak, "ring \(index) has \(rings[index].takenPipeCount) pipes left in use")
            }
        }
        if network.openDescriptors != 0 {
            network.violate(.leak, "\(network.openDescriptors) descriptors are left open")
        }
        if !network.live.allSatisfy(\.isProxyClosed) { network.violate(.leak, "connections are left open") }
        // The newest snapshot stays until the next one is everywhere.
        if control.snapshotCount > 2 { network.violate(.leak, "\(control.snapshotCount) snapshots are left") }
    }
}

// Owns what is done before a session gets its backend where its service reads first: taking in the client's first bytes,
// within a time and a size, and going on with what they have told.
// Leaves to others: what the bytes mean (Preread/), letting the client in (Worker+Admission).

import Synchronization

extension Worker where Ring: ~Copyable {
    /// Who waits to be read on holds one buffer once its client has spoken. The others must keep enough: when more than an
    /// 8th of the buffers are held so, whoever has held one for longest is closed. It would be honest clients only that
    /// suffered if the newest were.
    private static var prereadShareOfBuffers: Int { 8 }

    /// A client whose first bytes decide what becomes of it.
    mutating func beginPreread(_ socket: Int32, _ table: UnsafePointer<ServiceTable>) {
        let index = openSession(socket, table, backend: nil, client: nil, draw: 0)
        let slot = sessions[index]
        let rules = table.pointee.preread
        slot.pointee.wasPreread = true
        // All of it is looked at in one buffer.
        let limit = min(rules.limit, UInt16(clamping: ring.bufferSize))
        sessions.preread(index).initialize(
            to: PrereadSlot(stage: rules.proxyHeader ? .proxyHeader : .clientHello, limit: limit))
        slot.pointee.session.startPrereading()
        slot.pointee.connectDeadline = now &+ UInt64(rules.timeoutMilliseconds)
        timers.set(index, deadline: slot.pointee.connectDeadline)
        touch(index)
    }

    /// Looks at what the client has said so far.
    mutating func preread(_ index: UInt32) {
        sessions[index].pointee.session.withFlow(from: .downstream) { ring.gather(&$0.queue) }
        switch sessions.preread(index).pointee.stage {
        case .proxyHeader: readProxyHeader(index)
        case .clientHello: readClientHello(index)
        }
    }

    private mutating func readProxyHeader(_ index: UInt32) {
        let slot = sessions[index]
        let state = sessions.preread(index)
        let queue = slot.pointee.session.flow(from: .downstream).queue
        switch ProxyHeader.read(ring.firstBytes(of: queue), limit: Int(state.pointee.limit)) {
        case .incomplete: waitForMore(index)
        case .malformed, .tooLong: refusePreread(index)
        case .complete(let length, let addresses):
            state.pointee.conveyed = addresses
            slot.pointee.session.withFlow(from: .downstream) {
                ring.consume(length, from: &$0.queue)
                $0.taken(length)
            }
            guard let table = currentTable(of: slot.pointee.service) else { return orphaned(index) }
            guard table.pointee.preread.clientHello else { return finishPreread(index, table) }
            guard comesIn(index, client(of: index), by: table) else { return deny(index) }
            state.pointee.stage = .clientHello
            // Nothing of the client's is kept any more: what comes next may take its time anew.
            if slot.pointee.session.flow(from: .downstream).queue.isEmpty { stopHolding(index) }
            slot.pointee.session.prereadGoesOn()
        }
    }

    private mutating func readClientHello(_ index: UInt32) {
        let slot = sessions[index]
        guard let table = currentTable(of: slot.pointee.service) else { return orphaned(index) }
        let queue = slot.pointee.session.flow(from: .downstream).queue
        let limit = Int(sessions.preread(index).pointee.limit)
        switch ClientHello.read(ring.firstBytes(of: queue), limit: limit) {
        case .incomplete: waitForMore(index)
        case .malformed, .tooLong: refusePreread(index)
        case .notTLS: finishPreread(index, table)
        case .complete(let hello):
            guard let route = table.pointee.routes.route(of: hello) else { return finishPreread(index, table) }
            leave(index, for: table.pointee.routeTargets[route])
        }
    }

    /// What has come is a beginning, unless nothing more will come.
    private mutating func waitForMore(_ index: UInt32) {
        let slot = sessions[index]
        guard !slot.pointee.session.flow(from: .downstream).isSourceEnded else { return refusePreread(index) }
        slot.pointee.session.prereadInVain()
        if slot.pointee.session.flow(from: .downstream).hasReceived { hold(index) }
    }

    private mutating func refusePreread(_ index: UInt32) {
        let slot = sessions[index]
        // Whoever comes and goes without a word has only looked whether somebody is there.
        if slot.pointee.session.flow(from: .downstream).hasReceived {
            slot.pointee.serviceCounters.pointee.prereadFailures.addAsOnlyWriter(1)
            note(.prereadFailed, index)
        }
        closeStart(index, resetDownstream: false, resetUpstream: false)
    }

    /// Its service was deleted.
    private mutating func orphaned(_ index: UInt32) {
        sessions[index].pointee.serviceCounters.pointee.errors.addAsOnlyWriter(1)
        closeStart(index, because: .serviceRemoved)
    }

    private mutating func finishPreread(_ index: UInt32, _ table: UnsafePointer<ServiceTable>) {
        leavePreread(index)
        timers.clear(index)
        sessions[index].pointee.connectDeadline = 0
        admit(index, to: table)
    }

    /// A route leads to another service: from here on the session is that one's.
    private mutating func leave(_ index: UInt32, for service: UnsafeMutablePointer<ServiceRecord>) {
        let slot = sessions[index]
        guard let table = currentTable(of: service) else { return orphaned(index) }
        let counters = service.pointee.counters.block(of: self.index)
        counters.pointee.connections.addAsOnlyWriter(1)
        counters.pointee.active.addAsOnlyWriter(1)
        slot.pointee.serviceCounters.pointee.routed.addAsOnlyWriter(1)
        // The last touch of the record of before.
        slot.pointee.serviceCounters.pointee.active.addAsOnlyWriter(-1)
        slot.pointee.service = service
        slot.pointee.serviceCounters = counters
        slot.pointee.timeouts.takeBackendSide(of: table.pointee.timeouts)
        slot.pointee.retriesLeft = table.pointee.retries
        renewPace(index)
        finishPreread(index, table)
    }

    mutating func prereadTimedOut(_ index: UInt32) {
        let slot = sessions[index]
        // Who waits for the server to speak says nothing by it: no route is for such a client.
        if sessions.preread(index).pointee.stage == .clientHello,
            !slot.pointee.session.flow(from: .downstream).hasReceived,
            let table = currentTable(of: slot.pointee.service)
        {
            finishPreread(index, table)
            return touch(index)
        }
        slot.pointee.serviceCounters.pointee.prereadTimeouts.addAsOnlyWriter(1)
        closeStart(index, because: .prereadTimeout)
    }

    // MARK: Who the client is

    /// Where a session's client comes from: as a PROXY header has told, else the other end of its connection. Nil where that
    /// has no internet address, or is gone.
    func address(ofClient index: UInt32) -> SocketAddress? {
        conveyedAddresses(of: index)?.source ?? ring.peerAddress(of: sessions[index].pointee.downstream)
    }

    /// The same without the port, as clients are told apart.
    func client(of index: UInt32) -> ClientAddress? { address(ofClient: index).map { ClientAddress($0) } }

    /// What a PROXY header has told of a session's client; nil where its connection's own ends hold.
    func conveyedAddresses(of index: UInt32) -> ConveyedAddresses? {
        sessions[index].pointee.wasPreread ? sessions.preread(index).pointee.conveyed : nil
    }

    // MARK: Holding buffers

    private mutating func hold(_ index: UInt32) {
        let slot = sessions[index]
        guard !sessions.preread(index).pointee.isHolding else { return }
        sessions.preread(index).pointee.isHolding = true
        slot.pointee.nextQueued = SessionTable.none
        slot.pointee.previousQueued = holdingTail
        if holdingTail == SessionTable.none {
            holdingHead = index
        } else {
            sessions[holdingTail].pointee.nextQueued = index
        }
        holdingTail = index
        holdingCount += 1
        if holdingCount > max(1, ring.bufferCount / Self.prereadShareOfBuffers) { prereadTimedOut(holdingHead) }
    }

    /// Forgets that a session is preread.
    mutating func leavePreread(_ index: UInt32) {
        sessions[index].pointee.session.prereadEnded()
        stopHolding(index)
    }

    private mutating func stopHolding(_ index: UInt32) {
        let slot = sessions[index]
        guard sessions.preread(index).pointee.isHolding else { return }
        sessions.preread(index).pointee.isHolding = false
        holdingCount -= 1
        let (previous, next) = (slot.pointee.previousQueued, slot.pointee.nextQueued)
        if previous == SessionTable.none {
            holdingHead = next
        } else {
            sessions[previous].pointee.nextQueued = next
        }
        if next == SessionTable.none {
            holdingTail = previous
        } else {
            sessions[next].pointee.previousQueued = previous
        }
    }
}

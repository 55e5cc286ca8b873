// Owns how connections come in: one-shot accepts, pausing when slots or descriptors run out, and the first steps of
// a session.

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    /// Pause between tries to accept while descriptors are short.
    static var acceptRetryMilliseconds: UInt64 { 100 }

    func acceptTag(_ listener: Int) -> OperationTag {
        OperationTag(.accept, slot: UInt32(listener), generation: listeners[listener].pointee.generation)
    }

    var hasRoom: Bool {
        sessions.count < min(sessions.capacity, view?.pointee.sessionCapacity ?? 0)
    }

    mutating func armAccept(_ listener: Int) {
        guard hasRoom else { return pauseAccepting(listener) }
        listeners[listener].pointee.isAcceptArmed = true
        ring.prepareAccept(on: listeners[listener].pointee.socket, tag: acceptTag(listener))
    }

    private mutating func pauseAccepting(_ listener: Int) {
        guard !listeners[listener].pointee.isPaused else { return }
        listeners[listener].pointee.isPaused = true
        if pausedListeners == 0 { acceptRetryAt = now &+ Self.acceptRetryMilliseconds }
        pausedListeners += 1
        link.pointee.acceptPauses.addAsOnlyWriter(1)
        Probe.acceptPause(listener: listener)
    }

    /// Tries again when this worker freed something, or after a while, since others may have.
    mutating func resumeAccepting() {
        guard hasFreedDescriptor || now >= acceptRetryAt else { return }
        acceptRetryAt = now &+ Self.acceptRetryMilliseconds
        guard hasRoom, !isStopping else { return }
        for index in listeners.indices where listeners[index].pointee.isPaused {
            listeners[index].pointee.isPaused = false
            pausedListeners -= 1
            if listeners[index].pointee.state == .open { armAccept(index) }
        }
    }

    mutating func acceptCompleted(_ completion: Completion) {
        let index = Int(completion.tag.slot)
        guard index < listeners.count, listeners[index].pointee.generation == completion.tag.generation else {
            countStale()
            if completion.result >= 0 { ring.close(completion.result, reset: false) }
            return
        }
        listeners[index].pointee.isAcceptArmed = false
        if completion.result >= 0 {
            acceptedAddress = ring.acceptedAddress(completion.result, by: completion.tag)
            begin(completion.result, at: index)
        }
        switch listeners[index].pointee.state {
        case .open where isStopping: break
        case .open: rearmAccept(index, after: completion.result)
        case .closing:
            listenersLettingGo -= 1
            acknowledgeIfSettled()
        case .draining, .none: break
        }
    }

    private mutating func rearmAccept(_ listener: Int, after result: Int32) {
        switch -result {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: pauseAccepting(listener)
        case ECANCELED, ECONNABORTED, EINTR, EAGAIN, EPROTO: armAccept(listener)
        case let code where code > 0: pauseAccepting(listener)
        default: armAccept(listener)
        }
    }

    /// Serves what is queued on a listener that no ring waits on any more.
    mutating func drain(_ listener: Int) {
        while case .success(let socket) = ring.acceptNow(on: listeners[listener].pointee.socket) {
            acceptedAddress = ring.peerAddress(of: socket).map { RawAddress($0) } ?? RawAddress()
            begin(socket, at: listener)
        }
    }

    /// What the choice of a client's backends is drawn from; by chance as well where the algorithm does not draw, since
    /// another one may have been configured when a further backend is chosen. A client without an address is given to any.
    private mutating func draw(for socket: Int32, _ algorithm: BalanceAlgorithm) -> UInt64 {
        guard algorithm == .hash, let address = ring.peerAddress(of: socket) else { return random.next() }
        return ClientHash.of(address)
    }

    /// A connection is there: give it a slot and a backend, or end it at once.
    private mutating func begin(_ socket: Int32, at listener: Int) {
        guard let table = listeners[listener].pointee.table else { return ring.close(socket, reset: false) }
        let counters = table.pointee.record.pointee.counters.block(of: index)
        counters.pointee.connections.addAsOnlyWriter(1)
        guard hasRoom else {
            counters.pointee.errors.addAsOnlyWriter(1)
            return ring.close(socket, reset: false)
        }
        let draw = draw(for: socket, table.pointee.algorithm)
        if table.pointee.isLimited { return admit(socket, to: table, draw: draw) }
        guard case .reserved(let backend) = table.chooseBackend(for: draw, excluding: TriedBackends()) else {
            counters.pointee.errors.addAsOnlyWriter(1)
            return ring.close(socket, reset: false)
        }
        table.pointee.record.pointee.occupy()
        openSession(socket, table, backend: backend, client: nil, draw: draw)
    }

    /// Gives a connection its slot; with a backend, whose place and that of the service are reserved, it is connected
    /// next.
    @inline(__always)
    @discardableResult
    mutating func openSession(
        _ socket: Int32,
        _ table: UnsafePointer<ServiceTable>,
        backend: UnsafeMutablePointer<BackendRecord>?,
        client: ClientAddress?,
        draw: UInt64
    ) -> UInt32 {
        let counters = table.pointee.record.pointee.counters.block(of: index)
        guard let place = sessions.allocate() else { preconditionFailure("there was room") }
        let slot = sessions[place.index]
        if place.isNew {
            timers.register(place.index)
            slot.pointee.isDirty = false
            slot.pointee.awaitsFirstReceive = false
            slot.pointee.isWatched = false
        }
        counters.pointee.active.addAsOnlyWriter(1)
        link.pointee.sessions.addAsOnlyWriter(1)
        Probe.sessionStart(slot: place.index, descriptor: socket)
        let facts = sessions.facts(place.index)
        facts.initialize(to: SessionFacts(startedAt: turnTime, client: acceptedAddress))
        slot.initialize(
            to: SessionSlot(
                generation: place.generation,
                isOccupied: true,
                // The slot's last session may have left it on a list.
                isDirty: slot.pointee.isDirty,
                isStarved: false,
                awaitsFirstReceive: slot.pointee.awaitsFirstReceive,
                isWatched: slot.pointee.isWatched,
                hasConnectTimedOut: false,
                closesDownstreamByReset: false,
                closesUpstreamByReset: false,
                isCountedAsEstablished: false,
                wasPreread: false,
                nextFree: SessionTable.none,
                nextDirty: slot.pointee.nextDirty,
                nextStarved: SessionTable.none,
                nextConnecting: slot.pointee.nextConnecting,
                nextWatched: slot.pointee.nextWatched,
                previousStarved: SessionTable.none,
                nextQueued: SessionTable.none,
                previousQueued: SessionTable.none,
                queuePosition: .max,
                standing: .none,
                rateLimiter: 0,
                hasPlace: backend != nil,
                isCountedForClient: client != nil,
                clientAddress: client ?? ClientAddress(high: 0, low: 0),
                session: Session(closesAtFirstEnd: table.pointee.closesAtFirstEnd),
                downstream: socket,
                upstream: -1,
                timeouts: table.pointee.timeouts,
                retriesLeft: table.pointee.retries,
                sourcesTried: 0,
                sourceTurn: 0,
                tried: TriedBackends(),
                draw: draw,
                connectDeadline: 0,
                retryDeadline: table.pointee.timeouts.retryMilliseconds == 0
                    ? .max : now &+ UInt64(table.pointee.timeouts.retryMilliseconds),
                keepaliveDeadline: .max,
                lifetimeDeadline: table.pointee.lifetime.deadline(now: now, &random),
                halfClosedAt: 0,
                flushDeadline: 0,
                flushAcknowledged: 0,
                flushPollMilliseconds: 0,
                downstreamClock: IdleClock(now: now),
                upstreamClock: IdleClock(now: now),
                facts: facts,
                service: table.pointee.record,
                serviceCounters: counters,
                backend: backend,
                backendCounters: nil
            )
        )
        if table.pointee.isPaced { renewPace(place.index) }
        if backend != nil {
            touch(place.index)
            connectAfterFirstReceive(place.index)
        }
        return place.index
    }
}

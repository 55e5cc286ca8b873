// Owns how a session gets its backend: connect with a deadline, and another usable backend when that fails.

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    /// The connect waits for one turn, in which what the client has said already is received: then its backend need
    /// not be told that the connection stands before it gets that.
    mutating func connectAfterFirstReceive(_ index: UInt32) {
        let slot = sessions[index]
        guard !slot.pointee.awaitsFirstReceive else { return }
        slot.pointee.awaitsFirstReceive = true
        slot.pointee.nextConnecting = connectingHead
        connectingHead = index
    }

    /// The first of those whose receives are prepared now; what is accepted from here on waits for the next turn.
    @inline(__always)
    mutating func takeConnecting() -> UInt32 {
        let head = connectingHead
        connectingHead = SessionTable.none
        return head
    }

    /// Starts the connects that waited for the completions of this turn. A session may have ended meanwhile, and its
    /// slot may have been given to another, whose connect then does not wait.
    @inline(__always)
    mutating func startConnects(_ head: UInt32) {
        var next = head
        while next != SessionTable.none {
            let index = next
            let slot = sessions[index]
            next = slot.pointee.nextConnecting
            slot.pointee.awaitsFirstReceive = false
            guard slot.pointee.isOccupied, slot.pointee.session.phase == .connecting, slot.pointee.upstream < 0,
                let backend = slot.pointee.backend
            else { continue }
            connect(index, to: backend)
        }
    }

    /// Starts connecting to a backend whose place is reserved.
    mutating func connect(_ index: UInt32, to backend: UnsafeMutablePointer<BackendRecord>) {
        let slot = sessions[index]
        slot.pointee.backend = backend
        slot.pointee.backendCounters = backend.pointee.counters.block(of: self.index)
        slot.pointee.tried.insert(backend.pointee.identifier)
        let address = backend.pointee.address
        switch ring.openSocket(for: address, withData: slot.pointee.session.flow(from: .downstream).owedBytes > 0) {
        case .failure(let error):
            connectFailed(index, code: error.code)
        case .success(let socket):
            slot.pointee.upstream = socket
            slot.pointee.hasConnectTimedOut = false
            slot.pointee.connectDeadline = min(
                now &+ UInt64(slot.pointee.timeouts.connectMilliseconds),
                slot.pointee.retryDeadline
            )
            slot.pointee.session.connectSubmitted()
            ring.prepareConnect(
                socket,
                to: address,
                tag: OperationTag(.connect, slot: index, generation: slot.pointee.generation)
            )
            timers.set(index, deadline: slot.pointee.connectDeadline)
        }
    }

    mutating func connectCompleted(_ completion: Completion) {
        guard let slot = sessions.slot(of: completion.tag) else { return countStale() }
        let index = completion.tag.slot
        if slot.pointee.session.phase == .closing {
            slot.pointee.session.connectFailed()
            return closeJoin(index)
        }
        if completion.result == 0 {
            slot.pointee.session.connected()
            slot.pointee.isCountedAsEstablished = true
            slot.pointee.backendCounters?.pointee.connections.addAsOnlyWriter(1)
            slot.pointee.downstreamClock = IdleClock(now: now)
            slot.pointee.upstreamClock = IdleClock(now: now)
            timers.clear(index)
            slot.pointee.keepaliveDeadline = now &+ Self.keepaliveDelayMilliseconds
            if let reset = slot.pointee.session.resetBy {
                // The client was gone before; what it had said is delivered none the less.
                startFlush(index, slot, of: reset.other)
            } else {
                scheduleFirstIdleCheck(index)
            }
        } else {
            slot.pointee.session.connectFailed()
            // The deadline may have come while the true reason was on its way.
            connectFailed(index, code: completion.result == -ECANCELED ? ETIMEDOUT : -completion.result)
        }
        touch(index)
    }

    /// Our own want of ports or descriptors, which says nothing about the backend.
    private static func isOwnExhaustion(_ code: Int32) -> Bool {
        switch code {
        case EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EAGAIN: true
        default: false
        }
    }

    private mutating func connectFailed(_ index: UInt32, code: Int32) {
        let slot = sessions[index]
        timers.clear(index)
        closeUpstream(slot, reset: false)
        let isOwnFault = Self.isOwnExhaustion(code)
        if !isOwnFault {
            slot.pointee.backendCounters?.pointee.errors.addAsOnlyWriter(1)
            slot.pointee.serviceCounters.pointee.errors.addAsOnlyWriter(1)
            if !wasCutShort(code, slot) { blameBackend(of: slot, for: Self.failure(code)) }
        }
        releaseBackend(slot)
        if slot.pointee.retriesLeft > 0, now < slot.pointee.retryDeadline,
            case .reserved(let next) = chooseAnotherBackend(for: slot)
        {
            slot.pointee.retriesLeft -= 1
            return connect(index, to: next)
        }
        // Besides the failed connects: a client for whom no backend was usable.
        slot.pointee.serviceCounters.pointee.errors.addAsOnlyWriter(1)
        closeStart(index, resetDownstream: false, resetUpstream: false)
    }

    /// A further try that ran into the bound on all of them may have been given no time to speak of.
    private func wasCutShort(_ code: Int32, _ slot: UnsafeMutablePointer<SessionSlot>) -> Bool {
        code == ETIMEDOUT && slot.pointee.tried.count > 1
            && slot.pointee.connectDeadline == slot.pointee.retryDeadline
    }

    private static func failure(_ code: Int32) -> TrafficFailure {
        switch code {
        case ECONNREFUSED: .refused
        case ETIMEDOUT: .timedOut
        case EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN: .unreachable
        case ECONNRESET: .reset
        default: .other
        }
    }

    /// Tells the control thread of a failure. It looks by itself, so that a burst costs it no more than one.
    func blameBackend(of slot: UnsafeMutablePointer<SessionSlot>, for failure: TrafficFailure) {
        guard let backend = slot.pointee.backend else { return }
        backend.pointee.failures.count(failure)
        slot.pointee.service.pointee.hasNewFailures.store(true, ordering: .releasing)
        link.pointee.hasNewFailures.store(true, ordering: .releasing)
    }

    /// By the newest configuration of the session's service; the one it was accepted under may be gone.
    private func chooseAnotherBackend(for slot: UnsafeMutablePointer<SessionSlot>) -> BackendChoice {
        guard let view else { return .unusable }
        for table in view.pointee.tables where table.pointee.record == slot.pointee.service {
            return table.pointee.chooseBackend(excluding: slot.pointee.tried)
        }
        return .unusable
    }

    /// Closes the backend's connection, if there is one. Where the backend's sessions are limited that is done when
    /// this returns, since the place that is released next may be taken by another ring at once.
    @inline(__always)
    mutating func closeUpstream(_ slot: UnsafeMutablePointer<SessionSlot>, reset: Bool) {
        guard slot.pointee.upstream >= 0 else { return }
        if let backend = slot.pointee.backend, backend.pointee.isLimited.load(ordering: .relaxed) {
            ring.closeNow(slot.pointee.upstream, reset: reset)
        } else {
            ring.close(slot.pointee.upstream, reset: reset)
        }
        slot.pointee.upstream = -1
    }

    /// The session's last touch of its backend's record.
    func releaseBackend(_ slot: UnsafeMutablePointer<SessionSlot>) {
        guard let backend = slot.pointee.backend else { return }
        slot.pointee.backend = nil
        slot.pointee.backendCounters = nil
        backend.pointee.release()
    }
}

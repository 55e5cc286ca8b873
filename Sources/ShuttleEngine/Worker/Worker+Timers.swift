// Owns what happens when a session's time has come: connect deadlines, inactivity, the wait before a reset.

import Synchronization

extension Worker where Ring: ~Copyable {
    /// A reset waits this long for a peer that acknowledges nothing of what came before it.
    static var flushStallMilliseconds: UInt64 { 10_000 }
    static var flushPollMaxMilliseconds: UInt64 { 64 }
    /// Shorter than the silence after which the kernel probes, so sessions that end before need no keepalive.
    static var keepaliveDelayMilliseconds: UInt64 { 30_000 }

    mutating func expireTimers() {
        while let index = timers.expire(at: now) {
            guard sessions[index].pointee.isOccupied else { continue }
            timerExpired(index)
        }
    }

    private mutating func timerExpired(_ index: UInt32) {
        let slot = sessions[index]
        switch slot.pointee.session.phase {
        case .closing:
            break
        case .connecting:
            if slot.pointee.session.isQueued { return queueTimedOut(index) }
            guard slot.pointee.session.isConnectInFlight, !slot.pointee.hasConnectTimedOut else { return }
            slot.pointee.hasConnectTimedOut = true
            ring.prepareCancel(OperationTag(.connect, slot: index, generation: slot.pointee.generation))
        case .established:
            if slot.pointee.flushDeadline != 0 {
                pollFlush(index, slot)
            } else {
                scheduleIdleCheck(index)
            }
        }
    }

    // MARK: Inactivity

    /// For a session that has just been established: nothing has happened yet that its sockets could be asked about.
    mutating func scheduleFirstIdleCheck(_ index: UInt32) {
        let slot = sessions[index]
        var next = slot.pointee.keepaliveDeadline
        for timeout in [slot.pointee.timeouts.clientMilliseconds, slot.pointee.timeouts.serverMilliseconds]
        where timeout > 0 {
            next = min(next, now &+ UInt64(timeout))
        }
        timers.set(index, deadline: next)
    }

    /// Judges both sides and sets the time of the next look; ends the session when a side was inactive too long.
    mutating func scheduleIdleCheck(_ index: UInt32) {
        let slot = sessions[index]
        let timeouts = slot.pointee.timeouts
        var next = keepaliveDue(slot)
        for side in [Side.downstream, .upstream] {
            let timeout = side == .downstream ? timeouts.clientMilliseconds : timeouts.serverMilliseconds
            guard timeout > 0 else { continue }
            switch idleVerdict(side, slot, timeout: UInt64(timeout)) {
            case .expired: return abort(index)
            case .checkAgain(let time): next = min(next ?? .max, time)
            }
        }
        if let next { timers.set(index, deadline: next) }
    }

    /// Sets both sockets' keepalive when it is due, for a session that lives long enough to need it; otherwise when
    /// that is.
    private mutating func keepaliveDue(_ slot: UnsafeMutablePointer<SessionSlot>) -> UInt64? {
        let deadline = slot.pointee.keepaliveDeadline
        guard deadline != .max else { return nil }
        guard now >= deadline else { return deadline }
        slot.pointee.keepaliveDeadline = .max
        ring.keepAlive(slot.pointee.downstream)
        ring.keepAlive(slot.pointee.upstream)
        return nil
    }

    private func idleVerdict(
        _ side: Side,
        _ slot: UnsafeMutablePointer<SessionSlot>,
        timeout: UInt64
    ) -> IdleClock.Verdict {
        let socket = slot.pointee.socket(side)
        let isPending =
            slot.pointee.session.flow(from: side.other).isOutputPending || ring.unacknowledgedBytes(socket) > 0
        let acknowledged = ring.acknowledgedBytes(socket)
        let sentAge = ring.millisecondsSinceSent(socket)
        if side == .downstream {
            return slot.pointee.downstreamClock.evaluate(
                now: now,
                timeout: timeout,
                pendingOutput: isPending,
                acknowledgedNow: acknowledged,
                sentAge: sentAge
            )
        }
        return slot.pointee.upstreamClock.evaluate(
            now: now,
            timeout: timeout,
            pendingOutput: isPending,
            acknowledgedNow: acknowledged,
            sentAge: sentAge
        )
    }

    // MARK: The wait before a reset

    /// A side was reset: `side`, the other one, gets to take what came before, as long as it makes progress.
    mutating func startFlush(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>, of side: Side) {
        slot.pointee.flushDeadline = now &+ Self.flushStallMilliseconds
        slot.pointee.flushAcknowledged = ring.acknowledgedBytes(slot.pointee.socket(side))
        slot.pointee.flushPollMilliseconds = 1
        timers.set(index, deadline: now &+ 1)
    }

    /// The kernel does not tell when a peer has acknowledged everything, so it is asked at growing intervals.
    mutating func pollFlush(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        guard let resetBy = slot.pointee.session.resetBy else { return }
        let socket = slot.pointee.socket(resetBy.other)
        // One that is dead itself acknowledges nothing, and nothing else would tell.
        let isDone =
            slot.pointee.session.isAwaitingFlush && ring.unacknowledgedBytes(socket) == 0 || ring.isDead(socket)
        if isDone || now >= slot.pointee.flushDeadline {
            slot.pointee.session.flushed()
            return touch(index)
        }
        let acknowledged = ring.acknowledgedBytes(socket)
        if acknowledged != slot.pointee.flushAcknowledged {
            slot.pointee.flushAcknowledged = acknowledged
            slot.pointee.flushDeadline = now &+ Self.flushStallMilliseconds
        }
        timers.set(index, deadline: now &+ slot.pointee.flushPollMilliseconds)
        slot.pointee.flushPollMilliseconds = min(
            Self.flushPollMaxMilliseconds,
            slot.pointee.flushPollMilliseconds &* 2
        )
    }
}

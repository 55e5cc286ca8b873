// Owns what happens when a session's time has come: connect deadlines, inactivity, age, the wait before a reset.

import Synchronization

extension Worker where Ring: ~Copyable {
    /// A reset waits this long for a peer that acknowledges nothing of what came before it.
    static var flushStallMilliseconds: UInt64 { 10_000 }
    static var flushPollMaxMilliseconds: UInt64 { 64 }

    mutating func expireTimers() {
        while let index = timers.expire(at: now) {
            guard Int(index) < sessions.capacity else {
                datagramTimerExpired(index &- UInt32(truncatingIfNeeded: sessions.capacity))
                continue
            }
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
            if slot.pointee.session.isDelayed { return tokenCame(index) }
            if slot.pointee.session.isPrereading { return prereadTimedOut(index) }
            if slot.pointee.upstream < 0 { return connectAgain(index) }
            guard slot.pointee.session.isConnectInFlight, !slot.pointee.hasConnectTimedOut else { return }
            slot.pointee.hasConnectTimedOut = true
            ring.prepareCancel(OperationTag(.connect, slot: index, generation: slot.pointee.generation))
        case .established:
            if slot.pointee.session.isHeld { noteHeld(slot) }
            if slot.pointee.flushDeadline != 0 {
                pollFlush(index, slot)
            } else {
                scheduleIdleCheck(index)
            }
            // Both have set the timer anew.
            if slot.pointee.session.isHeld, slot.pointee.session.phase == .established { resumePaced(index, slot) }
        }
    }

    // MARK: Inactivity and age

    /// For a session that has just been established: nothing has happened yet that its sockets could be asked about.
    mutating func scheduleFirstIdleCheck(_ index: UInt32) {
        let slot = sessions[index]
        var next = min(slot.pointee.keepaliveDeadline, min(slot.pointee.lifetimeDeadline, drainDeadline(index, slot)))
        for timeout in [slot.pointee.timeouts.clientMilliseconds, slot.pointee.timeouts.serverMilliseconds]
        where timeout > 0 {
            next = min(next, now &+ timeUntilFirstLook(slot, UInt64(timeout)))
        }
        if next != .max { timers.set(index, deadline: next) }
    }

    /// What the peer of a unix socket takes is known by comparing looks: the first one does not wait for the deadline.
    private func timeUntilFirstLook(_ slot: UnsafeMutablePointer<SessionSlot>, _ timeout: UInt64) -> UInt64 {
        isUnix(.downstream, slot) || isUnix(.upstream, slot) ? IdleClock.pause(timeout) : timeout
    }

    /// Judges the session's age and both sides, and sets the time of the next look; ends the session when its time has
    /// come.
    mutating func scheduleIdleCheck(_ index: UInt32) {
        let slot = sessions[index]
        guard now < slot.pointee.lifetimeDeadline else { return end(index, .lifetime) }
        let drained = drainDeadline(index, slot)
        guard now < drained else { return end(index, .drain) }
        var next = min(keepaliveDue(slot), min(slot.pointee.lifetimeDeadline, drained))
        for side in [Side.downstream, .upstream] {
            let (nextLook, reason) = judge(side, slot)
            if let reason { return end(index, reason, of: side) }
            next = min(next, nextLook)
        }
        if next != .max { timers.set(index, deadline: next) }
    }

    /// Sets both sockets' keepalive when it is due, for a session that lives long enough to need it; otherwise when
    /// that is.
    private mutating func keepaliveDue(_ slot: UnsafeMutablePointer<SessionSlot>) -> UInt64 {
        let deadline = slot.pointee.keepaliveDeadline
        guard now >= deadline else { return deadline }
        slot.pointee.keepaliveDeadline = .max
        if !isUnix(.downstream, slot) { ring.keepAlive(slot.pointee.downstream, slot.pointee.timeouts.keepalive) }
        if !isUnix(.upstream, slot) { ring.keepAlive(slot.pointee.upstream, slot.pointee.timeouts.keepalive) }
        return .max
    }

    /// When a side is to be looked at again, `.max` for never, and why it ends the session if it does.
    private func judge(_ side: Side, _ slot: UnsafeMutablePointer<SessionSlot>) -> (nextLook: UInt64, EndReason?) {
        let timeouts = slot.pointee.timeouts
        let timeout = side == .downstream ? timeouts.clientMilliseconds : timeouts.serverMilliseconds
        // Of the direction that remains this is the sink: whatever comes from the source is on its way to it at once.
        let isSinkOfTheRest =
            slot.pointee.halfClosedAt > 0 && !slot.pointee.session.flow(from: side.other).isSinkFinished
        guard timeout > 0 || isSinkOfTheRest else { return (.max, nil) }
        let clock = look(side, slot)
        var nextLook = UInt64.max
        if timeout > 0 {
            switch clock.verdict(now: now, timeout: UInt64(timeout)) {
            case .expired: return (.max, .idle)
            case .checkAgain(let time): nextLook = time
            }
        }
        if isSinkOfTheRest {
            let timeout = UInt64(timeouts.halfCloseMilliseconds)
            switch clock.verdict(now: now, timeout: timeout, from: slot.pointee.halfClosedAt) {
            case .expired: return (.max, .halfClose)
            case .checkAgain(let time): nextLook = min(nextLook, time)
            }
        }
        return (nextLook, nil)
    }

    /// What the kernel says of a side's output, noted in its clock.
    private func look(_ side: Side, _ slot: UnsafeMutablePointer<SessionSlot>) -> IdleClock {
        let socket = slot.pointee.socket(side)
        let isUnix = isUnix(side, slot)
        // What a unix socket has taken its peer's kernel has.
        let isPending =
            slot.pointee.session.flow(from: side.other).isOutputPending
            || !isUnix && ring.unacknowledgedBytes(socket) > 0
        var clock = side == .downstream ? slot.pointee.downstreamClock : slot.pointee.upstreamClock
        clock.look(
            now: now,
            pendingOutput: isPending,
            acknowledgedNow: progress(of: side, slot),
            sentAge: isUnix ? nil : ring.millisecondsSinceSent(socket)
        )
        if side == .downstream {
            slot.pointee.downstreamClock = clock
        } else {
            slot.pointee.upstreamClock = clock
        }
        return clock
    }

    /// One side was told of the other's end: what remains must not rest for long.
    mutating func startHalfClose(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        guard slot.pointee.flushDeadline == 0 else { return }
        slot.pointee.halfClosedAt = now
        let timeout = UInt64(slot.pointee.timeouts.halfCloseMilliseconds)
        timers.bringForward(index, to: now &+ timeUntilFirstLook(slot, timeout))
    }

    // MARK: The wait before a reset, and after the first end

    /// The first end of a stream closes both sides: they get to take what was received, as long as it makes progress.
    mutating func startEnding(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        guard slot.pointee.session.phase == .established, slot.pointee.flushDeadline == 0,
            let side = slot.pointee.session.flushedSide
        else { return }
        startFlush(index, slot, of: side)
    }

    /// A side was reset: `side`, the other one, gets to take what came before, as long as it makes progress.
    mutating func startFlush(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>, of side: Side) {
        slot.pointee.flushDeadline = now &+ Self.flushStallMilliseconds
        slot.pointee.flushAcknowledged = flushProgress(slot, of: side)
        slot.pointee.flushPollMilliseconds = 1
        timers.set(index, deadline: now &+ 1)
    }

    /// The kernel does not tell when a peer has acknowledged everything, so it is asked at growing intervals.
    mutating func pollFlush(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        guard let side = slot.pointee.session.flushedSide else { return }
        let socket = slot.pointee.socket(side)
        // One that is dead itself acknowledges nothing, and nothing else would tell. Where nobody has reset, the other
        // side may still be owed something.
        let isAwaited = slot.pointee.session.isAwaitingFlush
        // What is held back cannot be taken yet.
        if slot.pointee.session.isHeld { slot.pointee.flushDeadline = now &+ Self.flushStallMilliseconds }
        let isDone =
            isUnix(side, slot)
            ? isAwaited
            : isAwaited && ring.unacknowledgedBytes(socket) == 0
                || ring.isDead(socket) && (isAwaited || slot.pointee.session.resetBy != nil)
        if isDone || now >= slot.pointee.flushDeadline {
            slot.pointee.session.flushed()
            return touch(index)
        }
        let acknowledged = flushProgress(slot, of: side)
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

    /// A count that grows with what is taken; where nobody has reset, both sides are still to take something.
    private func flushProgress(_ slot: UnsafeMutablePointer<SessionSlot>, of side: Side) -> UInt64 {
        let progress = progress(of: side, slot)
        guard slot.pointee.session.resetBy == nil else { return progress }
        return progress &+ self.progress(of: side.other, slot)
    }

    /// A number that changes when a side takes some of what was sent to it. Of a unix socket none is counted: while a send
    /// to it waits, what its peer has not read changes only when it reads.
    private func progress(of side: Side, _ slot: UnsafeMutablePointer<SessionSlot>) -> UInt64 {
        let socket = slot.pointee.socket(side)
        return isUnix(side, slot) ? UInt64(ring.unacknowledgedBytes(socket)) : ring.acknowledgedBytes(socket)
    }
}

// Owns holding sessions back to their bandwidth: what is received is paid for in time, and a flow that is too far ahead
// receives nothing until its time has come, which the session's timer tells. Bytes that wait do so in the kernel, so
// their sender is held back as by any slow reader. Leaves to others: the times (Balancing/ByteRate), what sessions share
// (Balancing/ServiceBandwidth).

import Synchronization

extension Worker where Ring: ~Copyable {
    /// What one session takes of its service's rate at a time, at most: its turn is over soon.
    private static var turnBytesMax: Int { 64 << 10 }

    @inline(__always)
    private func withBandwidth<R>(
        from side: Side,
        _ slot: UnsafeMutablePointer<SessionSlot>,
        _ body: (borrowing DirectionBandwidth) -> R
    ) -> R {
        let service = slot.pointee.service
        return side == .downstream
            ? body(service.pointee.bandwidth.upload) : body(service.pointee.bandwidth.download)
    }

    var nowNanoseconds: UInt64 { now &* 1_000_000 }

    // MARK: Receiving

    /// Bytes that a flow with a limit may receive now, at most `credit`; nil where it was held back.
    @inline(never)
    mutating func pacedCredit(
        _ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>, from side: Side, _ credit: Int
    ) -> Int? {
        // What decides about a client is read as it comes: who was held back here would have no timer that lets it go on.
        if slot.pointee.session.waitsWithoutBackend { return credit }
        let now = nowNanoseconds
        let pace = sessions.pace(index, from: side)
        let (sessionRate, serviceRate) = withBandwidth(from: side, slot) {
            ($0.sessionRate.load(ordering: .relaxed), $0.serviceRate.load(ordering: .relaxed))
        }
        var bytes = credit
        var due: UInt64 = 0
        if sessionRate > 0 {
            switch ByteRate(bytesPerSecond: sessionRate).verdict(paidAt: pace.pointee.paidAt, now: now) {
            case .bytes(let count): bytes = min(bytes, count)
            case .notBefore(let time): due = time
            }
        }
        if due == 0, serviceRate > 0 {
            if pace.pointee.grantedBytes == 0,
                let turn = takeTurn(ByteRate(bytesPerSecond: serviceRate), from: side, slot)
            {
                pace.pointee.grantedBytes = UInt32(turn.bytes)
                due = turn.due
            }
            // Where nobody has to wait, what one session takes is bounded all the same: others may come.
            bytes = min(bytes, pace.pointee.grantedBytes > 0 ? Int(pace.pointee.grantedBytes) : Self.turnBytesMax)
        }
        if due > 0 {
            pace.pointee.resumesAt = (due &+ 999_999) / 1_000_000
            // Until there is a backend the timer is the connect's: then it is looked at when it stands.
            if slot.pointee.session.phase == .established { timers.bringForward(index, to: pace.pointee.resumesAt) }
            slot.pointee.session.withFlow(from: side) { $0.hold() }
            slot.pointee.service.pointee.bandwidth.holds.wrappingAdd(1, ordering: .relaxed)
        }
        return due > 0 ? nil : bytes
    }

    /// Where the sessions of a service together are too far ahead, each that wants to receive pays for its turn in
    /// advance: so they take turns in the order in which they ask, each for as many bytes.
    @inline(__always)
    private func takeTurn(_ rate: ByteRate, from side: Side, _ slot: UnsafeMutablePointer<SessionSlot>)
        -> (due: UInt64, bytes: Int)?
    {
        let now = nowNanoseconds
        let bytes = min(rate.stepBytes, Self.turnBytesMax)
        return withBandwidth(from: side, slot) { bandwidth in
            bandwidth.withPaid { paidAt in
                guard rate.isTooFarAhead(paidAt: paidAt, now: now) else { return nil }
                let due = rate.turn(paidAt: paidAt)
                paidAt = paidAt &+ rate.nanoseconds(for: bytes)
                return (due, bytes)
            }
        }
    }

    /// Whether bytes of a flow that is not taken from as a matter of course are taken: those of one with a limit are,
    /// and paid for.
    @inline(never)
    mutating func takesPaced(
        _ count: Int, _ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>, from side: Side
    ) -> Bool {
        guard !slot.pointee.session.flow(from: side).isDiscarding else { return false }
        let now = nowNanoseconds
        let pace = sessions.pace(index, from: side)
        let granted = min(count, Int(pace.pointee.grantedBytes))
        pace.pointee.grantedBytes -= UInt32(granted)
        let rest = count - granted
        withBandwidth(from: side, slot) { bandwidth in
            let sessionRate = bandwidth.sessionRate.load(ordering: .relaxed)
            if sessionRate > 0 {
                pace.pointee.paidAt = ByteRate(bytesPerSecond: sessionRate).paid(
                    count, paidAt: pace.pointee.paidAt, now: now)
            }
            let serviceRate = bandwidth.serviceRate.load(ordering: .relaxed)
            guard serviceRate > 0, rest > 0 else { return }
            let rate = ByteRate(bytesPerSecond: serviceRate)
            bandwidth.withPaid { $0 = rate.paid(rest, paidAt: $0, now: now) }
        }
        return true
    }

    // MARK: Resuming

    /// Lets the flows go on whose time has come; sets the timer for the others.
    mutating func resumePaced(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        var next = UInt64.max
        for side in [Side.downstream, .upstream] where slot.pointee.session.flow(from: side).isHeld {
            let resumesAt = sessions.pace(index, from: side).pointee.resumesAt
            if resumesAt > now {
                next = min(next, resumesAt)
            } else {
                release(index, slot, from: side)
            }
        }
        if next != .max { timers.bringForward(index, to: next) }
    }

    private mutating func release(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>, from side: Side) {
        slot.pointee.session.withFlow(from: side) { $0.resume() }
        noteHeld(slot)
        touch(index)
    }

    /// Who is held back is not idle, on neither side; output that makes no progress is judged as ever.
    func noteHeld(_ slot: UnsafeMutablePointer<SessionSlot>) {
        slot.pointee.downstreamClock.received(now: now)
        slot.pointee.upstreamClock.received(now: now)
    }

    // MARK: Changes

    /// Limits may have changed: the session goes by them from now on, as one that has just begun.
    mutating func renewPace(_ index: UInt32) {
        let slot = sessions[index]
        for side in [Side.downstream, .upstream] {
            let isLimited = withBandwidth(from: side, slot) { $0.isLimited }
            let flow = slot.pointee.session.flow(from: side)
            guard isLimited || flow.isPaced else { continue }
            sessions.pace(index, from: side).pointee = FlowPace()
            if flow.isHeld { release(index, slot, from: side) }
            slot.pointee.session.withFlow(from: side) { $0.setPaced(isLimited) }
        }
    }
}

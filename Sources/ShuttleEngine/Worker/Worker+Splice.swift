// Owns the way of bytes of a flow that is spliced: from the source into a pipe and on to the sink, inside the kernel.
// When a flow is spliced and when it is copied again is decided by Flow; this carries out a few steps at a time, so
// that flows take turns.

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    /// Steps of a flow before others take their turn.
    static var stepsPerTurn: Int { 4 }

    /// Waits for the source or, while bytes are in the pipe, for the sink.
    mutating func awaitReadiness(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>, from side: Side) {
        let awaitsSink = slot.pointee.session.flow(from: side).owedBytes > 0
        slot.pointee.session.withFlow(from: side) { $0.readinessSubmitted() }
        ring.prepareReadiness(
            awaitsSink ? .writable : .readable,
            of: slot.pointee.socket(awaitsSink ? side.other : side),
            tag: OperationTag(.readiness(side), slot: index, generation: slot.pointee.generation)
        )
    }

    @inline(__always)
    mutating func readinessCompleted(from side: Side, _ completion: Completion) {
        guard let slot = sessions.slot(of: completion.tag) else { return countStale() }
        slot.pointee.session.withFlow(from: side) { $0.readinessCompleted(isReady: completion.result >= 0) }
        if slot.pointee.session.phase == .closing { return closeJoin(completion.tag.slot) }
        touch(completion.tag.slot)
    }

    /// A few steps: each fills the pipe, unless the last one left bytes in it, and empties it as far as the sink takes
    /// them.
    mutating func splice(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>, from side: Side) {
        var steps = Self.stepsPerTurn
        repeat {
            if slot.pointee.session.flow(from: side).owedBytes == 0, !spliceIn(index, slot, from: side) { return }
            guard spliceOut(index, slot, from: side) else { return }
            steps &-= 1
        } while steps > 0 && !slot.pointee.session.isEnding
            && ring.readableBytes(slot.pointee.socket(side)) >= splicePolicy.bytesToStepAgain
        giveBackPipe(slot, from: side)
        slot.pointee.session.withFlow(from: side) { $0.spliceStepEnded() }
    }

    /// Whether bytes are in the pipe now.
    private mutating func spliceIn(
        _ index: UInt32,
        _ slot: UnsafeMutablePointer<SessionSlot>,
        from side: Side
    ) -> Bool {
        guard let pipe = borrowedPipe(slot, from: side) else {
            slot.pointee.session.withFlow(from: side) { $0.stopSplicing() }
            return false
        }
        switch ring.spliceIn(from: slot.pointee.socket(side), to: pipe) {
        case .success(let count) where count > 0:
            slot.pointee.session.withFlow(from: side) { $0.splicedIn(Int(count), splicePolicy) }
            link.pointee.splicedBytes.addAsOnlyWriter(UInt64(count))
            if side == .downstream {
                slot.pointee.downstreamClock.received(now: now)
            } else {
                slot.pointee.upstreamClock.received(now: now)
            }
            return true
        case .success, .failure(SystemCallError(code: EAGAIN)), .failure(SystemCallError(code: EINTR)):
            // Nothing can mean the end, or urgent data in the way: a receive tells.
            giveBackPipe(slot, from: side)
            slot.pointee.session.withFlow(from: side) { $0.stopSplicing() }
        case .failure(let error):
            giveBackPipe(slot, from: side)
            resetReceived(from: side, index, code: error.code)
        }
        return false
    }

    /// The flow's empty pipe: the one of its last step in this turn, or one from the pool.
    private mutating func borrowedPipe(_ slot: UnsafeMutablePointer<SessionSlot>, from side: Side) -> PipeID? {
        let present = slot.pointee.session.flow(from: side).pipe
        guard present == .none else { return present }
        guard let pipe = ring.takePipe() else { return nil }
        slot.pointee.session.withFlow(from: side) { $0.pipe = pipe }
        return pipe
    }

    /// Whether the pipe is empty now.
    private mutating func spliceOut(
        _ index: UInt32,
        _ slot: UnsafeMutablePointer<SessionSlot>,
        from side: Side
    ) -> Bool {
        let sink = side.other
        var wasCutShort = false
        while true {
            let flow = slot.pointee.session.flow(from: side)
            if flow.owedBytes == 0 { return true }
            switch ring.spliceOut(from: flow.pipe, to: slot.pointee.socket(sink), count: Int(flow.owedBytes)) {
            case .success(let count):
                // Fewer than asked for: the sink is full, or met an error that only the next call tells.
                wasCutShort = count < flow.owedBytes
                slot.pointee.session.withFlow(from: side) { $0.splicedOut(Int(count)) }
                countBytes(Int(count), to: sink, slot)
                sentNow(to: sink, slot)
                if count > 0 { continue }
                slot.pointee.session.withFlow(from: side) { $0.spliceStepEnded() }
                return false
            case .failure(SystemCallError(code: EINTR)):
                continue
            case .failure(SystemCallError(code: EAGAIN)):
                slot.pointee.session.withFlow(from: side) { $0.spliceStepEnded() }
                return false
            case .failure(let error):
                noteReset(by: sink, index, code: error.code)
                slot.pointee.session.sendFailed(to: sink, afterEnd: error.code == EPIPE && !wasCutShort)
                return false
            }
        }
    }

    /// With what is in it, which nobody will get.
    mutating func giveBackPipe(_ slot: UnsafeMutablePointer<SessionSlot>, from side: Side) {
        let flow = slot.pointee.session.flow(from: side)
        guard flow.pipe != .none else { return }
        ring.giveBackPipe(flow.pipe, isEmpty: flow.owedBytes == 0)
        slot.pointee.session.withFlow(from: side) { $0.pipe = .none }
    }
}

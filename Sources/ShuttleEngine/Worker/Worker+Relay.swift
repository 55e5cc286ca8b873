// Owns the way of bytes: a received buffer becomes, untouched, the other side's send and returns to the pool when
// that send has completed. What is due is decided by Session.

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    @inline(__always)
    mutating func receiveCompleted(from side: Side, _ completion: Completion) {
        let buffer = completion.buffer
        guard let slot = sessions.slot(of: completion.tag) else {
            countStale()
            if let buffer { ring.giveBack(buffer, count: Int(completion.result)) }
            return
        }
        let index = completion.tag.slot
        let isClosing = slot.pointee.session.phase == .closing
        if !completion.hasMore { slot.pointee.session.withFlow(from: side) { $0.receiveDisarmed() } }
        if let buffer {
            if completion.result > 0, !isClosing,
                slot.pointee.session.flow(from: side).takesFreely
                    || takesPaced(Int(completion.result), index, slot, from: side)
            {
                let count = Int(completion.result)
                slot.pointee.session.withFlow(from: side) {
                    ring.append(buffer, count: count, to: &$0.queue)
                    $0.received(count)
                }
                if side == .downstream {
                    slot.pointee.downstreamClock.received(now: now)
                } else {
                    slot.pointee.upstreamClock.received(now: now)
                    if slot.pointee.facts.pointee.firstByteAt == 0 { slot.pointee.facts.pointee.firstByteAt = turnTime }
                }
                if completion.hasMore { watchForEnd(index, slot) }
            } else {
                ring.giveBack(buffer, count: Int(completion.result))
            }
        }
        if isClosing {
            dropped(completion.result, from: side, slot)
            return closeJoin(index)
        }
        if completion.result <= 0 { receiveEnded(from: side, index, code: -completion.result) }
        touch(index)
    }

    /// Something came from a side after its session began to close: a clean end would hide from the other side that
    /// it does not get it.
    private func dropped(_ result: Int32, from side: Side, _ slot: UnsafeMutablePointer<SessionSlot>) {
        switch -result {
        case 0, ENOBUFS, ECANCELED, EINTR, EAGAIN:
            return
        default:
            if side == .downstream {
                slot.pointee.closesUpstreamByReset = true
            } else {
                slot.pointee.closesDownstreamByReset = true
            }
        }
    }

    private mutating func receiveEnded(from side: Side, _ index: UInt32, code: Int32) {
        let slot = sessions[index]
        switch code {
        case 0:
            // A send that met the reset first leaves receives a clean end that never was; its completion may still
            // be on its way.
            let isFalseEnd =
                slot.pointee.session.distrustsEnd(of: side)
                || slot.pointee.session.flow(from: side.other).isSendInFlight && !isUnix(side, slot)
                    && ring.isDead(slot.pointee.socket(side))
            if isFalseEnd {
                resetReceived(from: side, index)
            } else {
                slot.pointee.facts.pointee.lastEnd = side
                slot.pointee.session.endReceived(from: side)
                if slot.pointee.session.isEnding { startEnding(index, slot) }
            }
        case ENOBUFS:
            slot.pointee.session.withFlow(from: side) { $0.receiveStarved() }
            starve(index)
        case ECANCELED, EINTR, EAGAIN:
            break
        default:
            resetReceived(from: side, index, code: code)
        }
    }

    mutating func resetReceived(from side: Side, _ index: UInt32, code: Int32 = ECONNRESET) {
        noteReset(by: side, index, code: code)
        sessions[index].pointee.session.receiveFailed(from: side)
    }

    /// The first reset of a session counts, and starts the time in which the other side is to take what came before.
    mutating func noteReset(by side: Side, _ index: UInt32, code: Int32) {
        let slot = sessions[index]
        guard slot.pointee.session.resetBy == nil, slot.pointee.session.phase == .established else { return }
        slot.pointee.facts.pointee.isLost = Self.tellsOfLoss(code)
        if side == .upstream {
            slot.pointee.backendCounters?.pointee.errors.addAsOnlyWriter(1)
            slot.pointee.serviceCounters.pointee.errors.addAsOnlyWriter(1)
        }
        startFlush(index, slot, of: side.other)
    }

    @inline(__always)
    mutating func sendCompleted(to side: Side, _ completion: Completion) {
        guard let slot = sessions.slot(of: completion.tag) else { return countStale() }
        let index = completion.tag.slot
        let count = Int(max(0, completion.result))
        if slot.pointee.session.flow(from: side.other).wasCutShort(after: count) {
            slot.pointee.session.sendCutShort(to: side)
        }
        slot.pointee.session.withFlow(from: side.other) {
            $0.sendCompleted(count)
            if count > 0 { ring.consume(count, from: &$0.queue) }
        }
        if count > 0 { countBytes(count, to: side, slot) }
        if slot.pointee.session.phase == .closing { return closeJoin(index) }
        if completion.result > 0 {
            sentNow(to: side, slot)
        } else {
            switch -completion.result {
            case EINTR, EAGAIN, ECANCELED: break
            case let code:
                noteReset(by: side, index, code: code)
                slot.pointee.session.sendFailed(to: side, afterEnd: code == EPIPE)
            }
        }
        touch(index)
    }

    @inline(__always)
    func countBytes(_ count: Int, to side: Side, _ slot: UnsafeMutablePointer<SessionSlot>) {
        let amount = UInt64(count)
        if side == .upstream {
            slot.pointee.facts.pointee.sentBytes &+= amount
            slot.pointee.serviceCounters.pointee.sentBytes.addAsOnlyWriter(amount)
            slot.pointee.backendCounters?.pointee.sentBytes.addAsOnlyWriter(amount)
        } else {
            slot.pointee.facts.pointee.receivedBytes &+= amount
            slot.pointee.serviceCounters.pointee.receivedBytes.addAsOnlyWriter(amount)
            slot.pointee.backendCounters?.pointee.receivedBytes.addAsOnlyWriter(amount)
        }
    }

    /// Carries out whatever the session wants done.
    @inline(__always)
    mutating func advance(_ index: UInt32) {
        let slot = sessions[index]
        let limits = FlowLimits.sharing(freeBuffers: ring.freeBufferCount, bufferSize: ring.bufferSize)
        var hasSent = false
        while true {
            switch slot.pointee.session.nextAction(limits) {
            case .none:
                if hasSent && !mustLookAtSends && !slot.pointee.session.canLookAtSendsLater { mustLookAtSends = true }
                return
            case .preread:
                preread(index)
                guard slot.pointee.isOccupied else { return }
            case .send(let side):
                hasSent = true
                send(index, slot, to: side)
            case .receive(let side, var byteLimit):
                if slot.pointee.session.flow(from: side).isPaced {
                    guard let credit = pacedCredit(index, slot, from: side, byteLimit) else { continue }
                    byteLimit = credit
                }
                let isFirst = !slot.pointee.session.flow(from: side).hasReceived
                slot.pointee.session.withFlow(from: side) { $0.receiveSubmitted() }
                ring.prepareReceive(
                    slot.pointee.socket(side),
                    byteLimit: byteLimit,
                    expectsDelay: isFirst && side == .upstream,
                    tag: OperationTag(.receive(side), slot: index, generation: slot.pointee.generation)
                )
            case .cancelReceive(let side):
                slot.pointee.session.withFlow(from: side) { $0.receiveCancelSubmitted() }
                ring.prepareCancel(OperationTag(.receive(side), slot: index, generation: slot.pointee.generation))
            case .awaitReadiness(let side):
                awaitReadiness(index, slot, from: side)
            case .cancelReadiness(let side):
                slot.pointee.session.withFlow(from: side) { $0.readinessCancelSubmitted() }
                ring.prepareCancel(OperationTag(.readiness(side), slot: index, generation: slot.pointee.generation))
            case .splice(let side):
                splice(index, slot, from: side)
            case .finishWriting(let side):
                slot.pointee.session.withFlow(from: side.other) { $0.finishSubmitted() }
                ring.shutdownWrite(slot.pointee.socket(side))
                if slot.pointee.timeouts.halfCloseMilliseconds > 0 { startHalfClose(index, slot) }
            case .discard(let side):
                slot.pointee.session.withFlow(from: side.other) { ring.discard(&$0.queue) }
                giveBackPipe(slot, from: side.other)
                slot.pointee.session.owedDiscarded(to: side)
            case .awaitFlush(let side):
                assert(side == slot.pointee.session.flushedSide)
                slot.pointee.session.awaitsFlush()
                pollFlush(index, slot)
            case .close(let resetDownstream, let resetUpstream):
                return closeStart(index, resetDownstream: resetDownstream, resetUpstream: resetUpstream)
            }
        }
    }

    @inline(__always)
    private mutating func send(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>, to side: Side) {
        let waits = slot.pointee.session.flow(from: side.other).nextSendWaits(bufferSize: ring.bufferSize)
        let bytes = ring.prepareSend(
            slot.pointee.socket(side),
            slot.pointee.session.flow(from: side.other).queue,
            waits: waits,
            tag: OperationTag(.send(side), slot: index, generation: slot.pointee.generation)
        )
        if waits { mustLookAtSends = true } else { sendsAtOnce &+= 1 }
        slot.pointee.session.withFlow(from: side.other) { $0.sendSubmitted(bytes, waits: waits, splicePolicy) }
        sentNow(to: side, slot)
    }

    @inline(__always)
    func sentNow(to side: Side, _ slot: UnsafeMutablePointer<SessionSlot>) {
        if side == .downstream {
            slot.pointee.downstreamClock.sent(now: now)
        } else {
            slot.pointee.upstreamClock.sent(now: now)
        }
    }

    // MARK: Waiting for buffers

    /// Puts a session at the end of the line for buffers.
    private mutating func starve(_ index: UInt32) {
        link.pointee.starvations.addAsOnlyWriter(1)
        let slot = sessions[index]
        Probe.starved(slot: index)
        guard !slot.pointee.isStarved else { return }
        slot.pointee.isStarved = true
        slot.pointee.nextStarved = SessionTable.none
        slot.pointee.previousStarved = starvedTail
        if starvedTail == SessionTable.none {
            starvedHead = index
        } else {
            sessions[starvedTail].pointee.nextStarved = index
        }
        starvedTail = index
    }

    mutating func leaveStarved(_ index: UInt32) {
        let slot = sessions[index]
        guard slot.pointee.isStarved else { return }
        slot.pointee.isStarved = false
        let (previous, next) = (slot.pointee.previousStarved, slot.pointee.nextStarved)
        if previous == SessionTable.none {
            starvedHead = next
        } else {
            sessions[previous].pointee.nextStarved = next
        }
        if next == SessionTable.none {
            starvedTail = previous
        } else {
            sessions[next].pointee.previousStarved = previous
        }
    }

    /// Lets as many sessions receive again as there are buffers; re-arming without one would fail at once, and spin.
    @inline(__always)
    mutating func resumeStarved() {
        guard starvedHead != SessionTable.none else { return }
        var budget = ring.freeBufferCount
        while budget > 0, starvedHead != SessionTable.none {
            let index = starvedHead
            leaveStarved(index)
            sessions[index].pointee.session.withFlow(from: .downstream) { $0.buffersReturned() }
            sessions[index].pointee.session.withFlow(from: .upstream) { $0.buffersReturned() }
            touch(index)
            budget &-= 1
        }
    }
}

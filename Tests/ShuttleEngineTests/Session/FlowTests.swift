// Owns one direction's rules: when it receives, sends, ends, discards and starves.

import Testing

@testable import ShuttleEngine

@Suite struct FlowTests {
    private static let limits = FlowLimits(bufferSize: 100, buffers: 4)

    /// A flow whose queue holds `buffers` buffers of one byte each.
    private static func flow(holding buffers: Int) -> Flow {
        var flow = Flow()
        var pool = BufferPool(bufferCount: max(1, buffers), bufferSize: 1)!
        for _ in 0..<buffers {
            _ = pool.append(pool.takeFree()!, count: 1, to: &flow.queue)
            flow.received(1)
        }
        return flow
    }

    @Test func receivesAtFirst() {
        var flow = Flow()
        #expect(flow.receiveCredit(FlowTests.limits) == 400)
        #expect(!flow.hasReceived)
        flow.receiveSubmitted()
        #expect(flow.isReceiveArmed && flow.receiveCredit(FlowTests.limits) == nil)
        flow.receiveDisarmed()
        #expect(flow.receiveCredit(FlowTests.limits) == 400)
    }

    /// Reading resumes when half of what may be held is gone, with credit for the rest.
    @Test func creditFollowsWhatIsHeld() {
        for (held, credit) in [(0, 400), (1, 300), (2, 200), (3, nil), (4, nil), (9, nil)] as [(Int, Int?)] {
            #expect(FlowTests.flow(holding: held).receiveCredit(FlowTests.limits) == credit)
        }
    }

    /// With a single buffer allowed, only an empty queue may receive.
    @Test func oneBuffer() {
        let limits = FlowLimits(bufferSize: 100, buffers: 1)
        #expect(FlowTests.flow(holding: 0).receiveCredit(limits) == 100)
        #expect(FlowTests.flow(holding: 1).receiveCredit(limits) == nil)
    }

    @Test func smallPiecesStopAReceive() {
        for (buffers, stop) in [(1, 1), (4, 4), (FlowLimits.buffersMax, 2 * FlowLimits.buffersMax)] {
            let limits = FlowLimits(bufferSize: 100, buffers: buffers)
            for held in 0..<(2 * FlowLimits.buffersMax + 2) {
                var flow = FlowTests.flow(holding: held)
                #expect(!flow.mustStopReceiving(limits), "nothing is armed")
                flow.receiveSubmitted()
                #expect(flow.mustStopReceiving(limits) == (held >= stop), "\(held) held of \(buffers)")
                flow.receiveCancelSubmitted()
                #expect(!flow.mustStopReceiving(limits), "once is enough")
            }
        }
    }

    @Test func sendsOneAtATime() {
        var flow = Flow()
        #expect(!flow.wantsSend)
        flow.received(70)
        #expect(flow.wantsSend && flow.hasReceived)
        flow.sendSubmitted(70, .never)
        flow.received(5)
        #expect(flow.isSendInFlight && !flow.wantsSend)
        flow.sendCompleted(60)
        #expect(flow.owedBytes == 15 && flow.wantsSend && !flow.isSendInFlight)
    }

    /// A sink that took less than a send which did not wait is waited for until it has taken one whole.
    @Test func fullSinksAreWaitedFor() {
        var flow = Flow()
        flow.received(70)
        #expect(!flow.nextSendWaits(bufferSize: 70))
        #expect(flow.nextSendWaits(bufferSize: 69), "more than a buffer is no small send")
        flow.sendSubmitted(70, waits: false, .never)
        #expect(!flow.wasCutShort(after: 60), "a send that does not wait may be short")
        flow.sendCompleted(60)
        #expect(flow.owedBytes == 10 && flow.nextSendWaits(bufferSize: 70))
        flow.sendSubmitted(10, waits: true, .never)
        #expect(flow.wasCutShort(after: 4), "a send that waits was cut short by an error")
        #expect(!flow.wasCutShort(after: 0), "which says so itself when nothing was taken")
        flow.sendCompleted(4)
        #expect(flow.nextSendWaits(bufferSize: 70))
        flow.sendSubmitted(6, waits: true, .never)
        #expect(!flow.wasCutShort(after: 6))
        flow.sendCompleted(6)
        flow.received(70)
        #expect(!flow.nextSendWaits(bufferSize: 70))
        flow.sendSubmitted(70, waits: false, .never)
        flow.sendCompleted(0)
        #expect(flow.owedBytes == 70 && flow.nextSendWaits(bufferSize: 70))
    }

    /// Everything that would be due once the send has completed has its completion looked at without delay.
    @Test func completionsThatMayWait() {
        func sending(_ change: (inout Flow) -> Void = { _ in }) -> Flow {
            var flow = Flow()
            flow.receiveSubmitted()
            flow.received(70)
            flow.sendSubmitted(70, waits: false, .never)
            change(&flow)
            return flow
        }
        #expect(sending().canLookAtSendLater)
        #expect(!sending { $0.received(1) }.canLookAtSendLater, "more is to be sent")
        #expect(!sending { $0.receiveDisarmed() }.canLookAtSendLater, "the source waits for room")
        #expect(!sending { $0.sourceEnded(cleanly: true) }.canLookAtSendLater, "the end follows")
        #expect(!sending { $0.startDiscarding() }.canLookAtSendLater)
        var bulk = Flow()
        bulk.receiveSubmitted()
        bulk.received(1 << 24)
        bulk.sendSubmitted(1 << 24, .standard)
        #expect(!bulk.canLookAtSendLater, "it is about to be spliced")
    }

    @Test func endsAfterEverythingWasSent() {
        var flow = Flow()
        flow.received(10)
        flow.sourceEnded(cleanly: true)
        #expect(flow.isSourceEnded && !flow.wantsFinish && !flow.isDelivered)
        #expect(flow.receiveCredit(FlowTests.limits) == nil)
        flow.sendSubmitted(10, .never)
        #expect(!flow.wantsFinish)
        flow.sendCompleted(10)
        #expect(flow.isDelivered && flow.wantsFinish)
        flow.finishSubmitted()
        #expect(flow.isSinkFinished && !flow.wantsFinish && flow.isDelivered)
    }

    /// A reset is delivered like an end and is none.
    @Test func aResetIsNoEnd() {
        var flow = Flow()
        flow.sourceEnded(cleanly: false)
        #expect(flow.isDelivered && !flow.wantsFinish)
        flow.sourceEnded(cleanly: true)
        #expect(!flow.wantsFinish, "the first report counts")
    }

    @Test func anEndStaysAnEnd() {
        var flow = Flow()
        flow.sourceEnded(cleanly: true)
        flow.sourceEnded(cleanly: false)
        #expect(flow.wantsFinish)
    }

    @Test func discarding() {
        var flow = Flow()
        flow.received(10)
        flow.sourceEnded(cleanly: true)
        flow.receiveStarved()
        flow.startDiscarding()
        #expect(flow.isDiscarding && !flow.isStarved && !flow.wantsSend && !flow.wantsFinish)
        #expect(flow.receiveCredit(FlowTests.limits) == nil)
        flow.queueDiscarded()
        #expect(flow.owedBytes == 0 && flow.isDelivered && !flow.wantsFinish)
    }

    @Test func discardingStopsAnArmedReceive() {
        var flow = Flow()
        flow.receiveSubmitted()
        #expect(!flow.mustStopReceiving(FlowTests.limits))
        flow.startDiscarding()
        #expect(flow.mustStopReceiving(FlowTests.limits))
        flow.receiveCancelSubmitted()
        flow.receiveDisarmed()
        #expect(!flow.mustStopReceiving(FlowTests.limits))
    }

    @Test func starving() {
        var flow = Flow()
        flow.receiveStarved()
        #expect(flow.isStarved && flow.receiveCredit(FlowTests.limits) == nil)
        flow.buffersReturned()
        #expect(flow.receiveCredit(FlowTests.limits) == 400)
        flow.receiveStarved()
        flow.buffersReturned()
        flow.receiveSubmitted()
        #expect(!flow.isStarved)
    }

    // MARK: Limits

    /// At least one buffer, at most the most, and a share of what is free in between.
    @Test func limitsFollowThePool() {
        var last = 0
        for free in 0...4000 {
            let limits = FlowLimits.sharing(freeBuffers: free, bufferSize: 16_384)
            #expect(limits.buffers >= 1 && limits.buffers <= FlowLimits.buffersMax)
            #expect(limits.buffers >= last, "more free buffers never mean less")
            #expect(limits.buffers == 1 || limits.buffers * FlowLimits.share <= free)
            #expect(limits.buffersToStopAt >= limits.buffers)
            last = limits.buffers
        }
        #expect(last == FlowLimits.buffersMax)
        #expect(FlowLimits.sharing(freeBuffers: 0, bufferSize: 1).buffers == 1)
    }

    /// Sessions that stall one after the other take ever smaller shares: so many fit before the pool is empty.
    @Test func stalledSessionsTakeEverSmallerShares() {
        var free = 8192
        var sessions = 0
        while free > 0 {
            free -= FlowLimits.sharing(freeBuffers: free, bufferSize: 16_384).buffers
            sessions += 1
        }
        #expect(sessions >= 700)
    }
}

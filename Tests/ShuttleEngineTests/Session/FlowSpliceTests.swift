// Owns one direction's rules of splicing: when it begins and ends, and what a flow does not do meanwhile. Every order of
// events is explored in SessionExplorationTests.

import Testing

@testable import ShuttleEngine

@Suite struct FlowSpliceTests {
    private static let limits = FlowLimits(bufferSize: 100, buffers: 4)
    /// Two steps of less than ten bytes on average end it.
    private static let policy = SplicePolicy(
        isEnabled: true,
        windowBytes: 0,
        bytesPerSendToSplice: 0,
        windowSteps: 2,
        bytesPerStepToCopy: 10,
        bytesToStepAgain: .max
    )

    /// A flow that has proved to be bulk, with nothing on the way.
    private static func bulk() -> Flow {
        var flow = Flow()
        flow.received(50)
        flow.sendSubmitted(50, policy)
        flow.sendCompleted(50)
        return flow
    }

    private static func spliced() -> Flow {
        var flow = bulk()
        flow.readinessSubmitted()
        return flow
    }

    private static func spliced(owing bytes: Int) -> Flow {
        var flow = spliced()
        flow.readinessCompleted(isReady: true)
        flow.splicedIn(bytes, policy)
        return flow
    }

    // MARK: Into it

    @Test func beginsWhenNothingIsOnTheWay() {
        #expect(FlowSpliceTests.bulk().wantsSplicing)
        var flow = Flow()
        flow.received(50)
        flow.received(20)
        flow.sendSubmitted(50, FlowSpliceTests.policy)
        #expect(!flow.wantsSplicing, "a send is in flight")
        #expect(flow.receiveCredit(FlowSpliceTests.limits) == nil, "what is owed goes first")
        flow.sendCompleted(50)
        #expect(!flow.wantsSplicing && flow.wantsSend, "bytes are owed")
        flow.sendSubmitted(20, FlowSpliceTests.policy)
        flow.sendCompleted(20)
        #expect(flow.wantsSplicing)
    }

    /// A receive that is armed may still bring bytes, which would be overtaken.
    @Test func doesNotBeginBeforeTheReceiveHasEnded() {
        var flow = Flow()
        flow.receiveSubmitted()
        flow.received(50)
        flow.sendSubmitted(50, FlowSpliceTests.policy)
        flow.sendCompleted(50)
        #expect(!flow.wantsSplicing)
        flow.received(5)
        flow.receiveDisarmed()
        #expect(!flow.wantsSplicing && flow.wantsSend)
        flow.sendSubmitted(5, FlowSpliceTests.policy)
        flow.sendCompleted(5)
        #expect(flow.wantsSplicing)
    }

    @Test func doesNotBeginAtTheEnd() {
        for change in [
            { $0.sourceEnded(cleanly: true) }, { $0.sourceEnded(cleanly: false) }, { $0.startDiscarding() },
            { $0.receiveStarved() },
        ] as [(inout Flow) -> Void] {
            var flow = FlowSpliceTests.bulk()
            change(&flow)
            #expect(!flow.wantsSplicing)
        }
    }

    // MARK: In it

    @Test func neitherReceivesNorSends() {
        let flow = FlowSpliceTests.spliced()
        #expect(flow.isSplicing && flow.isReadinessArmed && !flow.isReady && !flow.wantsSplicing)
        #expect(flow.receiveCredit(FlowSpliceTests.limits) == nil && !flow.isOutputPending)
        let owing = FlowSpliceTests.spliced(owing: 30)
        #expect(!owing.wantsSend && !owing.isSendInFlight && owing.isOutputPending && owing.isReady)
        #expect(owing.receiveCredit(FlowSpliceTests.limits) == nil && !owing.isDelivered)
    }

    @Test func oneReadinessIsForOneStep() {
        var flow = FlowSpliceTests.spliced()
        flow.readinessCompleted(isReady: true)
        #expect(flow.isReady && !flow.isReadinessArmed)
        flow.splicedIn(30, FlowSpliceTests.policy)
        flow.splicedOut(30)
        flow.spliceStepEnded()
        #expect(flow.isSplicing && !flow.isReady && flow.owedBytes == 0 && flow.hasReceived)
        flow.readinessSubmitted()
        flow.readinessCompleted(isReady: false)
        #expect(!flow.isReady && !flow.isReadinessArmed)
    }

    // MARK: Out of it

    /// Two small steps end it, but not before the pipe is empty.
    @Test func endsWithAnEmptyPipe() {
        var flow = FlowSpliceTests.spliced(owing: 3)
        flow.splicedOut(3)
        flow.spliceStepEnded()
        #expect(flow.isSplicing, "one small step is no proof")
        flow.readinessSubmitted()
        flow.readinessCompleted(isReady: true)
        flow.splicedIn(8, FlowSpliceTests.policy)
        flow.splicedOut(5)
        flow.spliceStepEnded()
        #expect(flow.isSplicing && !flow.isReady && flow.owedBytes == 3, "the sink is full")
        flow.readinessSubmitted()
        flow.readinessCompleted(isReady: true)
        flow.splicedOut(3)
        flow.spliceStepEnded()
        #expect(!flow.isSplicing && !flow.wantsSplicing)
        #expect(flow.receiveCredit(FlowSpliceTests.limits) == 400)
    }

    /// Sends that went out after the proof and before the first step are none of its steps.
    @Test func isJudgedByItsOwnSteps() {
        var flow = FlowSpliceTests.bulk()
        var policy = FlowSpliceTests.policy
        policy.windowBytes = .max
        flow.received(1000)
        flow.sendSubmitted(1000, policy)
        flow.sendCompleted(1000)
        flow.readinessSubmitted()
        for step in 1...2 {
            if step > 1 { flow.readinessSubmitted() }
            flow.readinessCompleted(isReady: true)
            flow.splicedIn(1, policy)
            flow.splicedOut(1)
            flow.spliceStepEnded()
            #expect(flow.isSplicing == (step == 1), "after step \(step)")
        }
    }

    /// No pipe, or nothing moved: a receive tells what there is, and the proof begins anew.
    @Test func stopping() {
        var flow = FlowSpliceTests.spliced()
        flow.readinessCompleted(isReady: true)
        flow.stopSplicing()
        #expect(!flow.isSplicing && !flow.isReady && !flow.wantsSplicing)
        #expect(flow.receiveCredit(FlowSpliceTests.limits) == 400)
    }

    @Test func stoppingWithBytesInThePipeTraps() async {
        #if DEBUG
        await #expect(processExitsWith: .failure) {
            var flow = Flow()
            flow.readinessSubmitted()
            flow.readinessCompleted(isReady: true)
            flow.splicedIn(1, .standard)
            flow.stopSplicing()
        }
        #endif
    }

    @Test func discardingCancelsTheWaitOnce() {
        var flow = FlowSpliceTests.spliced()
        #expect(!flow.mustStopWaiting)
        flow.startDiscarding()
        #expect(flow.mustStopWaiting)
        flow.readinessCancelSubmitted()
        #expect(!flow.mustStopWaiting && flow.isReadinessArmed)
        flow.readinessCompleted(isReady: false)
        #expect(!flow.mustStopWaiting && !flow.isReadinessArmed)
        var owing = FlowSpliceTests.spliced(owing: 5)
        owing.startDiscarding()
        #expect(owing.owedBytes == 5)
        owing.queueDiscarded()
        #expect(owing.owedBytes == 0 && !owing.isOutputPending)
    }
}

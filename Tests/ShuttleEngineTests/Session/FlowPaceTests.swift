// Owns one direction's rules when its bandwidth is limited: when it receives, and that it is not spliced.

import Testing

@testable import ShuttleEngine

@Suite struct FlowPaceTests {
    private static let limits = FlowLimits(bufferSize: 100, buffers: 4)
    private static let policy = SplicePolicy(
        isEnabled: true, windowBytes: 0, bytesPerSendToSplice: 0, windowSteps: .max, bytesPerStepToCopy: 0,
        bytesToStepAgain: .max)

    private static func paced() -> Flow {
        var flow = Flow()
        flow.setPaced(true)
        return flow
    }

    @Test func receivesNothingWhileItIsHeld() {
        var flow = FlowPaceTests.paced()
        #expect(flow.receiveCredit(FlowPaceTests.limits) == 400 && !flow.takesFreely && flow.isPaced)
        flow.hold()
        #expect(flow.isHeld && flow.receiveCredit(FlowPaceTests.limits) == nil)
        flow.resume()
        #expect(!flow.isHeld && flow.receiveCredit(FlowPaceTests.limits) == 400)
        flow.setPaced(false)
        #expect(flow.takesFreely && !flow.isPaced)
    }

    /// Buffers that come back do not let it go on, and being let go does not give it buffers.
    @Test func heldAndStarvedAreTwoThings() {
        var flow = FlowPaceTests.paced()
        flow.receiveStarved()
        flow.hold()
        flow.buffersReturned()
        #expect(flow.receiveCredit(FlowPaceTests.limits) == nil)
        flow.receiveStarved()
        flow.resume()
        #expect(flow.receiveCredit(FlowPaceTests.limits) == nil)
        flow.buffersReturned()
        #expect(flow.receiveCredit(FlowPaceTests.limits) == 400)
    }

    /// Nothing more is read for a sink that is gone: nothing is left to wait for.
    @Test func discardingEndsTheHold() {
        var flow = FlowPaceTests.paced()
        flow.hold()
        flow.startDiscarding()
        #expect(!flow.isHeld && !flow.takesFreely && flow.receiveCredit(FlowPaceTests.limits) == nil)
    }

    private static func send(_ flow: inout Flow) {
        flow.received(50)
        flow.sendSubmitted(50, policy)
        flow.sendCompleted(50)
    }

    @Test func isNotSpliced() {
        var flow = FlowPaceTests.paced()
        FlowPaceTests.send(&flow)
        #expect(!flow.wantsSplicing && flow.receiveCredit(FlowPaceTests.limits) == 400)
        // One that is about to be is not any more; one without a limit any more is.
        flow = Flow()
        FlowPaceTests.send(&flow)
        #expect(flow.wantsSplicing)
        flow.setPaced(true)
        #expect(!flow.wantsSplicing && flow.receiveCredit(FlowPaceTests.limits) == 400)
        flow.setPaced(false)
        FlowPaceTests.send(&flow)
        #expect(flow.wantsSplicing)
    }

    /// One that is spliced is copied once its pipe is empty.
    @Test func aSplicedOneIsCopiedAfterItsStep() {
        var flow = Flow()
        FlowPaceTests.send(&flow)
        flow.readinessSubmitted()
        flow.setPaced(true)
        #expect(flow.isSplicing)
        flow.readinessCompleted(isReady: true)
        flow.splicedIn(30, FlowPaceTests.policy)
        flow.spliceStepEnded()
        #expect(flow.isSplicing, "its pipe is not empty")
        flow.splicedOut(30)
        flow.spliceStepEnded()
        #expect(!flow.isSplicing && flow.receiveCredit(FlowPaceTests.limits) == 400 && !flow.wantsSplicing)
    }

    /// A receive and a wait for readiness are never armed at a time, so one mark tells that either was taken back.
    @Test func whatIsTakenBackIsTakenBackOnce() {
        var flow = Flow()
        flow.receiveSubmitted()
        #expect(flow.canCancelReceive)
        flow.receiveCancelSubmitted()
        #expect(!flow.canCancelReceive)
        flow.receiveDisarmed()
        FlowPaceTests.send(&flow)
        flow.readinessSubmitted()
        #expect(flow.canCancelReadiness)
        flow.readinessCancelSubmitted()
        #expect(!flow.canCancelReadiness)
        flow.readinessCompleted(isReady: false)
        flow.readinessSubmitted()
        #expect(flow.canCancelReadiness)
    }
}

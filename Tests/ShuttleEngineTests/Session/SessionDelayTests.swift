// Owns what a session does while it waits for its service's rate limit.

import Testing

@testable import ShuttleEngine

@Suite struct SessionDelayTests {
    private static let limits = FlowLimits(bufferSize: 100, buffers: 16)

    private static func delayed(isReceiving: Bool) -> Session {
        var session = Session()
        session.delayed(isReceiving: isReceiving)
        return session
    }

    @Test func receivesAsMuchAsOneInTheQueue() {
        let session = SessionDelayTests.delayed(isReceiving: true)
        #expect(session.isDelayed && session.isReceivingDelayed && !session.isQueued)
        #expect(session.nextAction(SessionDelayTests.limits) == .receive(from: .downstream, byteLimit: 400))
        #expect(SessionDelayTests.delayed(isReceiving: false).nextAction(SessionDelayTests.limits) == .none)
    }

    /// Nothing is out for it but a timer: it may close at once.
    @Test func isQuiet() {
        #expect(SessionDelayTests.delayed(isReceiving: false).isQuiet)
    }

    @Test func leavesWithoutAWord() {
        var session = SessionDelayTests.delayed(isReceiving: true)
        session.endReceived(from: .downstream)
        #expect(session.nextAction(SessionDelayTests.limits) == .close(resetDownstream: false, resetUpstream: false))
        // A request that is whole waits on.
        session = SessionDelayTests.delayed(isReceiving: true)
        session.withFlow(from: .downstream) { $0.received(10) }
        session.endReceived(from: .downstream)
        #expect(session.nextAction(SessionDelayTests.limits) == .none)
        session = SessionDelayTests.delayed(isReceiving: true)
        session.receiveFailed(from: .downstream)
        #expect(session.nextAction(SessionDelayTests.limits) == .close(resetDownstream: false, resetUpstream: true))
    }

    @Test func goesOnAsOneThatComes() {
        var session = SessionDelayTests.delayed(isReceiving: true)
        session.leftDelay()
        #expect(!session.isDelayed)
        #expect(session.nextAction(SessionDelayTests.limits) == .receive(from: .downstream, byteLimit: 1600))
        session.queued(isReceiving: false)
        session.leftQueue()
        session.connectSubmitted()
        #expect(session.isConnectInFlight)
    }
}

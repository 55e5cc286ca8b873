// Owns what a session with spliced flows wants in each of its phases.

import Testing

@testable import ShuttleEngine

@Suite struct SessionSpliceTests {
    private static let limits = FlowLimits(bufferSize: 100, buffers: 4)
    private static let sides = [Side.downstream, .upstream]

    private func next(_ session: Session) -> SessionAction { session.nextAction(SessionSpliceTests.limits) }

    /// Established; the flow from `side` is bulk, the other one has its receive armed.
    private func bulk(from side: Side) -> Session {
        var session = Session()
        session.connectSubmitted()
        session.connected()
        session.withFlow(from: side.other) { $0.receiveSubmitted() }
        session.withFlow(from: side) {
            $0.received(50)
            $0.sendSubmitted(50, .atOnce)
            $0.sendCompleted(50)
        }
        return session
    }

    private func waiting(from side: Side) -> Session {
        var session = bulk(from: side)
        session.withFlow(from: side) { $0.readinessSubmitted() }
        return session
    }

    private func owing(from side: Side) -> Session {
        var session = waiting(from: side)
        session.withFlow(from: side) {
            $0.readinessCompleted(isReady: true)
            $0.splicedIn(30, .atOnce)
            $0.spliceStepEnded()
        }
        return session
    }

    @Test(arguments: sides)
    func waitsSplicesAndWaits(side: Side) {
        var session = bulk(from: side)
        #expect(next(session) == .awaitReadiness(from: side))
        session.withFlow(from: side) { $0.readinessSubmitted() }
        #expect(next(session) == .none && !session.isQuiet)
        session.withFlow(from: side) { $0.readinessCompleted(isReady: true) }
        #expect(next(session) == .splice(from: side) && !session.isQuiet)
        session.withFlow(from: side) {
            $0.splicedIn(30, .atOnce)
            $0.splicedOut(10)
            $0.spliceStepEnded()
        }
        #expect(next(session) == .awaitReadiness(from: side), "now of the sink")
        session.withFlow(from: side) {
            $0.readinessSubmitted()
            $0.readinessCompleted(isReady: true)
        }
        #expect(next(session) == .splice(from: side))
        session.withFlow(from: side) {
            $0.splicedOut(20)
            $0.spliceStepEnded()
        }
        #expect(next(session) == .awaitReadiness(from: side), "of the source again")
    }

    /// A client's bytes are never spliced before there is somebody to splice them to.
    @Test func notWhileConnecting() {
        var session = Session()
        session.connectSubmitted()
        session.withFlow(from: .downstream) { $0.received(1 << 24) }
        #expect(next(session) == .receive(from: .downstream, byteLimit: 400))
        session.withFlow(from: .downstream) { $0.receiveSubmitted() }
        #expect(next(session) == .none)
    }

    @Test(arguments: sides)
    func theOtherDirectionEndsMeanwhile(side: Side) {
        var session = owing(from: side)
        session.withFlow(from: side.other) { $0.receiveDisarmed() }
        session.endReceived(from: side.other)
        #expect(next(session) == .finishWriting(to: side))
        session.withFlow(from: side.other) { $0.finishSubmitted() }
        #expect(next(session) == .awaitReadiness(from: side))
    }

    /// The source was reset: what is in the pipe is still delivered, as is what can be read.
    @Test(arguments: sides)
    func theSourceIsReset(side: Side) {
        var session = owing(from: side)
        session.sendFailed(to: side, afterEnd: false)
        session.withFlow(from: side.other) { $0.receiveCancelSubmitted() }
        #expect(session.resetBy == side)
        #expect(next(session) == .awaitReadiness(from: side))
        session.withFlow(from: side) {
            $0.readinessSubmitted()
            $0.readinessCompleted(isReady: true)
            $0.splicedOut(30)
            $0.spliceStepEnded()
        }
        #expect(next(session) == .awaitReadiness(from: side), "there may be more")
        session.withFlow(from: side) {
            $0.readinessSubmitted()
            $0.readinessCompleted(isReady: true)
        }
        session.receiveFailed(from: side)
        #expect(next(session) == .awaitFlush(of: side.other))
    }

    /// The sink was reset: what is owed to it is dropped, and nobody waits for the source any more.
    @Test(arguments: sides)
    func theSinkIsReset(side: Side) {
        var session = owing(from: side)
        session.withFlow(from: side) { $0.readinessSubmitted() }
        session.withFlow(from: side.other) { $0.receiveDisarmed() }
        session.receiveFailed(from: side.other)
        #expect(next(session) == .discard(owedTo: side.other))
        session.owedDiscarded(to: side.other)
        #expect(next(session) == .cancelReadiness(from: side))
        session.withFlow(from: side) { $0.readinessCancelSubmitted() }
        #expect(next(session) == .awaitFlush(of: side))
        session.withFlow(from: side) { $0.readinessCompleted(isReady: true) }
        session.awaitsFlush()
        #expect(next(session) == .none, "what became ready meanwhile is not wanted")
        session.flushed()
        #expect(next(session) == .close(resetDownstream: side == .downstream, resetUpstream: side == .upstream))
    }

    /// The splice finds the sink's reset by itself.
    @Test(arguments: sides)
    func aSpliceTakesTheResetAway(side: Side) {
        var session = owing(from: side)
        session.sendFailed(to: side.other, afterEnd: false)
        #expect(session.distrustsEnd(of: side.other))
        #expect(next(session) == .discard(owedTo: side.other))
        session.owedDiscarded(to: side.other)
        session.withFlow(from: side.other) { $0.receiveDisarmed() }
        session.endReceived(from: side.other)
        #expect(next(session) == .awaitFlush(of: side), "never an end")
    }

    @Test(arguments: sides)
    func nothingIsDueWhileClosing(side: Side) {
        for session in [bulk(from: side), waiting(from: side), owing(from: side)] {
            var session = session
            session.closeSubmitted()
            #expect(next(session) == .none)
        }
    }

    /// A wait for readiness is a completion to come.
    @Test(arguments: sides)
    func isQuietKnowsWaits(side: Side) {
        var session = waiting(from: side)
        session.withFlow(from: side.other) { $0.receiveDisarmed() }
        #expect(!session.isQuiet)
        session.withFlow(from: side) { $0.readinessCancelSubmitted() }
        #expect(!session.isQuiet, "a cancellation is none")
        session.withFlow(from: side) { $0.readinessCompleted(isReady: false) }
        #expect(session.isQuiet)
    }

    /// Who is owed what lies in a pipe was promised more than it gets.
    @Test(arguments: sides)
    func abortTellsTheTruth(side: Side) {
        let isOwedDownstream = side == .upstream
        #expect(
            owing(from: side).abortAction
                == .close(resetDownstream: isOwedDownstream, resetUpstream: !isOwedDownstream)
        )
        #expect(waiting(from: side).abortAction == .close(resetDownstream: false, resetUpstream: false))
    }
}

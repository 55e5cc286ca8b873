// Owns a session's life told as short stories; every order of events is explored in SessionExplorationTests.

import Testing

@testable import ShuttleEngine

@Suite struct SessionTests {
    private static let limits = FlowLimits(bufferSize: 100, buffers: 4)

    private func next(_ session: Session) -> SessionAction { session.nextAction(SessionTests.limits) }

    private func established() -> Session {
        var session = Session()
        session.connectSubmitted()
        session.connected()
        return session
    }

    /// A client that is read first is looked at once for whatever it says, and once more when it has ended.
    @Test func whoIsReadFirst() {
        var pool = BufferPool(bufferCount: 4, bufferSize: 100)!
        var session = Session()
        func says(_ count: Int) {
            let buffer = pool.takeFree()!
            session.withFlow(from: .downstream) {
                _ = pool.append(buffer, count: count, to: &$0.queue)
                $0.received(count)
            }
        }
        session.startPrereading()
        #expect(session.isPrereading && session.waitsWithoutBackend && !session.isQueued)
        #expect(next(session) == .receive(from: .downstream, byteLimit: 200), "two buffers, however low the pool runs")
        session.withFlow(from: .downstream) { $0.receiveSubmitted() }
        #expect(next(session) == .none)
        says(10)
        #expect(next(session) == .preread)
        session.prereadInVain()
        #expect(session.isPrereading && next(session) == .none)
        says(1)
        #expect(next(session) == .preread)
        session.withFlow(from: .downstream) { pool.gather(&$0.queue) }
        session.prereadInVain()
        #expect(next(session) == .none)
        session.withFlow(from: .downstream) {
            pool.discard(&$0.queue)
            $0.taken(11)
            $0.receiveDisarmed()
        }
        #expect(!session.flow(from: .downstream).hasReceived, "what was taken off is no word of the stream")
        session.prereadEnded()
        #expect(next(session) == .receive(from: .downstream, byteLimit: 400), "as any that connects")
        var ended = Session()
        ended.startPrereading()
        ended.endReceived(from: .downstream)
        #expect(next(ended) == .preread)
        var reset = Session()
        reset.startPrereading()
        reset.receiveFailed(from: .downstream)
        #expect(next(reset) == .close(resetDownstream: false, resetUpstream: true))
        reset.prereadEnded()
        reset.closeSubmitted()
        #expect(reset.isQuiet)
    }

    /// Only between two sides that live and have nothing else to do may completions of sends wait.
    @Test func sendsThatMayBeLookedAtLater() {
        var session = Session()
        session.connectSubmitted()
        session.withFlow(from: .downstream) { $0.receiveSubmitted() }
        #expect(!session.canLookAtSendsLater, "it connects")
        session.connected()
        session.withFlow(from: .upstream) { $0.receiveSubmitted() }
        #expect(session.canLookAtSendsLater)
        for side in [Side.downstream, .upstream] {
            var sending = session
            sending.withFlow(from: side) {
                $0.received(50)
                $0.sendSubmitted(50, waits: false, .never)
            }
            #expect(sending.canLookAtSendsLater)
            var ended = sending
            ended.endReceived(from: side)
            #expect(!ended.canLookAtSendsLater)
            sending.receiveFailed(from: side.other)
            #expect(!sending.canLookAtSendsLater)
        }
    }

    @Test func readsTheClientWhileConnecting() {
        var session = Session()
        session.connectSubmitted()
        #expect(session.phase == .connecting && session.isConnectInFlight && !session.isQuiet)
        #expect(next(session) == .receive(from: .downstream, byteLimit: 400))
        session.withFlow(from: .downstream) { $0.receiveSubmitted() }
        #expect(next(session) == .none)
        session.withFlow(from: .downstream) { $0.received(10) }
        #expect(next(session) == .none, "nobody to send to yet")
        session.connected()
        #expect(session.phase == .established)
        #expect(next(session) == .send(to: .upstream))
    }

    @Test func aFurtherConnectAfterAFailure() {
        var session = Session()
        session.connectSubmitted()
        session.connectFailed()
        #expect(session.phase == .connecting && session.isQuiet)
        session.connectSubmitted()
        session.connected()
        #expect(session.phase == .established)
    }

    @Test func halfCloseAndClose() {
        var session = established()
        session.endReceived(from: .downstream)
        #expect(next(session) == .finishWriting(to: .upstream))
        session.withFlow(from: .downstream) { $0.finishSubmitted() }
        #expect(next(session) == .receive(from: .upstream, byteLimit: 400))
        session.endReceived(from: .upstream)
        #expect(next(session) == .close(resetDownstream: false, resetUpstream: false))
        session.closeSubmitted()
        #expect(session.phase == .closing && next(session) == .none)
    }

    /// Without half-close the first end stops everything; what was received is delivered before both sides close.
    @Test func theFirstEndClosesBoth() {
        var session = Session(closesAtFirstEnd: true)
        session.connectSubmitted()
        session.connected()
        session.withFlow(from: .upstream) { $0.receiveSubmitted() }
        session.withFlow(from: .upstream) { $0.received(30) }
        session.withFlow(from: .downstream) { $0.received(20) }
        #expect(!session.isEnding && session.flushedSide == nil)
        session.endReceived(from: .downstream)
        #expect(session.isEnding && session.flushedSide == .upstream)
        for side in [Side.upstream, .downstream] {
            #expect(next(session) == .send(to: side))
            session.withFlow(from: side.other) { $0.sendSubmitted(Int($0.owedBytes), waits: false, .never) }
        }
        #expect(next(session) == .cancelReceive(from: .upstream))
        session.withFlow(from: .upstream) { $0.receiveCancelSubmitted() }
        session.withFlow(from: .downstream) { $0.sendCompleted(20) }
        #expect(next(session) == .finishWriting(to: .upstream))
        session.withFlow(from: .downstream) { $0.finishSubmitted() }
        session.withFlow(from: .upstream) { $0.sendCompleted(30) }
        #expect(next(session) == .none, "what the receive brings yet is owed as well")
        session.withFlow(from: .upstream) {
            $0.received(5)
            $0.receiveDisarmed()
        }
        #expect(next(session) == .send(to: .downstream))
        session.withFlow(from: .upstream) {
            $0.sendSubmitted(5, waits: false, .never)
            $0.sendCompleted(5)
        }
        #expect(next(session) == .awaitFlush(of: .upstream))
        session.awaitsFlush()
        #expect(next(session) == .none)
        session.flushed()
        #expect(next(session) == .close(resetDownstream: false, resetUpstream: false))
    }

    /// A side that does not take what is owed to it within its time is reset.
    @Test func theFirstEndWaitsNotForEver() {
        var session = Session(closesAtFirstEnd: true)
        session.connectSubmitted()
        session.connected()
        session.withFlow(from: .downstream) { $0.received(20) }
        session.withFlow(from: .downstream) { $0.sendSubmitted(20, .never) }
        session.endReceived(from: .upstream)
        session.flushed()
        #expect(next(session) == .close(resetDownstream: false, resetUpstream: true))
    }

    /// With both ends there the close is both ends at once.
    @Test func bothEndsAtOnce() {
        var session = established()
        session.endReceived(from: .upstream)
        session.endReceived(from: .downstream)
        #expect(next(session) == .close(resetDownstream: false, resetUpstream: false))
    }

    @Test(arguments: [Side.downstream, .upstream])
    func aResetTravelsAfterTheBytes(side: Side) {
        var session = established()
        session.withFlow(from: side) { $0.received(50) }
        session.receiveFailed(from: side)
        #expect(session.resetBy == side)
        #expect(next(session) == .send(to: side.other))
        session.withFlow(from: side) { $0.sendSubmitted(50, .never) }
        #expect(next(session) == .none)
        session.withFlow(from: side) { $0.sendCompleted(50) }
        #expect(next(session) == .awaitFlush(of: side.other))
        session.awaitsFlush()
        #expect(next(session) == .none)
        session.flushed()
        #expect(
            next(session) == .close(resetDownstream: side == .upstream, resetUpstream: side == .downstream)
        )
    }

    /// What is owed to the side that reset is dropped, once no send holds on to it.
    @Test func whatIsOwedToTheResetSideIsDropped() {
        var session = established()
        session.withFlow(from: .downstream) {
            $0.received(30)
            $0.sendSubmitted(30, .never)
            $0.received(20)
        }
        session.receiveFailed(from: .upstream)
        #expect(next(session) != .discard(owedTo: .upstream), "a send is still reading that memory")
        session.sendFailed(to: .upstream, afterEnd: true)
        #expect(next(session) == .discard(owedTo: .upstream))
        session.owedDiscarded(to: .upstream)
        #expect(next(session) == .awaitFlush(of: .downstream))
    }

    /// The send heard of the reset; receives find a false end.
    @Test func aSendTakesTheResetAway() {
        var session = established()
        session.withFlow(from: .downstream) {
            $0.received(30)
            $0.sendSubmitted(30, .never)
        }
        session.sendFailed(to: .upstream, afterEnd: false)
        session.owedDiscarded(to: .upstream)
        #expect(next(session) == .receive(from: .upstream, byteLimit: 400), "bytes may have come before")
        session.endReceived(from: .upstream)
        #expect(next(session) == .awaitFlush(of: .downstream), "never an end")
    }

    /// A send that was cut short says nothing of the error; the end that follows is a reset all the same.
    @Test func aShortSendTakesTheResetAway() {
        var session = established()
        session.withFlow(from: .downstream) {
            $0.received(30)
            $0.sendSubmitted(30, .never)
        }
        session.sendCutShort(to: .upstream)
        session.withFlow(from: .downstream) { $0.sendCompleted(10) }
        session.endReceived(from: .upstream)
        #expect(session.resetBy == .upstream)
        #expect(next(session) == .discard(owedTo: .upstream))
    }

    /// EPIPE: the peer had ended before, so the end is true though the connection was reset later.
    @Test func anEndBeforeAResetIsTrue() {
        var session = established()
        session.withFlow(from: .downstream) {
            $0.received(30)
            $0.sendSubmitted(30, .never)
        }
        session.sendFailed(to: .upstream, afterEnd: true)
        session.owedDiscarded(to: .upstream)
        session.endReceived(from: .upstream)
        #expect(next(session) == .finishWriting(to: .downstream))
    }

    @Test func bothResetsEndItAtOnce() {
        var session = established()
        session.withFlow(from: .upstream) {
            $0.received(30)
            $0.sendSubmitted(30, .never)
        }
        session.receiveFailed(from: .upstream)
        session.sendFailed(to: .downstream, afterEnd: false)
        #expect(next(session) == .close(resetDownstream: true, resetUpstream: false))
    }

    @Test func aResetWhileConnecting() {
        var session = Session()
        session.connectSubmitted()
        session.receiveFailed(from: .downstream)
        #expect(next(session) == .close(resetDownstream: false, resetUpstream: true))
    }

    /// Who was promised more than it gets is reset.
    @Test func abortTellsTheTruth() {
        #expect(established().abortAction == .close(resetDownstream: false, resetUpstream: false))
        var session = established()
        session.withFlow(from: .upstream) { $0.received(1) }
        #expect(session.abortAction == .close(resetDownstream: true, resetUpstream: false))
        session.withFlow(from: .downstream) { $0.received(1) }
        #expect(session.abortAction == .close(resetDownstream: true, resetUpstream: true))
        var reset = established()
        reset.receiveFailed(from: .downstream)
        #expect(reset.abortAction == .close(resetDownstream: false, resetUpstream: true))
    }

    @Test func isQuietKnowsEveryOperation() {
        #expect(established().isQuiet)
        for side in [Side.downstream, .upstream] {
            var receiving = established()
            receiving.withFlow(from: side) { $0.receiveSubmitted() }
            #expect(!receiving.isQuiet)
            var sending = established()
            sending.withFlow(from: side) {
                $0.received(1)
                $0.sendSubmitted(1, .never)
            }
            #expect(!sending.isQuiet)
        }
    }

    /// It can be written down as a value: no reference and no pointer in it.
    @Test func isATrivialValue() {
        #expect(_isPOD(Session.self))
        #expect(MemoryLayout<Session>.size <= 72)
        #expect(MemoryLayout<SessionSlot>.stride < 500)
    }
}

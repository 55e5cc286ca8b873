// Deadlines of a connection in every phase, and who gives up a place for whom, on a clock of the tests' own.

import NIOCore
import Testing

@testable import shuttled

@Suite struct ConnectionStateTests {
    private static let limits = AdminLimits()
    private static func at(_ seconds: Double) -> NIODeadline {
        .uptimeNanoseconds(1_000_000_000_000) + .nanoseconds(Int64(seconds * 1_000_000_000))
    }

    private func opened() -> ConnectionState {
        ConnectionState(limits: Self.limits, now: Self.at(0))
    }

    /// Has had one request without a body, answered and taken at `seconds`.
    private func kept(at seconds: Double) -> ConnectionState {
        var state = opened()
        let now = Self.at(seconds)
        state.headArrived(bodyBytes: 0, keepsAlive: true, now: now)
        state.requestEnded(now: now)
        _ = state.answerBegan(now: now)
        state.answerEnded(now: now)
        _ = state.answerFlushed(now: now)
        return state
    }

    // MARK: Waiting for a header

    @Test func silenceIsClosed() {
        var state = opened()
        #expect(state.nextDeadline(now: Self.at(0)) == Self.at(5))
        #expect(state.overdue(unsentBytes: 0, now: Self.at(4.9)) == nil)
        #expect(state.overdue(unsentBytes: 0, now: Self.at(5)) == .close)
    }

    @Test func aHeaderThatDripsIsRefused() {
        var state = opened()
        for second in 0..<5 {
            state.inputArrived(now: Self.at(Double(second)))
        }
        #expect(state.overdue(unsentBytes: 0, now: Self.at(4.9)) == nil)
        #expect(state.overdue(unsentBytes: 0, now: Self.at(5)) == .head)
    }

    @Test func aKeptConnectionMayWaitLonger() {
        var state = kept(at: 10)
        #expect(state.phase == .waiting)
        #expect(state.nextDeadline(now: Self.at(10)) == Self.at(40))
        #expect(state.overdue(unsentBytes: 0, now: Self.at(39)) == nil)
        #expect(state.overdue(unsentBytes: 0, now: Self.at(40)) == .close)
    }

    @Test func aFurtherHeaderHasItsOwnTimeFromItsFirstByte() {
        var state = kept(at: 10)
        state.inputArrived(now: Self.at(20))
        state.inputArrived(now: Self.at(24))
        #expect(state.nextDeadline(now: Self.at(24)) == Self.at(25))
        #expect(state.overdue(unsentBytes: 0, now: Self.at(25)) == .head)
    }

    // MARK: Bodies

    @Test func aBodyMayPauseButNotForLong() {
        var state = opened()
        state.headArrived(bodyBytes: 10 << 20, keepsAlive: true, now: Self.at(1))
        #expect(state.nextDeadline(now: Self.at(1)) == Self.at(11))
        state.bodyArrived(now: Self.at(9))
        #expect(state.overdue(unsentBytes: 0, now: Self.at(18.9)) == nil)
        #expect(state.overdue(unsentBytes: 0, now: Self.at(19)) == .body)
    }

    /// 1 MiB at 256 KiB/s and the first pause: 14 s.
    @Test func aBodyThatDripsIsRefused() {
        var state = opened()
        state.headArrived(bodyBytes: 1 << 20, keepsAlive: true, now: Self.at(0))
        for second in 0..<14 {
            #expect(state.overdue(unsentBytes: 0, now: Self.at(Double(second))) == nil)
            state.bodyArrived(now: Self.at(Double(second)))
        }
        #expect(state.overdue(unsentBytes: 0, now: Self.at(14)) == .body)
    }

    @Test(arguments: [nil, Int.max, -1]) func anyDeclaredLengthIsBounded(_ length: Int?) {
        var state = opened()
        state.headArrived(bodyBytes: length, keepsAlive: true, now: Self.at(0))
        state.bodyArrived(now: Self.at(10 + 256))
        #expect(state.overdue(unsentBytes: 0, now: Self.at(10 + 256)) == .body)
    }

    @Test func whatIsAnsweredAlreadyIsOnlyClosed() {
        var state = opened()
        state.headArrived(bodyBytes: 100, keepsAlive: true, now: Self.at(0))
        #expect(state.answerBegan(now: Self.at(0)) == true)
        #expect(state.dropsInput)
        #expect(state.overdue(unsentBytes: 0, now: Self.at(60)) == .close)
    }

    // MARK: Answers

    @Test func carryingARequestOutIsNotTheClientsDoing() {
        var state = opened()
        state.headArrived(bodyBytes: 0, keepsAlive: true, now: Self.at(0))
        state.requestEnded(now: Self.at(0))
        #expect(state.nextDeadline(now: Self.at(0)) == nil)
        #expect(state.overdue(unsentBytes: 0, now: Self.at(3600)) == nil)
        #expect(state.expendability(now: Self.at(3600)) == nil)
    }

    @Test func anAnswerMustBeTaken() {
        var state = opened()
        state.headArrived(bodyBytes: 0, keepsAlive: true, now: Self.at(0))
        state.requestEnded(now: Self.at(0))
        #expect(state.answerBegan(now: Self.at(100)) == false)
        state.answerGrew(1000)
        state.answerEnded(now: Self.at(100))
        #expect(state.overdue(unsentBytes: 1000, now: Self.at(101)) == nil)
        #expect(state.overdue(unsentBytes: 1000, now: Self.at(109)) == nil)
        #expect(state.overdue(unsentBytes: 1000, now: Self.at(111)) == .close)
    }

    /// 10 MiB at 256 KiB/s and the first pause: 50 s, whatever the progress.
    @Test func anAnswerThatIsTakenInDropsIsCutOff() {
        var state = opened()
        state.headArrived(bodyBytes: 0, keepsAlive: true, now: Self.at(0))
        state.requestEnded(now: Self.at(0))
        _ = state.answerBegan(now: Self.at(0))
        state.answerGrew(10 << 20)
        state.answerEnded(now: Self.at(0))
        for second in 0..<50 {
            #expect(state.overdue(unsentBytes: (10 << 20) - second, now: Self.at(Double(second))) == nil)
            #expect(state.nextDeadline(now: Self.at(Double(second))) == Self.at(Double(second) + 1))
        }
        #expect(state.overdue(unsentBytes: 1, now: Self.at(50)) == .close)
    }

    /// As long as it is taken, however much it has become; ten seconds when nothing goes.
    @Test func aStreamLastsAsLongAsItIsTaken() {
        var state = opened()
        state.headArrived(bodyBytes: 0, keepsAlive: true, now: Self.at(0))
        state.requestEnded(now: Self.at(0))
        state.answerStreams(now: Self.at(0))
        #expect(state.answerBegan(now: Self.at(0)) == true, "the connection ends with it")
        for minute in 1...60 {
            #expect(state.overdue(unsentBytes: 0, now: Self.at(Double(minute) * 60)) == nil, "silence is no fault")
        }
        // Slowly, while it grows.
        for second in 1...60 {
            state.answerGrew(1000)
            let unsent = state.overdue(unsentBytes: second * 990, now: Self.at(3600 + Double(second)))
            #expect(unsent == nil, "after \(second) s")
        }
        #expect(state.expendability(now: Self.at(3660)) == nil)
        #expect(state.nextDeadline(now: Self.at(3660)) == Self.at(3661), "how much has gone is seen by looking")
        #expect(state.overdue(unsentBytes: 60 * 990, now: Self.at(3669.9)) == nil)
        #expect(state.overdue(unsentBytes: 60 * 990, now: Self.at(3670)) == .close)
        // Its end is taken as that of any answer.
        state.answerEnded(now: Self.at(3665))
        #expect(state.answerFlushed(now: Self.at(3666)) == false)
        #expect(state.phase == .lingering)
    }

    @Test func theConnectionEndsWhereItMust() {
        // The client said so.
        var state = opened()
        state.headArrived(bodyBytes: 0, keepsAlive: false, now: Self.at(0))
        state.requestEnded(now: Self.at(0))
        #expect(state.answerBegan(now: Self.at(0)) == true)
        // Answered before the request was complete.
        state = opened()
        state.headArrived(bodyBytes: 10, keepsAlive: true, now: Self.at(0))
        #expect(state.answerBegan(now: Self.at(0)) == true)
        // Asked to stop meanwhile.
        state = opened()
        state.headArrived(bodyBytes: 0, keepsAlive: true, now: Self.at(0))
        state.requestEnded(now: Self.at(0))
        state.makeLast()
        #expect(state.answerBegan(now: Self.at(0)) == true)
        state.answerEnded(now: Self.at(0))
        #expect(state.answerFlushed(now: Self.at(1)) == false)
        #expect(state.phase == .lingering)
        #expect(state.dropsInput)
        #expect(state.overdue(unsentBytes: 0, now: Self.at(5.9)) == nil)
        #expect(state.overdue(unsentBytes: 0, now: Self.at(6)) == .close)
    }

    @Test func stoppingHurries() {
        var waiting = opened()
        #expect(waiting.stop(now: Self.at(0)) == true)
        var lingering = opened()
        lingering.linger(now: Self.at(0))
        #expect(lingering.stop(now: Self.at(1)) == false)
        #expect(lingering.overdue(unsentBytes: 0, now: Self.at(1.2)) == nil)
        #expect(lingering.overdue(unsentBytes: 0, now: Self.at(1.25)) == .close)
        var receiving = opened()
        receiving.headArrived(bodyBytes: 1, keepsAlive: true, now: Self.at(0))
        #expect(receiving.stop(now: Self.at(0)) == false)
        receiving.requestEnded(now: Self.at(0))
        #expect(receiving.answerBegan(now: Self.at(0)) == true)
        receiving.answerEnded(now: Self.at(0))
        #expect(receiving.answerFlushed(now: Self.at(2)) == false)
        #expect(receiving.nextDeadline(now: Self.at(2)) == Self.at(2.25))
    }

    @Test func whatIsDroppedIsBounded() {
        var state = opened()
        state.linger(now: Self.at(0))
        #expect(state.inputDropped(Self.limits.lingerBytesMax) == true)
        #expect(state.inputDropped(1) == false)
    }

    // MARK: Places

    private final class Member: TableMember {
        var place: (rank: Int, since: NIODeadline)?
        private(set) var isEvicted = false
        private(set) var isFinished = false

        init(_ place: (rank: Int, since: NIODeadline)?) { self.place = place }
        func expendability(now: NIODeadline) -> (rank: Int, since: NIODeadline)? { place }
        func evict() { isEvicted = true }
        func finish() { isFinished = true }
    }

    @Test func uselessnessHasAnOrder() throws {
        var lingering = opened()
        lingering.linger(now: Self.at(0))
        var receiving = opened()
        receiving.headArrived(bodyBytes: 10, keepsAlive: true, now: Self.at(0))
        #expect(receiving.expendability(now: Self.at(0.9)) == nil)
        let now = Self.at(20)
        let ranks = try [lingering, opened(), kept(at: 0), receiving].map {
            try #require($0.expendability(now: now)).rank
        }
        #expect(ranks == [0, 1, 2, 3])
        #expect(opened().expendability(now: Self.at(0.04)) == nil)
        #expect(kept(at: 7).expendability(now: Self.at(7.04)) == nil)
        #expect(kept(at: 7).expendability(now: Self.at(7.05))?.since == Self.at(7))
        var halfOpen = opened()
        halfOpen.inputArrived(now: Self.at(0.01))
        #expect(halfOpen.expendability(now: Self.at(0.01))?.rank == 1, "a header comes in one piece, mostly")
        var taking = receiving
        taking.requestEnded(now: Self.at(1))
        _ = taking.answerBegan(now: Self.at(2))
        #expect(taking.expendability(now: Self.at(60)) == nil)
        taking.answerEnded(now: Self.at(2))
        #expect(taking.expendability(now: Self.at(2.9)) == nil)
        #expect(taking.expendability(now: Self.at(3))?.rank == 3)
    }

    @Test func theNewestTakesThePlaceOfTheMostExpendable() {
        let table = ConnectionTable(connectionsMax: 3)
        let members = [Member((2, Self.at(0))), Member((1, Self.at(5))), Member((1, Self.at(3)))]
        for member in members {
            #expect(table.admit(member, now: Self.at(6)))
        }
        #expect(table.count == 3)
        #expect(members.allSatisfy { !$0.isEvicted })
        let fourth = Member(nil)
        #expect(table.admit(fourth, now: Self.at(6)))
        #expect(members.map(\.isEvicted) == [false, false, true])
        #expect(table.admit(Member(nil), now: Self.at(6)))
        #expect(members.map(\.isEvicted) == [false, true, true])
        #expect(table.admit(Member(nil), now: Self.at(6)))
        #expect(members.map(\.isEvicted) == [true, true, true])
        #expect(table.count == 3)
    }

    @Test func whereAllAreInUseTheNewestWaits() {
        let table = ConnectionTable(connectionsMax: 2)
        let first = Member(nil)
        var isRoomReported = false
        table.onRoom = { isRoomReported = true }
        #expect(table.admit(first, now: Self.at(0)))
        #expect(table.hasRoom(now: Self.at(0)))
        #expect(table.admit(Member(nil), now: Self.at(0)))
        #expect(!table.hasRoom(now: Self.at(0)))
        #expect(!table.admit(Member(nil), now: Self.at(0)))
        first.place = (3, Self.at(0))
        #expect(table.hasRoom(now: Self.at(0)))
        first.place = nil
        table.leave(first)
        #expect(isRoomReported)
        #expect(table.hasRoom(now: Self.at(0)))
        isRoomReported = false
        table.leave(first)
        #expect(!isRoomReported, "one place is given back once")
    }

    @Test func everyoneCanBeAskedAndMade() {
        let table = ConnectionTable(connectionsMax: 4)
        let members = [Member(nil), Member((0, Self.at(0)))]
        for member in members {
            #expect(table.admit(member, now: Self.at(0)))
        }
        table.finishAll()
        #expect(members.map(\.isFinished) == [true, true])
        #expect(table.count == 2)
        table.evictAll()
        #expect(members.map(\.isEvicted) == [true, true])
        #expect(table.count == 0)
    }
}

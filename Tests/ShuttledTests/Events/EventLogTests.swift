// That events are kept up to a bound, found by their ids, and never mistaken for those of another process.

import Synchronization
import Testing

@testable import shuttled

@Suite struct EventLogTests {
    private static func log(_ count: Int, capacity: Int = 4, process: String = "abc") -> EventLog {
        let log = EventLog(capacity: capacity, process: process, timeOfDayMilliseconds: { 1000 })
        for number in 0..<count {
            log.post(.limitBegin, ["number": .number(number + 1)])
        }
        return log
    }

    private static func numbers(_ log: EventLog, after number: UInt64, limit: Int = 100) -> [UInt64]? {
        log.events(after: number, limit: limit)?.map(\.number)
    }

    @Test func theLatestAreKeptInOrder() {
        let log = Self.log(10)
        #expect(Self.numbers(log, after: 6) == [7, 8, 9, 10])
        #expect(Self.numbers(log, after: 6, limit: 2) == [7, 8])
        #expect(Self.numbers(log, after: 9) == [10])
        #expect(Self.numbers(log, after: 10) == [])
        #expect(Self.numbers(log, after: 5) == nil, "6 is not kept")
        #expect(Self.numbers(log, after: 0) == nil)
        #expect(Self.numbers(Self.log(0), after: 0) == [])
        #expect(Self.numbers(Self.log(4), after: 0) == [1, 2, 3, 4])
        let event = log.events(after: 9, limit: 1)?.first
        #expect(event?.fields == [Event.Field(name: "number", value: .number(10))])
        #expect(event?.milliseconds == 1000)
    }

    @Test func anIdIsWhereToGoOn() {
        let log = Self.log(10)
        func position(_ id: String) -> EventLog.Position? { log.position(after: id) }
        #expect(log.id(10) == "abc-10")
        #expect(position("abc-10") == EventLog.Position(after: 10))
        #expect(position("abc-7") == EventLog.Position(after: 7))
        #expect(position("abc-6") == EventLog.Position(after: 6), "7 is the oldest that is kept")
        #expect(position("abc-5") == EventLog.Position(after: 6, gap: .tooOld))
        #expect(position("abc-0") == EventLog.Position(after: 6, gap: .tooOld))
        #expect(position("abc-11") == EventLog.Position(after: 6, gap: .unknown))
        #expect(position("abd-7") == EventLog.Position(after: 6, gap: .otherProcess))
        #expect(Self.log(0).position(after: "abc-0") == EventLog.Position(after: 0))
        #expect(Self.log(0).position(after: "x-9") == EventLog.Position(after: 0, gap: .otherProcess))
        #expect(log.begin == EventLog.Position(after: 6))
        #expect(log.end == EventLog.Position(after: 10))
    }

    @Test(arguments: [
        "", "7", "abc", "abc-", "-7", "abc-x", "abc--7", "abc-+7", "abc-99999999999999999999", "ABC-7", "a b-7", "é-7",
        "abc-7 ", "012345678901234567890123456789012-7",
    ])
    func whatIsNoIdIsNone(_ text: String) {
        #expect(Self.log(10).position(after: text) == nil)
    }

    @Test func noTwoProcessesGiveTheSameIds() {
        let processes = (0..<1000).map { _ in EventLog(timeOfDayMilliseconds: { 1_764_115_200_029 }).process }
        #expect(Set(processes).count >= 999, "started in the same millisecond")
        #expect(EventLog().position(after: EventLog().id(1))?.gap == .otherProcess)
        for process in processes {
            #expect(EventLog().position(after: "\(process)-1") != nil, "its own form is read")
        }
    }

    @Test func longTextsAreCutOffBetweenCharacters() {
        let log = EventLog()
        log.post(.reload, ["long": .text(String(repeating: "é", count: 300)), "short": .text("é")])
        let fields = log.events(after: 0, limit: 1)?.first?.fields
        #expect(fields?.first?.value == .text(String(repeating: "é", count: 256) + "…"))
        #expect(fields?.last?.value == .text("é"))
    }

    @Test func whoFollowsHearsOfEachUntilItDoesNotFollow() {
        let log = EventLog()
        let heard = Mutex(0)
        let follower = log.follow { heard.withLock { $0 += 1 } }
        log.post(.change, [:])
        log.post(.change, [:])
        #expect(heard.withLock { $0 } == 2)
        log.unfollow(follower)
        log.post(.change, [:])
        #expect(heard.withLock { $0 } == 2)
    }
}

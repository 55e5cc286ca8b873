// From the counts that rings write to what they read: records, changes, the rules of the configuration.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct JudgeTrafficTests {
    private func fail(_ fixture: TableFixture, _ index: Int, _ count: Int = 5) {
        for _ in 0..<count { fixture.records[index].pointee.failures.count(.refused) }
    }

    private func up(_ fixture: TableFixture) -> [Bool] {
        fixture.records.map { $0.pointee.isUp.load(ordering: .relaxed) }
    }

    @Test func outAndBack() {
        let fixture = TableFixture(weights: [1, 1])
        #expect(fixture.service.judgeTraffic(at: 100) == [])
        fail(fixture, 0)
        let out = EjectionChange(service: "a", backend: "s0", isEjected: true, lastFailure: .refused)
        #expect(fixture.service.judgeTraffic(at: 200) == [out])
        #expect(up(fixture) == [false, true])
        #expect(fixture.service.hasAccused)
        let record = fixture.service.table.pointee.record
        #expect(record.pointee.nextJudgement == 10_200)
        #expect(fixture.service.judgeTraffic(at: 300) == [])
        let back = EjectionChange(service: "a", backend: "s0", isEjected: false, lastFailure: .refused)
        #expect(fixture.service.judgeTraffic(at: 10_200) == [back])
        #expect(up(fixture) == [true, true])
        #expect(!fixture.service.hasAccused && record.pointee.nextJudgement == .max)
    }

    @Test func panicsAreCounted() {
        let fixture = TableFixture(weights: [1, 1])
        fail(fixture, 0)
        fail(fixture, 1)
        #expect(fixture.service.judgeTraffic(at: 200).count == 1)
        #expect(up(fixture).filter { $0 }.count == 1)
        #expect(fixture.service.table.pointee.record.pointee.panics == 1)
    }

    /// Drained by weight, or called down by checks: neither can be used, and so the others are all there are.
    @Test func whatCannotBeUsedAnyway() {
        let fixture = TableFixture(weights: [1, 0, 1])
        fixture.records[2].pointee.isCheckedUp = false
        fixture.records[2].pointee.updateUp()
        fail(fixture, 0)
        fail(fixture, 2)
        #expect(fixture.service.judgeTraffic(at: 200).map(\.backend) == ["s0"])
        #expect(up(fixture) == [false, true, false])
    }

    /// Checks and traffic have to agree that a backend is up.
    @Test func upIsWhatBothSay() {
        let fixture = TableFixture(weights: [1, 1])
        let record = fixture.records[0]
        fail(fixture, 0)
        _ = fixture.service.judgeTraffic(at: 200)
        record.pointee.isCheckedUp = false
        var hasChanged = record.pointee.updateUp()
        #expect(!hasChanged, "it was down before")
        _ = fixture.service.judgeTraffic(at: 10_200)
        #expect(up(fixture) == [false, true])
        record.pointee.isCheckedUp = true
        hasChanged = record.pointee.updateUp()
        #expect(hasChanged)
        #expect(up(fixture) == [true, true])
    }

    /// What a backend has taken that no socket holds unread, it has served.
    @Test func aResetAfterMuchIsNoFailure() {
        for bytes in [0, 1, 6 << 20, TrafficFailure.servedBytes - 1] as [UInt64] {
            #expect(TrafficFailure.ofReset(acknowledgedBytes: bytes) == .reset)
        }
        for bytes in [TrafficFailure.servedBytes, 1 << 40, .max] {
            #expect(TrafficFailure.ofReset(acknowledgedBytes: bytes) == nil)
        }
    }

    @Test func reasonsAreTold() {
        let failures = TrafficFailures()
        let (last, count) = (failures.last, failures.count)
        #expect(count == 0 && last == nil)
        for (index, failure) in TrafficFailure.allCases.enumerated() {
            failures.count(failure)
            let (last, count) = (failures.last, failures.count)
            #expect(last == failure && count == UInt64(index + 1))
        }
        #expect(Set(TrafficFailure.allCases.map(\.reason)).count == TrafficFailure.allCases.count)
    }
}

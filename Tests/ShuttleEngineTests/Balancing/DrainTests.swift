// Owns when the sessions of a backend that drains have their turn, in numbers, and which backends drain by which rules.

import Testing

@testable import ShuttleEngine

@Suite struct DrainTests {
    @Test func sessionsRunOnAtFirst() {
        let drain = Drain()
        let (isActive, deadline) = (drain.isActive, drain.deadline(of: 5))
        #expect(!isActive && deadline == .max)
        let hasChanged = drain.set(periodMilliseconds: 0, now: 100)
        #expect(!hasChanged)
    }

    /// Keys that follow one another, as slots do, are spread evenly over the period.
    @Test(arguments: [UInt64(1000), 60_000, 86_400_000])
    func deadlinesAreSpreadEvenly(period: UInt64) {
        let drain = Drain()
        _ = drain.set(periodMilliseconds: period, now: 5000)
        var tenths = [Int](repeating: 0, count: 10)
        for slot in UInt64(0)..<10_000 {
            let deadline = drain.deadline(of: slot << 32 | 1)
            #expect(deadline >= 5000 && deadline < 5000 + period)
            tenths[Int((deadline - 5000) * 10 / period)] += 1
        }
        #expect(tenths.allSatisfy { (850...1150).contains($0) }, "\(tenths)")
    }

    @Test func aSessionKeepsItsTime() {
        let drain = Drain()
        _ = drain.set(periodMilliseconds: 60_000, now: 5000)
        let deadlines = (UInt64(0)..<100).map { drain.deadline(of: $0) }
        let hasChanged = drain.set(periodMilliseconds: 60_000, now: 9000)
        #expect(!hasChanged, "the same again is no new beginning")
        let after = (UInt64(0)..<100).map { drain.deadline(of: $0) }
        #expect(deadlines == after)
    }

    @Test func anotherPeriodBeginsAnew() {
        let drain = Drain()
        _ = drain.set(periodMilliseconds: 60_000, now: 5000)
        let before = (UInt64(0)..<1000).map { drain.deadline(of: $0) }
        let hasChanged = drain.set(periodMilliseconds: 10_000, now: 35_000)
        #expect(hasChanged)
        let left = (0..<1000).filter { before[$0] > 35_000 }
        let after = left.map { drain.deadline(of: UInt64($0)) }
        #expect(after.allSatisfy { $0 >= 35_000 && $0 < 45_000 })
        // Those that had a late turn have one anywhere now.
        let inTheFirstHalf = after.count { $0 < 40_000 }
        #expect(inTheFirstHalf > left.count * 2 / 5 && inTheFirstHalf < left.count * 3 / 5)
        let isStopped = drain.set(periodMilliseconds: 0, now: 36_000)
        let deadline = drain.deadline(of: 1)
        #expect(isStopped && deadline == .max)
    }

    // MARK: Rules

    private static func identity(_ service: String, _ name: String) -> RecordRegistry.BackendIdentity {
        .init(service: service, name: name, address: .loopbackIPv4(port: 80))
    }

    @Test func rulesReachRecordsOfEveryKind() {
        let registry = RecordRegistry(workerCount: 1)
        let (kept, left, gone) = (
            DrainTests.identity("a", "kept"), DrainTests.identity("a", "left"), DrainTests.identity("b", "gone")
        )
        let records = [kept, left, gone].map { registry.backend($0) }
        records[1].pointee.reserve()
        records[2].pointee.reserve()
        var rules = DrainRules(running: [kept], periods: ["a": 1000, "b": 2000])
        #expect(registry.follow(rules, now: 10))
        #expect(records.map { $0.pointee.drain.periodMilliseconds } == [0, 1000, 2000])
        #expect(registry.drainingSessions() == ["a": 1, "b": 1])
        registry.retire(exceptServices: ["a"], exceptBackends: [kept], epoch: 2)
        registry.collect(acknowledged: 2)
        #expect(registry.retiredCount == 2, "they have sessions")

        // The service that is gone keeps what it said; the other one's backends follow it.
        rules.periods = ["a": 3000]
        #expect(registry.follow(rules, now: 20))
        #expect(records.map { $0.pointee.drain.periodMilliseconds } == [0, 3000, 2000])
        #expect(!registry.follow(rules, now: 30))

        // Configured again: the record is a new one, and the old one's sessions run on as well.
        rules.running.insert(left)
        #expect(registry.backend(left) != records[1])
        #expect(registry.follow(rules, now: 40))
        #expect(records.map { $0.pointee.drain.periodMilliseconds } == [0, 0, 2000])
        #expect(registry.drainingSessions() == ["b": 1])
        records[1].pointee.release()
        records[2].pointee.release()
    }
}

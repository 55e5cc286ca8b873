// When failures of traffic take backends out and let them back, and how many may be out.

import Testing

@testable import ShuttleEngine

@Suite struct PassiveEjectionTests {
    /// Backends of one service with the default rule, and a clock of its own.
    private struct World {
        var backends: [PassiveEjection.Backend]
        var failures: [UInt64]
        var panics: UInt64 = 0
        var nextChange: UInt64?
        var now: UInt64 = 1000

        init(_ count: Int, isReturnedByCheck: Bool = false) {
            let rule = PassiveRule(configuration: .blank, isReturnedByCheck: isReturnedByCheck)
            backends = Array(
                repeating: .init(tracker: PassiveTracker(), rule: rule, isOtherwiseUsable: true), count: count
            )
            failures = Array(repeating: 0, count: count)
        }

        mutating func judge() {
            for index in backends.indices {
                backends[index].tracker.observe(failures: failures[index], backends[index].rule, at: now)
            }
            var ejection = PassiveEjection(backends)
            ejection.judge(at: now)
            backends = ejection.backends
            panics += ejection.panics
            nextChange = ejection.nextChange
        }

        mutating func fail(_ index: Int, _ count: Int = 1, after milliseconds: UInt64 = 0) {
            now += milliseconds
            failures[index] += UInt64(count)
            judge()
        }

        mutating func wait(_ milliseconds: UInt64) {
            now += milliseconds
            judge()
        }

        mutating func checkSucceeds(_ index: Int) {
            backends[index].tracker.checkSucceeded()
            judge()
        }

        var ejected: [Int] { backends.indices.filter { backends[$0].tracker.isEjected } }
        func ejections(_ index: Int) -> UInt64 { backends[index].tracker.ejections }
    }

    @Test func theFifthFailureTakesItOut() {
        var world = World(3)
        for _ in 0..<4 { world.fail(1, after: 100) }
        #expect(world.ejected == [] && world.nextChange == nil)
        world.fail(1)
        #expect(world.ejected == [1] && world.ejections(1) == 1)
        #expect(world.nextChange == world.now + 10_000)
    }

    @Test func failuresThatAreFarApartDoNot() {
        var world = World(3)
        for _ in 0..<100 { world.fail(1, after: 2600) }
        #expect(world.ejected == [])
    }

    @Test func failuresOfOneLookCountTogether() {
        var world = World(3)
        world.fail(2, 1000)
        #expect(world.ejected == [2])
    }

    @Test func itIsBackAfterItsDownTimeAndStartsAfresh() {
        var world = World(3)
        world.fail(0, 5)
        world.wait(9999)
        #expect(world.ejected == [0])
        world.wait(1)
        #expect(world.ejected == [])
        world.fail(0, 4)
        #expect(world.ejected == [], "what was before does not count any more")
        world.fail(0)
        #expect(world.ejected == [0] && world.ejections(0) == 2)
    }

    /// Sessions that were under way end while it is out; they do not keep it out.
    @Test func failuresWhileItIsOutDoNotProlongIt() {
        var world = World(3)
        world.fail(0, 5)
        world.fail(0, 5, after: 9000)
        world.wait(1000)
        #expect(world.ejected == [])
    }

    @Test func withChecksOnlyAGoodOneBringsItBack() {
        var world = World(3, isReturnedByCheck: true)
        world.fail(0, 5)
        #expect(world.nextChange == nil)
        world.wait(10_000_000)
        #expect(world.ejected == [0])
        world.checkSucceeds(0)
        #expect(world.ejected == [])
        world.fail(0, 4)
        #expect(world.ejected == [])
    }

    /// Checks that are turned off while it is out leave it to its down time.
    @Test func ruleMayChangeWhileItIsOut() {
        var world = World(3, isReturnedByCheck: true)
        world.fail(0, 5)
        world.wait(9000)
        world.backends[0].rule.isReturnedByCheck = false
        world.wait(0)
        #expect(world.ejected == [0] && world.nextChange == world.now + 1000)
        world.backends[0].rule.configuration.downTimeMilliseconds = 60_000
        world.wait(50_999)
        #expect(world.ejected == [0])
        world.wait(1)
        #expect(world.ejected == [])
    }

    @Test func noFailuresMeansNever() {
        var world = World(3)
        world.backends[0].rule.configuration.failures = 0
        world.fail(0, 1000)
        #expect(world.ejected == [] && world.nextChange == nil)
        world.fail(1, 5)
        world.backends[1].rule.configuration.failures = 0
        world.wait(0)
        #expect(world.ejected == [], "turning it off lets back at once")
        world.backends[1].rule.configuration.failures = 5
        world.fail(1, 4)
        #expect(world.ejected == [], "failures from before do not count")
    }

    // MARK: How many

    @Test(arguments: [(0, 0), (1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (100, 50), (101, 50)])
    func atMostHalfButForALoneOne(count: Int, max: Int) {
        #expect(PassiveEjection.ejectedMax(of: count) == max)
        var world = World(count)
        for index in 0..<count { world.fail(index, 5, after: 1) }
        #expect(world.ejected.count == max)
        #expect(world.panics == UInt64(count - max))
    }

    @Test func theFewestFailuresStay() {
        var world = World(4)
        for (index, count) in [50, 6, 40, 5].enumerated() { world.failures[index] = UInt64(count) }
        world.judge()
        #expect(world.ejected == [0, 2])
        #expect(world.panics == 2)
        world.wait(100)
        #expect(world.panics == 2, "they are counted once")
    }

    @Test func amongEqualsTheOldestStay() {
        var world = World(2)
        world.fail(0, 5)
        world.fail(1, 11, after: 1000)
        #expect(world.ejected == [1], "worse than twice the other's, which is let back")
        #expect(world.panics == 1)
        world = World(2)
        world.fail(0, 5)
        world.wait(9990)
        world.fail(1, 5, after: 9)
        #expect(world.ejected == [0], "one that is out counts twice")
        world = World(3)
        world.backends[2].isOtherwiseUsable = false
        world.failures = [4, 4, 0]
        world.judge()
        world.failures[0] += 1
        world.now += 1
        world.failures[1] += 1
        world.judge()
        #expect(world.ejected == [0], "all the same: the order of the list")
    }

    /// Both are dead: they change places ever more seldom, not with every failure.
    @Test func twoThatAreDeadDoNotTakeTurns() {
        var world = World(2)
        world.fail(0, 5)
        var changes = 0
        for _ in 0..<180 {
            let before = world.ejected
            world.fail(before == [0] ? 1 : 0, 50, after: 50)
            #expect(world.ejected.count == 1)
            if world.ejected != before { changes += 1 }
        }
        #expect((2...8).contains(changes), "\(changes) changes in nine seconds")
    }

    /// One that has recovered takes over from one that fails now, before its time is over.
    @Test func aWorseOneTakesThePlaceOfAnother() {
        var world = World(2)
        world.fail(0, 5)
        world.fail(1, 5, after: 50)
        #expect(world.ejected == [0])
        world.fail(1, 6, after: 50)
        #expect(world.ejected == [1])
        world.wait(9900)
        #expect(world.ejected == [1])
        #expect(world.ejections(0) == 1 && world.ejections(1) == 1 && world.panics == 2)
    }

    @Test func whoCannotBeUsedDoesNotCount() {
        var world = World(4)
        world.fail(0, 5)
        world.fail(1, 5, after: 1)
        #expect(world.ejected == [0, 1])
        // Checks call another down: one of the three that are left may be out.
        world.backends[3].isOtherwiseUsable = false
        world.wait(0)
        #expect(world.ejected == [1] && world.panics == 1)
        world.backends[3].isOtherwiseUsable = true
        world.wait(0)
        #expect(world.ejected == [0, 1])
        // The other two as well: two are left, then one, which may be out.
        world.backends[2].isOtherwiseUsable = false
        world.backends[3].isOtherwiseUsable = false
        world.wait(0)
        #expect(world.ejected == [1])
        world.backends[0].isOtherwiseUsable = false
        world.wait(0)
        #expect(world.ejected.contains(1))
    }

    /// What holds whatever happens, in worlds drawn from a seed.
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func invariants(seed: UInt64) {
        var random = SeededGenerator(seed)
        let hasChecks = Bool.random(using: &random)
        var world = World(Int.random(in: 1...7, using: &random), isReturnedByCheck: hasChecks)
        for index in world.backends.indices {
            world.backends[index].rule.configuration.failures = [0, 1, 5, 20].randomElement(using: &random)!
        }
        for _ in 0..<1500 {
            let index = Int.random(in: world.backends.indices, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5: world.fail(index, Int.random(in: 1...10, using: &random))
            case 5: world.backends[index].isOtherwiseUsable.toggle()
            case 6 where hasChecks: world.checkSucceeds(index)
            default: world.wait(UInt64.random(in: 0...3000, using: &random))
            }
            world.judge()
            let usable = world.backends.filter { $0.isOtherwiseUsable }
            let out = usable.filter { $0.tracker.isEjected }.count
            let accused = usable.filter { $0.tracker.accusedAt != nil }.count
            let expected = min(accused, PassiveEjection.ejectedMax(of: usable.count))
            let isSound = world.backends.allSatisfy { backend in
                !backend.tracker.isEjected
                    || backend.tracker.accusedAt != nil && backend.rule.configuration.failures > 0
                        && backend.tracker.ejections > 0
            }
            guard out == expected, isSound else {
                Issue.record("seed \(seed): \(out) of \(accused) accused and \(usable.count) usable are out")
                return
            }
        }
    }
}

// Owns the rules that bound the choice of a backend for every algorithm: limits, backups, states, what was tried.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct BackendRulesTests {
    // MARK: Limits

    @Test(arguments: BalanceAlgorithm.allCases)
    func aLimitIsNeverPassed(algorithm: BalanceAlgorithm) {
        let fixture = TableFixture(weights: [1, 1, 1], algorithm) { $1.connectionsMax = [2, 3, 0][$0] }
        for _ in 0..<30 { #expect(fixture.choose() != nil) }
        #expect(fixture.active[0] <= 2 && fixture.active[1] <= 3)
        #expect(fixture.active.reduce(0, +) == 30)
    }

    @Test(arguments: BalanceAlgorithm.allCases)
    func fullIsNotUnusable(algorithm: BalanceAlgorithm) {
        let fixture = TableFixture(weights: [1, 1], algorithm) { $1.connectionsMax = $0 + 1 }
        for _ in 0..<3 { #expect(fixture.choose() != nil) }
        #expect(fixture.choice() == .full)
        #expect(fixture.active == [1, 2], "nothing was added and taken back")
        fixture.setUp(0, false)
        #expect(fixture.choice() == .full)
        fixture.setUp(1, false)
        #expect(fixture.choice() == .unusable)
        fixture.setUp(1, true)
        fixture.records[1].pointee.release()
        #expect(fixture.choose() == 1, "a place that became free is taken again")
    }

    /// A full backend's turns go to those with room.
    @Test func roundRobinPassesOverTheFull() {
        let fixture = TableFixture(weights: [1, 1, 1]) { $1.connectionsMax = $0 == 1 ? 2 : 0 }
        for _ in 0..<32 { _ = fixture.choose() }
        #expect(fixture.active == [15, 2, 15])
    }

    /// Below its limit a backend gets its turns as exactly as without one.
    @Test func roundRobinIsExactBelowTheLimits() {
        let fixture = TableFixture(weights: [3, 1, 2]) { $1.connectionsMax = [6, 2, 4][$0] }
        let sequence = fixture.service.rotation.sequence.map(Int.init)
        #expect((0..<12).map { _ in fixture.choose() } == sequence + sequence)
        #expect(fixture.choice() == .full)
    }

    /// Eight threads take and give back places of backends that have fewer than are wanted.
    @Test(arguments: BalanceAlgorithm.allCases)
    func limitsHoldOverThreads(algorithm: BalanceAlgorithm) {
        let limits = [1, 3, 2]
        let fixture = TableFixture(weights: [2, 1, 1], algorithm) { $1.connectionsMax = limits[$0] }
        let counted = UnsafeMutablePointer<Atomic<Int>>.allocate(capacity: 5)
        for index in 0..<5 { (counted + index).initialize(to: Atomic(0)) }
        defer { counted.deallocate() }
        let (excesses, full) = (counted + 3, counted + 4)
        inThreads(8) {
            for _ in 0..<4000 {
                guard let chosen = fixture.choose() else {
                    full.pointee.wrappingAdd(1, ordering: .relaxed)
                    continue
                }
                // What the backend would count.
                let sessions = counted[chosen].wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
                if sessions > limits[chosen] || fixture.active[chosen] > limits[chosen] {
                    excesses.pointee.wrappingAdd(1, ordering: .relaxed)
                }
                counted[chosen].wrappingSubtract(1, ordering: .sequentiallyConsistent)
                fixture.records[chosen].pointee.release()
            }
        }
        let (excess, turnedAway) = (
            excesses.pointee.load(ordering: .relaxed), full.pointee.load(ordering: .relaxed)
        )
        #expect(excess == 0)
        #expect(turnedAway < 32_000, "somebody was served")
        #expect(fixture.active == [0, 0, 0])
    }

    /// As many threads as there are places get one each, whatever the order: exactly the limit is served.
    @Test(arguments: BalanceAlgorithm.allCases)
    func exactlyTheLimitIsServed(algorithm: BalanceAlgorithm) {
        let fixture = TableFixture(weights: [1, 5, 1], algorithm) { $1.connectionsMax = [40, 100, 7][$0] }
        inThreads(8) {
            for _ in 0..<50 { _ = fixture.choose() }
        }
        #expect(fixture.active == [40, 100, 7])
    }

    // MARK: Backups

    @Test(arguments: BalanceAlgorithm.allCases)
    func backupsServeWhenNobodyElseCan(algorithm: BalanceAlgorithm) {
        let fixture = TableFixture(weights: [1, 1, 3, 1], algorithm) { $1.isBackup = $0 >= 2 }
        for _ in 0..<20 { #expect(fixture.choose()! < 2) }
        fixture.setUp(0, false)
        for _ in 0..<20 { #expect(fixture.choose() == 1) }
        fixture.setUp(1, false)
        for _ in 0..<20 { #expect(fixture.choose()! >= 2, "also before the rotation that knows") }
        fixture.renew()
        for _ in 0..<20 { #expect(fixture.choose()! >= 2) }
        fixture.setUp(0, true)
        for _ in 0..<20 { #expect(fixture.choose() == 0, "at once, whatever the rotation says") }
    }

    /// Backups are weighted and balanced among each other like all others.
    @Test func backupsTakeTurns() {
        let fixture = TableFixture(weights: [1, 3, 1]) { $1.isBackup = $0 > 0 }
        fixture.setUp(0, false)
        fixture.renew()
        for _ in 0..<16 { _ = fixture.choose() }
        #expect(fixture.active == [0, 12, 4])
    }

    @Test(arguments: BalanceAlgorithm.allCases)
    func aBackupIsNoSpillOver(algorithm: BalanceAlgorithm) {
        let fixture = TableFixture(weights: [1, 1], algorithm) {
            $1.connectionsMax = 1
            $1.isBackup = $0 == 1
        }
        #expect(fixture.choose() == 0)
        #expect(fixture.choice() == .full)
        fixture.setUp(0, false)
        #expect(fixture.choose() == 1)
        #expect(fixture.choice() == .full)
    }

    // MARK: States

    @Test(arguments: [BackendState.drain, .maintenance])
    func nothingNewUnlessReady(state: BackendState) {
        for algorithm in BalanceAlgorithm.allCases {
            let fixture = TableFixture(weights: [4, 1], algorithm) { $1.state = $0 == 0 ? state : .ready }
            for _ in 0..<10 { #expect(fixture.choose() == 1) }
            #expect(fixture.choice(fixture.tried(1)) == .unusable)
            let all = TableFixture(weights: [1, 1], algorithm) {
                $1.state = state
                $1.isBackup = $0 == 1
            }
            #expect(all.choice() == .unusable)
        }
    }

    // MARK: Further tries

    @Test(arguments: BalanceAlgorithm.allCases)
    func aBackupIsTriedLast(algorithm: BalanceAlgorithm) {
        let fixture = TableFixture(weights: [1, 1, 1], algorithm) {
            $1.isBackup = $0 == 0
            $1.connectionsMax = 1
        }
        #expect(fixture.choose(fixture.tried(1)) == 2)
        #expect(fixture.choice(fixture.tried(1)) == .full, "the other one is usable and untried")
        #expect(fixture.choose(fixture.tried(1, 2)) == 0)
        #expect(fixture.choice(fixture.tried(0, 1, 2)) == .unusable)
    }

    // MARK: A model

    /// Whatever the state of three backends, the choice is one that the rules allow, and none only when they say so.
    @Test(arguments: BalanceAlgorithm.allCases)
    func everySmallCase(algorithm: BalanceAlgorithm) {
        // Of each backend: drained, backup, full.
        for fixed in 0..<(1 << 9) {
            func isFixed(_ backend: Int, _ which: Int) -> Bool { fixed >> (backend * 3 + which) & 1 == 1 }
            let fixture = TableFixture(weights: [1, 2, 1], algorithm) { index, backend in
                backend.state = isFixed(index, 0) ? .drain : .ready
                backend.isBackup = isFixed(index, 1)
                backend.connectionsMax = isFixed(index, 2) ? 1 : 3
            }
            for index in 0..<3 where isFixed(index, 2) { fixture.records[index].pointee.reserve() }
            // Of each backend: down, tried.
            for passing in 0..<(1 << 6) {
                func isPassing(_ backend: Int, _ which: Int) -> Bool { passing >> (backend * 2 + which) & 1 == 1 }
                var tried = TriedBackends()
                for index in 0..<3 {
                    fixture.setUp(index, !isPassing(index, 0))
                    if isPassing(index, 1) { tried.insert(UInt32(index + 1)) }
                }
                let usable = (0..<3).filter { !isPassing($0, 0) && !isFixed($0, 0) && !isPassing($0, 1) }
                let primaries = usable.filter { !isFixed($0, 1) }
                let tier = primaries.isEmpty ? usable : primaries
                let allowed = tier.filter { !isFixed($0, 2) }
                let place = "\(String(fixed, radix: 2)) \(String(passing, radix: 2))"
                switch fixture.choice(tried) {
                case .reserved(let record):
                    record.pointee.release()
                    let index = fixture.records.firstIndex(of: record)!
                    if !allowed.contains(index) { Issue.record("\(place): \(index)") }
                case .full:
                    if tier.isEmpty || !allowed.isEmpty { Issue.record("\(place): full") }
                case .unusable:
                    if !tier.isEmpty { Issue.record("\(place): unusable") }
                }
            }
        }
    }
}

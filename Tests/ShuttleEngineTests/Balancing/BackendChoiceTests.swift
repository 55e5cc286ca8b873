// Owns the choice of a backend: exact turns and loads, also when several threads choose at once; what retries may take.

import Glibc
import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct BackendChoiceTests {
    @Test func roundRobinFollowsTheRotation() {
        let fixture = TableFixture(weights: [3, 1, 2])
        let sequence = fixture.service.rotation.sequence.map(Int.init)
        let chosen = (0..<12).map { _ in fixture.choose() }
        #expect(chosen == sequence + sequence)
        #expect(fixture.active == [6, 2, 4], "each choice reserves a place")
    }

    /// Between a change of health and the rotation without the backend: it gets nothing, its turns go elsewhere.
    @Test func roundRobinPassesOverTheDown() {
        let fixture = TableFixture(weights: [1, 1, 1])
        fixture.setUp(1, false)
        let chosen = (0..<30).map { _ in fixture.choose() }
        #expect(!chosen.contains(1) && !chosen.contains(nil))
        #expect(abs(fixture.active[0] - fixture.active[2]) <= 10)
    }

    @Test(arguments: [BalanceAlgorithm.roundRobin, .leastConnections])
    func nobodyUsable(algorithm: BalanceAlgorithm) {
        #expect(TableFixture(weights: [], algorithm).choose() == nil)
        #expect(TableFixture(weights: [0, 0], algorithm).choose() == nil)
        let down = TableFixture(weights: [4], algorithm)
        down.setUp(0, false)
        #expect(down.choose() == nil, "also when it is the only one")
        #expect(down.active == [0])
    }

    @Test func leastConnectionsIsExactByWeight() {
        let weights = [4, 1, 2, 1]
        let fixture = TableFixture(weights: weights, .leastConnections)
        for round in 1...10 {
            for _ in 0..<8 { _ = fixture.choose() }
            #expect(fixture.active == weights.map { $0 * round })
        }
    }

    /// Each single choice is one of those with the fewest sessions for their weight.
    @Test func leastConnectionsChoosesTheLeastLoaded() {
        var generator = SeededGenerator(7)
        let weights = [1, 3, 7, 2]
        let fixture = TableFixture(weights: weights, .leastConnections)
        for _ in 0..<2000 {
            let before = fixture.active
            if Bool.random(using: &generator),
                let busy = before.indices.filter({ before[$0] > 0 }).randomElement(using: &generator)
            {
                fixture.records[busy].pointee.release()
                continue
            }
            let chosen = fixture.choose()!
            for other in weights.indices {
                #expect((before[chosen] + 1) * weights[other] <= (before[other] + 1) * weights[chosen])
            }
        }
    }

    /// An idle service does not always begin with the first.
    @Test func leastConnectionsUsesAllWhenIdle() {
        let fixture = TableFixture(weights: [1, 1, 1, 1], .leastConnections)
        var used: Set<Int> = []
        for _ in 0..<8 {
            let chosen = fixture.choose()!
            used.insert(chosen)
            fixture.records[chosen].pointee.release()
        }
        #expect(used.count == 4)
    }

    // MARK: Retries

    @Test(arguments: [BalanceAlgorithm.roundRobin, .leastConnections])
    func retriesTakeOthers(algorithm: BalanceAlgorithm) {
        let fixture = TableFixture(weights: [1, 1, 1], algorithm)
        #expect(fixture.choose(fixture.tried(0, 1)) == 2)
        #expect(fixture.choose(fixture.tried(0, 2)) == 1)
        #expect(fixture.choose(fixture.tried(0, 1, 2)) == nil)
        fixture.setUp(2, false)
        #expect(fixture.choose(fixture.tried(0, 1)) == nil)
    }

    @Test func retriesTakeTheLeastLoaded() {
        let fixture = TableFixture(weights: [1, 1, 4])
        for _ in 0..<3 { fixture.records[2].pointee.reserve() }
        fixture.records[1].pointee.reserve()
        #expect(fixture.choose(fixture.tried(0)) == 2, "(3 + 1) / 4 is less than (1 + 1) / 1")
    }

    /// Retries draw no ticket: those who need none keep their exact turns.
    @Test func retriesLeaveTheTurnsAlone() {
        let fixture = TableFixture(weights: [2, 1])
        let sequence = fixture.service.rotation.sequence.map(Int.init)
        var chosen: [Int?] = []
        for _ in 0..<9 {
            chosen.append(fixture.choose())
            _ = fixture.choose(fixture.tried(0))
            _ = fixture.choose(fixture.tried(1))
        }
        #expect(chosen == sequence + sequence + sequence)
    }

    @Test func triedBackendsRemember() {
        var tried = TriedBackends()
        #expect(tried.count == 0 && !tried.contains(0) && !tried.contains(5))
        tried.insert(5)
        tried.insert(UInt32.max)
        #expect(tried.contains(5) && tried.contains(.max) && !tried.contains(0) && tried.count == 2)
        while tried.count < TriedBackends.triesMax { tried.insert(UInt32(100 + tried.count)) }
        #expect(tried.contains(5) && tried.contains(107) && !tried.contains(108))
        #expect(ConfigurationRanges.retries.upperBound + 1 == TriedBackends.triesMax, "every try is remembered")
    }

    // MARK: Threads

    /// Rings draw from the same rotation at the same time: the sum is exact.
    @Test func roundRobinIsExactOverThreads() {
        let weights = [5, 1, 2]
        let fixture = TableFixture(weights: weights)
        inThreads(4) {
            for _ in 0..<2000 { _ = fixture.choose() }
        }
        #expect(fixture.active == weights.map { $0 * 1000 })
    }

    /// The count of the least loaded is compared and raised in one step: however the threads meet, the loads end as
    /// the weights say.
    @Test func leastConnectionsIsExactOverThreads() {
        let weights = [5, 1, 2]
        let fixture = TableFixture(weights: weights, .leastConnections)
        inThreads(4) {
            for _ in 0..<2000 { _ = fixture.choose() }
        }
        #expect(fixture.active.reduce(0, +) == 8000)
        // A choice sees the others' loads as they were a moment ago: at most one session per other thread apart.
        for (active, weight) in zip(fixture.active, weights) { #expect(abs(active - weight * 1000) <= 3) }
    }

    @Test func reservationsAndReleasesAddUp() {
        let fixture = TableFixture(weights: [1, 1], .leastConnections)
        inThreads(4) {
            for _ in 0..<2000 {
                let chosen = fixture.choose()!
                fixture.records[chosen].pointee.release()
            }
        }
        #expect(fixture.active == [0, 0])
    }

    @Test func expectedReservationsFailWhenSomebodyWasFaster() {
        let fixture = TableFixture(weights: [1])
        let record = fixture.records[0]
        let outcomes = [0, 0, 1, 5, 2].map { record.pointee.reserve(expected: $0) }
        #expect(outcomes == [true, false, true, false, true])
        #expect(fixture.active == [3])
    }
}

/// Runs `body` on so many threads at once and waits for all.
func inThreads(_ count: Int, _ body: @escaping () -> Void) {
    final class Box {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
    let threads = (0..<count).map { _ in
        var thread = pthread_t()
        let outcome = pthread_create(
            &thread,
            nil,
            { pointer in
                Unmanaged<Box>.fromOpaque(pointer!).takeRetainedValue().body()
                return nil
            },
            Unmanaged.passRetained(Box(body)).toOpaque()
        )
        precondition(outcome == 0)
        return thread
    }
    for thread in threads { pthread_join(thread, nil) }
}

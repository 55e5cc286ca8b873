// What each algorithm makes of a backend that ramps: it gets its part and no more, and whoever else there is the rest.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct SlowStartChoiceTests {
    /// Of backends of which the last came up `percent` of its ramp ago; all others have been up.
    private func fixture(
        _ weights: [Int],
        _ algorithm: BalanceAlgorithm,
        percent: Int,
        configure: (_ index: Int, _ backend: inout BackendConfiguration) -> Void = { _, _ in }
    ) -> TableFixture {
        let fixture = TableFixture(weights: weights, algorithm) { index, backend in
            backend.slowStartMilliseconds = 1000
            configure(index, &backend)
        }
        fixture.lookAtSlowStarts(at: 0, isRunning: false)
        fixture.setUp(weights.count - 1, false)
        fixture.renew(at: 1000)
        fixture.setUp(weights.count - 1, true)
        fixture.renew(at: 2000)
        fixture.renew(at: 2000 + UInt64(percent * 10))
        return fixture
    }

    /// Exact over each cycle, at every step of the ramp, also where the weights are 1.
    @Test(arguments: [[1, 1], [1, 1, 1], [3, 2], [256, 1]])
    func roundRobinIsExactAtEveryStep(weights: [Int]) {
        for percent in stride(from: 5, through: 95, by: 5) {
            let fixture = fixture(weights, .roundRobin, percent: percent)
            let shares = weights.dropLast().map { $0 * 20 } + [weights.last! * percent / 5]
            let cycle = fixture.service.rotation.sequence.count
            for _ in 0..<cycle { _ = fixture.choose() }
            let total = shares.reduce(0, +)
            #expect(
                zip(fixture.active, shares).allSatisfy { $0 * total == $1 * cycle }, "\(fixture.active) at \(percent)")
        }
    }

    /// After every turn each has had its part so far, give or take one and a half.
    @Test func roundRobinStaysSmooth() {
        for percent in stride(from: 5, through: 95, by: 5) {
            let fixture = fixture([1, 1, 2], .roundRobin, percent: percent)
            let weights = [20, 20, percent * 2 / 5]
            let total = weights.reduce(0, +)
            for turn in 1...total {
                _ = fixture.choose()
                for (active, weight) in zip(fixture.active, weights) {
                    let ideal = Double(turn * weight) / Double(total)
                    #expect(abs(Double(active) - ideal) < 1.5, "\(percent), turn \(turn)")
                }
            }
        }
    }

    /// Where few clients come, a step ends before a cycle does: turns go on where they were, so that the one that ramps
    /// gets its part over all steps, roughly, and not nothing because each cycle begins with the others.
    @Test(arguments: [1, 2, 3, 5, 8])
    func fewClientsBetweenTwoSteps(clients: Int) {
        let fixture = fixture([1, 1], .roundRobin, percent: 5)
        var expected = 0.0
        for percent in stride(from: 5, through: 95, by: 5) {
            fixture.renew(at: 2000 + UInt64(percent * 10))
            for _ in 0..<clients { _ = fixture.choose() }
            expected += Double(clients * percent) / Double(100 + percent)
        }
        let difference = abs(Double(fixture.active[1]) - expected)
        #expect(difference < 2.5 + expected / 10, "\(fixture.active), expected \(expected)")
    }

    /// Sessions that stay: the gauges stand as the weights and the ramp say.
    @Test(arguments: [5, 50, 95])
    func leastConnectionsFillToTheShare(percent: Int) {
        let fixture = fixture([2, 1], .leastConnections, percent: percent)
        for _ in 0..<(200 + percent) * 2 { _ = fixture.choose() }
        #expect(fixture.active == [400, percent * 2])
    }

    /// It comes back empty while the other is busy, and gets no more than its part of what that has.
    @Test func leastConnectionsDoNotFloodWhoIsEmpty() {
        let fixture = fixture([1, 1], .leastConnections, percent: 10)
        for _ in 0..<100 { fixture.records[0].pointee.reserve() }
        for _ in 0..<20 { _ = fixture.choose() }
        #expect(fixture.active[1] <= 11, "\(fixture.active): without a ramp it would have got all of them")
    }

    @Test(arguments: [5, 50, 95])
    func randomFollowsTheShare(percent: Int) {
        let fixture = fixture([1, 1], .random, percent: percent)
        for _ in 0..<10_000 { _ = fixture.choose() }
        let share = Double(percent) / Double(100 + percent)
        let deviation = (10_000 * share * (1 - share)).squareRoot()
        #expect(abs(Double(fixture.active[1]) - 10_000 * share) < 5 * deviation, "\(fixture.active)")
    }

    @Test(arguments: [5, 50, 95])
    func twoChoicesFollowTheShare(percent: Int) {
        let fixture = fixture([1, 1], .twoChoices, percent: percent)
        for _ in 0..<(100 + percent) * 20 { _ = fixture.choose() }
        #expect(abs(fixture.active[1] - percent * 20) <= 4 + percent, "\(fixture.active)")
    }

    // MARK: Hash

    private static let clients = (0..<4000).map { ClientHash.of(.ipv4(0xc0a8_0000 + UInt32($0), port: 1)) }

    private func backends(_ fixture: TableFixture) -> [Int] {
        Self.clients.map { client in
            let chosen = fixture.choose(for: client)!
            fixture.records[chosen].pointee.release()
            return chosen
        }
    }

    /// The clients of the one that ramps come home one after the other, each once and as many as its share says; until
    /// then they are where they were while it was down, and nobody else moves.
    @Test(arguments: [2, 5])
    func hashedClientsComeHomeOnce(count: Int) {
        let weights = Array(repeating: 1, count: count)
        let settled = backends(fixture(weights, .hash, percent: 100))
        let down = fixture(weights, .hash, percent: 100)
        down.setUp(count - 1, false)
        let during = backends(down)
        let own = settled.count { $0 == count - 1 }
        var before = during
        for percent in stride(from: 5, through: 95, by: 5) {
            let now = backends(fixture(weights, .hash, percent: percent))
            for (client, backend) in now.enumerated() {
                let isHome = backend == settled[client]
                #expect(isHome || backend == during[client], "nobody is anywhere else")
                #expect(isHome || before[client] != settled[client], "who is home stays")
            }
            let home = now.count { $0 == count - 1 }
            let deviation = (Double(own * percent * (100 - percent)) / 10_000).squareRoot()
            let isFair = abs(Double(home) - Double(own * percent) / 100) < 5 * deviation + 1
            #expect(isFair, "\(home) of \(own) at \(percent)")
            before = now
        }
    }

    // MARK: Nobody is lost

    /// The only one that can be used gets everything, whatever its share, and at once by its client's hash.
    @Test(arguments: BalanceAlgorithm.allCases)
    func aLoneOneGetsEverything(algorithm: BalanceAlgorithm) {
        let fixture = fixture([1, 1], algorithm, percent: 5)
        fixture.setUp(0, false)
        for _ in 0..<50 { #expect(fixture.choose() == 1, "also before the table that knows") }
        fixture.renew(at: 2060)
        for _ in 0..<50 { #expect(fixture.choose() == 1) }
        #expect(fixture.table.pointee.entries[1].takes(.max) && fixture.table.pointee.entries[1].takes(0))
    }

    /// All that come up together share what there is.
    @Test(arguments: BalanceAlgorithm.allCases)
    func allThatComeUpTogether(algorithm: BalanceAlgorithm) {
        let fixture = TableFixture(weights: [1, 1], algorithm) { $1.slowStartMilliseconds = 1000 }
        fixture.lookAtSlowStarts(at: 0, isRunning: false)
        for isUp in [false, true] {
            for index in 0..<2 { fixture.setUp(index, isUp) }
            fixture.renew(at: isUp ? 20 : 10)
        }
        for _ in 0..<2000 { #expect(fixture.choose() != nil) }
        #expect(fixture.active.allSatisfy { (850...1150).contains($0) }, "\(fixture.active)")
    }

    /// A ring sees that it is up before it has the table that knows of it: no more than its first share goes there even
    /// then.
    @Test(arguments: [BalanceAlgorithm.leastConnections, .hash])
    func theFirstStepHoldsBeforeItIsPublished(algorithm: BalanceAlgorithm) {
        let fixture = TableFixture(weights: [1, 1], algorithm) { $1.slowStartMilliseconds = 1000 }
        fixture.lookAtSlowStarts(at: 0, isRunning: false)
        for _ in 0..<40 { fixture.records[0].pointee.reserve() }
        fixture.setUp(1, false)
        fixture.renew(at: 10)
        fixture.setUp(1, true)
        for _ in 0..<1000 { _ = fixture.choose() }
        #expect((1...100).contains(fixture.active[1]), "\(fixture.active)")
    }

    /// Backups ramp among each other.
    @Test func backupsRampToo() {
        let fixture = fixture([1, 1, 1], .roundRobin, percent: 50) { $1.isBackup = $0 > 0 }
        for _ in 0..<30 { #expect(fixture.choose() == 0) }
        fixture.setUp(0, false)
        fixture.renew(at: 2510)
        for _ in 0..<30 { _ = fixture.choose() }
        #expect(fixture.active == [30, 20, 10])
    }

    /// Its limit and its ramp both hold.
    @Test(arguments: BalanceAlgorithm.allCases)
    func limitsHoldDuringARamp(algorithm: BalanceAlgorithm) {
        let fixture = fixture([1, 1], algorithm, percent: 5) { $1.connectionsMax = [30, 2][$0] }
        for _ in 0..<32 { #expect(fixture.choose() != nil) }
        #expect(fixture.active == [30, 2] && fixture.choice() == .full)
    }

    /// A step keeps who has which places: the table is not built anew.
    @Test func aStepBuildsNoTable() {
        let fixture = fixture([1, 1], .hash, percent: 5)
        let table = fixture.service.hashTables?.primary
        fixture.renew(at: 2500)
        #expect(fixture.service.hashTables?.primary === table)
        #expect(fixture.service.weights.map(\.weight) == [20, 10])
    }
}

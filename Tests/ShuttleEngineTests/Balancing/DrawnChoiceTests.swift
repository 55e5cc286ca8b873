// Owns the algorithms that draw: by chance, the better of two, and by the client's hash, with what is done when the one
// that was drawn cannot be had.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct DrawnChoiceTests {
    /// Each gets its weight's share, give or take five standard deviations.
    @Test func randomFollowsTheWeights() {
        let weights = [5, 1, 2, 2]
        let fixture = TableFixture(weights: weights, .random)
        for _ in 0..<10_000 { _ = fixture.choose() }
        for (active, weight) in zip(fixture.active, weights) {
            let share = Double(weight) / 10
            let deviation = (10_000 * share * (1 - share)).squareRoot()
            #expect(abs(Double(active) - 10_000 * share) < 5 * deviation, "\(fixture.active)")
        }
    }

    /// The better of two draws: loads stay close to their shares, far closer than by chance alone.
    @Test(arguments: [[1, 1, 1, 1, 1, 1, 1, 1], [5, 1, 2, 2], [256, 1]])
    func twoChoicesStayClose(weights: [Int]) {
        let fixture = TableFixture(weights: weights, .twoChoices)
        let total = weights.reduce(0, +)
        let count = total * 100
        for _ in 0..<count { _ = fixture.choose() }
        for (active, weight) in zip(fixture.active, weights) {
            #expect(abs(active - weight * 100) <= 4 + weight * 4, "\(fixture.active) for \(weights)")
        }
    }

    /// Of two backends both are always looked at, so the less loaded is taken whatever was drawn.
    @Test func twoChoicesAreDistinct() {
        let fixture = TableFixture(weights: [3, 1], .twoChoices)
        for _ in 0..<10 { fixture.records[0].pointee.reserve() }
        for draw in stride(from: UInt64(0), through: .max - (1 << 58), by: 1 << 58) {
            let chosen = fixture.choose(for: draw)
            #expect(chosen == 1)
            fixture.records[1].pointee.release()
        }
    }

    // MARK: Hash

    private static func clients(_ count: Int) -> [UInt64] {
        (0..<count).map { ClientHash.of(.ipv4(0xc0a8_0000 + UInt32($0), port: 1)) }
    }

    private func backends(_ fixture: TableFixture, _ clients: [UInt64], tried: TriedBackends = TriedBackends()) -> [Int]
    {
        clients.map { client in
            let chosen = fixture.choose(for: client, tried)!
            fixture.records[chosen].pointee.release()
            return chosen
        }
    }

    /// One of N goes down: its clients go to others, all of them about as many; nobody else moves. When it is back, all
    /// is as before. Whether the rotation knows of it does not matter.
    @Test(arguments: [2, 5, 20])
    func onlyTheClientsOfTheDownMove(count: Int) {
        let clients = DrawnChoiceTests.clients(5000)
        let fixture = TableFixture(weights: Array(repeating: 1, count: count), .hash)
        let before = backends(fixture, clients)
        fixture.setUp(1, false)
        let during = backends(fixture, clients)
        fixture.renew()
        #expect(backends(fixture, clients) == during)
        var heirs: [Int: Int] = [:]
        for (old, new) in zip(before, during) {
            if old == 1 { heirs[new, default: 0] += 1 } else if old != new { Issue.record("\(old) to \(new)") }
        }
        let moved = before.count { $0 == 1 }
        #expect(heirs.count == count - 1 && (heirs.values.max() ?? 0) <= moved * 3 / (count - 1))
        fixture.setUp(1, true)
        fixture.renew()
        #expect(backends(fixture, clients) == before)
    }

    /// A full backend is passed over like one that is down, a tried one as well, by those it concerns only.
    @Test func fullAndTriedArePassedOver() {
        let clients = DrawnChoiceTests.clients(500)
        let fixture = TableFixture(weights: [1, 1, 1], .hash) { $1.connectionsMax = $0 == 2 ? 1 : 0 }
        let before = backends(fixture, clients)
        fixture.setUp(2, false)
        let without = backends(fixture, clients)
        fixture.setUp(2, true)
        fixture.records[2].pointee.reserve()
        #expect(backends(fixture, clients) == without, "full")
        fixture.records[2].pointee.release()
        #expect(backends(fixture, clients, tried: fixture.tried(2)) == without, "tried")
        #expect(backends(fixture, clients) == before)
    }

    /// Backups have a table of their own.
    @Test func backupsAreHashedToo() {
        let clients = DrawnChoiceTests.clients(300)
        let fixture = TableFixture(weights: [1, 1, 1, 1], .hash) { $1.isBackup = $0 > 0 }
        #expect(Set(backends(fixture, clients)) == [0])
        fixture.setUp(0, false)
        let before = backends(fixture, clients)
        #expect(Set(before) == [1, 2, 3] && backends(fixture, clients) == before)
        fixture.setUp(2, false)
        let during = backends(fixture, clients)
        for (old, new) in zip(before, during) where old != 2 { #expect(old == new) }
    }

    /// Also when hardly anybody is left the one that is found.
    @Test func oneOfManyIsFound() {
        let fixture = TableFixture(weights: Array(repeating: 1, count: 1000), .hash)
        for index in 0..<1000 where index != 613 { fixture.setUp(index, false) }
        #expect(Set(backends(fixture, DrawnChoiceTests.clients(50))) == [613])
    }

    /// Health builds no table anew; weights and states do.
    @Test func tablesAreKept() {
        let fixture = TableFixture(weights: [1, 2], .hash)
        let table = fixture.service.hashTables?.primary
        fixture.setUp(0, false)
        fixture.renew()
        #expect(table != nil && fixture.service.hashTables?.primary === table)
        #expect(TableFixture(weights: [1, 2]).service.hashTables == nil, "only a service that hashes has one")
    }
}

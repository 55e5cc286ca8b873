// Owns the table of consistent hashing: how even it is and how little moves, against what is published of it: Eisenbud
// et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, sections 3.4 and 5.3.

import Testing

@testable import ShuttleEngine

@Suite struct MaglevTableTests {
    private static func shares(_ weights: [Int], without missing: Set<Int> = []) -> [MaglevTable.Share] {
        weights.indices.filter { !missing.contains($0) }.map {
            MaglevTable.Share(backend: UInt32($0), weight: weights[$0], key: ClientHash.of("server-\($0)"))
        }
    }

    private static func counts(_ table: MaglevTable, _ count: Int) -> [Int] {
        var counts = Array(repeating: 0, count: count)
        for place in table.places { counts[Int(place)] += 1 }
        return counts
    }

    /// Section 3.4: with more than a hundred places for each backend, backends differ by at most 1 % of the places. Here
    /// by one place, since each takes its turn.
    @Test(arguments: [2, 3, 10, 100, 655])
    func theLoadIsEven(count: Int) {
        let table = MaglevTable(MaglevTableTests.shares(Array(repeating: 1, count: count)))
        let counts = MaglevTableTests.counts(table, count)
        #expect(table.places.count == 65537)
        let (least, most) = (counts.min()!, counts.max()!)
        #expect(most - least <= 1)
        #expect(Double(most) / (65537 / Double(count)) <= 1.01)
    }

    /// Each has its weight's share of the places; the last round of turns is cut short.
    @Test(arguments: [[1, 2, 3, 4], [256, 1], [5, 1, 1], [10, 20, 30, 40, 100]])
    func theLoadFollowsTheWeights(weights: [Int]) {
        let counts = MaglevTableTests.counts(MaglevTable(MaglevTableTests.shares(weights)), weights.count)
        let total = weights.reduce(0, +)
        for (count, weight) in zip(counts, weights) {
            #expect(abs(Double(count) - 65537 * Double(weight) / Double(total)) <= 2, "\(counts) for \(weights)")
        }
    }

    /// One of N leaves or joins: the places of the one, 1/N, must change their backend. Section 5.3 finds few others to
    /// change with a table much larger than N: here fewer than 2 % of all.
    @Test(arguments: [3, 10, 50, 200])
    func littleMovesWhenOneLeavesOrJoins(count: Int) {
        let weights = Array(repeating: 1, count: count)
        let all = MaglevTable(MaglevTableTests.shares(weights))
        for missing in [0, count / 2, count - 1] {
            let fewer = MaglevTable(MaglevTableTests.shares(weights, without: [missing]))
            var others = 0
            for (before, after) in zip(all.places, fewer.places) where before != after && Int(before) != missing {
                others += 1
            }
            #expect(!fewer.places.contains(UInt16(missing)))
            #expect(Double(others) / 65537 < 0.02, "\(others) places moved from one to another of \(count) that stayed")
        }
    }

    @Test func oneIsOneAndNoneIsNone() {
        let (one, none) = (MaglevTable([.init(backend: 7, weight: 3, key: 1)]), MaglevTable([]))
        #expect(withExtendedLifetime(one) { Array(one.places) } == [7])
        #expect(withExtendedLifetime(none) { none.places.isEmpty })
    }

    /// The same in every process and on every machine: several shuttles agree on who serves whom.
    @Test func theTableIsTheSameEverywhere() {
        let table = MaglevTable(MaglevTableTests.shares([1, 1, 1]))
        let hash = withExtendedLifetime(table) {
            table.places.reduce(0) { ClientHash.mixed($0 ^ UInt64($1)) }
        }
        #expect(hash == 9_361_080_064_084_472_186)
        #expect(ClientHash.of("one") == ClientHash.of("one") && ClientHash.of("one") != ClientHash.of("two"))
    }

    // MARK: Clients

    @Test func theSameHostIsTheSameClient() throws {
        let address = SocketAddress.ipv4(0x0a00_0001, port: 1000)
        #expect(ClientHash.of(address) == ClientHash.of(SocketAddress.ipv4(0x0a00_0001, port: 2000)))
        #expect(ClientHash.of(address) != ClientHash.of(SocketAddress.ipv4(0x0a00_0002, port: 1000)))
        let (high, low) = address.hostWords
        #expect(high == 0 && low == 0xffff_0a00_0001, "as ::ffff:10.0.0.1")
        let other = SocketAddress.anyIPv6(port: 80).hostWords
        #expect(other.high == 0 && other.low == 0)
    }

    /// Neighbouring addresses are spread as evenly as strangers: of 20,000 each backend of ten gets a tenth, give or
    /// take five standard deviations.
    @Test func neighboursAreSpread() {
        let fixture = TableFixture(weights: Array(repeating: 1, count: 10), .hash)
        for host in 0..<20_000 {
            _ = fixture.choose(for: ClientHash.of(.ipv4(0x0a00_0000 + UInt32(host), port: 1)))
        }
        for active in fixture.active { #expect(abs(active - 2000) < 215, "\(fixture.active)") }
    }
}

// Owns saying which backend comes next, and why no other: it must be the one that is chosen then, and nothing may be
// changed by asking.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct ChoiceOutlookTests {
    /// What the table would choose is what it does choose, again and again, whatever has happened before.
    @Test(arguments: BalanceAlgorithm.allCases)
    func whatIsSaidComesAbout(_ algorithm: BalanceAlgorithm) {
        for seed in UInt64(1)...30 {
            var random = SplitMix(seed: seed)
            let count = Int(random.next() % 6) + 1
            let weights = (0..<count).map { _ in Int(random.next() % 4) }
            let fixture = TableFixture(weights: weights, algorithm) { _, backend in
                backend.isBackup = random.next() % 4 == 0
                backend.connectionsMax = random.next() % 3 == 0 ? 3 : 0
            }
            for step in 0..<60 {
                if step % 7 == 0 { fixture.setUp(Int(random.next() % UInt64(count)), random.next() % 3 > 0) }
                if step % 11 == 0 { fixture.renew() }
                let client = ClientHash.of(high: 0, low: random.next())
                let before = (fixture.active, fixture.table.pointee.ticket.pointee.load(ordering: .relaxed))
                let outlook = fixture.outlook(for: client)
                let after = (fixture.active, fixture.table.pointee.ticket.pointee.load(ordering: .relaxed))
                #expect(before == after, "asking changes nothing")
                check(outlook, fixture, client, random.next(), "\(algorithm), seed \(seed), step \(step)")
                if step % 5 == 4, let busy = fixture.active.firstIndex(where: { $0 > 0 }) {
                    fixture.records[busy].pointee.release()
                }
            }
        }
    }

    private func check(
        _ outlook: ChoiceOutlook, _ fixture: TableFixture, _ client: UInt64, _ chance: UInt64, _ place: Comment
    ) {
        let isDrawn = fixture.table.pointee.algorithm == .random || fixture.table.pointee.algorithm == .twoChoices
        let choice = fixture.table.chooseBackend(for: isDrawn ? chance : client, excluding: TriedBackends())
        switch (outlook.outcome, choice) {
        case (.certain(let index), .reserved(let record)):
            #expect(fixture.records[index] == record, place)
            #expect(outlook.verdicts[index] == .chosen && outlook.verdicts.count { $0 == .chosen } == 1, place)
        case (.drawn, .reserved(let record)):
            let index = fixture.records.firstIndex(of: record)!
            #expect(outlook.verdicts[index] == .candidate && outlook.thousandths[index] > 0, place)
            #expect((990...1010).contains(outlook.thousandths.reduce(0, +)), place)
        case (.full, .full), (.unusable, .unusable):
            #expect(!outlook.verdicts.contains(.chosen), place)
        default:
            Issue.record("\(outlook) was said, and \(choice) has come", sourceLocation: #_sourceLocation)
        }
    }

    @Test func roundRobinSaysWhoseTurnComesWhen() {
        let fixture = TableFixture(weights: [2, 1, 1])
        for _ in 0..<8 {
            let outlook = fixture.outlook()
            guard case .certain(let next) = outlook.outcome else { return #expect(Bool(false), "\(outlook)") }
            // Each said turn comes then.
            for (index, verdict) in outlook.verdicts.enumerated() {
                guard case .notItsTurn(let after) = verdict else { continue }
                let sequence = Array(fixture.table.pointee.rotation)
                let ticket = Int(fixture.table.pointee.ticket.pointee.load(ordering: .relaxed))
                #expect(Int(sequence[(ticket + after) % sequence.count]) == index)
            }
            #expect(fixture.choose() == next)
        }
    }

    @Test func everyReason() {
        let fixture = TableFixture(weights: [1, 0, 1, 1, 1], .leastConnections) { index, backend in
            if index == 2 { backend.connectionsMax = 1 }
            if index == 4 { backend.isBackup = true }
        }
        fixture.setUp(3, false)
        fixture.records[2].pointee.reserve()
        var outlook = fixture.outlook()
        #expect(outlook.verdicts == [.chosen, .noWeight, .full, .notUp, .backupNotNeeded])
        fixture.setUp(3, true)
        for _ in 0..<2 { fixture.records[3].pointee.reserve() }
        outlook = fixture.outlook()
        #expect(outlook.verdicts == [.chosen, .noWeight, .full, .moreActive, .backupNotNeeded])
        fixture.setUp(0, false)
        fixture.setUp(2, false)
        fixture.setUp(3, false)
        outlook = fixture.outlook()
        #expect(outlook.verdicts == [.notUp, .noWeight, .notUp, .notUp, .chosen], "the backup steps in")
        fixture.setUp(4, false)
        #expect(fixture.outlook().outcome == .unusable)
        fixture.setUp(2, true)
        outlook = fixture.outlook()
        #expect(outlook.outcome == .full && outlook.verdicts[2] == .full)
    }

    @Test func equalsComeInTheOrderOfTheMovingStart() {
        let fixture = TableFixture(weights: [1, 1, 1], .leastConnections)
        #expect(fixture.outlook().verdicts == [.chosen, .equallyActive, .equallyActive])
        _ = fixture.choose()
        fixture.records[0].pointee.release()
        #expect(fixture.outlook().verdicts == [.equallyActive, .chosen, .equallyActive])
    }

    @Test func aHashHasOneOwner() {
        let fixture = TableFixture(weights: [1, 1, 1], .hash)
        let client = ClientHash.of(.ipv4(0xc0a8_0001, port: 1))
        guard case .certain(let owner) = fixture.outlook(for: client).outcome else { return }
        #expect(fixture.outlook(for: client).verdicts.count { $0 == .otherHashOwner } == 2)
        fixture.setUp(owner, false)
        let outlook = fixture.outlook(for: client)
        #expect(outlook.verdicts[owner] == .notUp)
        guard case .certain(let other) = outlook.outcome else { return #expect(Bool(false), "\(outlook)") }
        #expect(other != owner && fixture.choose(for: client) == other)
    }

    /// Counted out where that is possible; estimated close to it where it is not.
    @Test func chancesAreThoseOfTheWeights() {
        let random = TableFixture(weights: [5, 1, 2, 2], .random).outlook()
        #expect(random.outcome == .drawn && random.isExact && random.thousandths == [500, 100, 200, 200])
        let two = TableFixture(weights: [1, 1], .twoChoices)
        two.records[0].pointee.reserve()
        #expect(two.outlook().outcome == .certain(1), "both are always looked at")
        let three = TableFixture(weights: [1, 1, 1], .twoChoices)
        three.records[0].pointee.reserve()
        let outlook = three.outlook()
        #expect(outlook.thousandths[0] == 0 && outlook.verdicts[0] == .moreActive && outlook.isExact)
        let many = TableFixture(weights: [256, 255], .twoChoices)
        for record in many.records { record.pointee.reserve() }
        #expect(!many.outlook().isExact || many.outlook().outcome != .drawn)
        let single = TableFixture(weights: [0, 7], .random).outlook()
        #expect(single.outcome == .certain(1) && single.verdicts == [.noWeight, .chosen])
    }

    /// A hello that is made is one that is read, and leads where a client's would.
    @Test func aMadeHelloIsRead() {
        for (name, protocols) in [("www.example", ["h2", "http/1.1"]), ("a.b", []), (nil, ["h2"])]
            as [(String?, [String])]
        {
            let bytes = ClientHello.made(name: name, protocols: protocols)
            bytes.withUnsafeBytes { buffer in
                guard case .complete(let hello) = ClientHello.read(buffer, limit: buffer.count) else {
                    return #expect(Bool(false), "\(String(describing: name)) is not read")
                }
                hello.withName { #expect(String(decoding: $0, as: UTF8.self) == name ?? "") }
                for text in protocols {
                    Array(text.utf8).withUnsafeBytes { #expect(hello.offers($0)) }
                }
            }
        }
    }

    // MARK: The rate limit

    @Test(arguments: [RateLimitScope.service, .client])
    func askingTakesNoToken(_ scope: RateLimitScope) {
        var configuration = RateLimitConfiguration()
        (configuration.perSecond, configuration.burst) = (1, 2)
        configuration.scope = scope
        let limiter = RateLimiter(configuration, identifier: 1)
        let client = ClientAddress(high: 0, low: 7)
        for _ in 0..<10 { #expect(limiter.look(client, at: 1000, mayWait: false) == .isInTime) }
        #expect(limiter.take(client, at: 1000, mayWait: false) == .isInTime)
        #expect(limiter.look(client, at: 1000, mayWait: false) == .isInTime)
        #expect(limiter.take(client, at: 1000, mayWait: false) == .isInTime)
        #expect(limiter.look(client, at: 1000, mayWait: false) == .isTooEarly)
        #expect(limiter.look(client, at: 1_000_001_000, mayWait: false) == .isInTime)
        let other = ClientAddress(high: 0, low: 8)
        #expect(limiter.look(other, at: 1000, mayWait: false) == (scope == .client ? .isInTime : .isTooEarly))
    }
}

extension TableFixture {
    /// What is said of the table while there is one.
    fileprivate func outlook(for client: UInt64 = 0) -> ChoiceOutlook {
        withExtendedLifetime(self) { table.outlook(for: client) }
    }
}

// What is kept of a name's answers: which address, which failure, how long.

import NIOCore
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct NameMemoryTests {
    private static func address(_ host: String) -> Address { NumericHost.address(host)! }

    private func answer(_ hosts: [String], timeToLive: Int? = 60) -> Result<NameAnswer, NameFailure> {
        let target = NameTarget(host: "db.test", addresses: hosts.map(Self.address))
        return .success(NameAnswer(targets: [target], timeToLiveSeconds: timeToLive))
    }

    private let failure = Result<NameAnswer, NameFailure>.failure(NameFailure(reason: "is out of order"))

    private var byTimeToLive: NamePace { pace([0]) }

    private func pace(_ intervals: [Int]) -> NamePace {
        intervals.reduce(into: NamePace()) { $0.include(intervalMilliseconds: $1) }
    }

    @Test func theFirstAddressIsTakenAndKept() {
        var memory = NameMemory()
        #expect(memory.take(answer(["10.0.0.2", "10.0.0.1"]), time: 1) == NameMemory.Effect(hasMoved: true))
        #expect(memory.targets.map(\.address.host) == ["10.0.0.2"])
        // Any order and any company: it is still there.
        for hosts in [["10.0.0.1", "10.0.0.2"], ["10.0.0.2"], ["10.0.0.3", "10.0.0.1", "10.0.0.2"]] {
            #expect(memory.take(answer(hosts), time: 2) == NameMemory.Effect())
            #expect(memory.targets.map(\.address.host) == ["10.0.0.2"])
        }
        #expect(memory.take(answer(["10.0.0.3", "10.0.0.1"]), time: 3) == NameMemory.Effect(hasMoved: true))
        #expect(memory.targets.map(\.address.host) == ["10.0.0.3"])
        #expect(memory.answerTime == 3)
    }

    @Test func aFailureKeepsTheLastAnswerAndIsToldOnce() {
        var memory = NameMemory()
        _ = memory.take(answer(["10.0.0.1"]), time: 1)
        #expect(memory.take(failure, time: 2) == NameMemory.Effect(hasBegunToFail: true))
        #expect(memory.take(failure, time: 3) == NameMemory.Effect())
        #expect(memory.targets.map(\.address.host) == ["10.0.0.1"])
        #expect(memory.failure?.reason == "is out of order" && memory.answerTime == 1)
        #expect(memory.take(answer(["10.0.0.1"]), time: 4) == NameMemory.Effect(hasRecovered: true))
        #expect(memory.failure == nil && memory.answerTime == 4)
    }

    @Test func aNameThatNeverResolvedStandsForNothing() {
        var memory = NameMemory()
        #expect(memory.take(failure, time: 1) == NameMemory.Effect(hasBegunToFail: true))
        #expect(memory.targets.isEmpty && memory.answerTime == nil)
        #expect(memory.take(answer(["10.0.0.1"]), time: 2) == NameMemory.Effect(hasMoved: true, hasRecovered: true))
    }

    /// A server that answers for IPv4 only must neither take IPv6 addresses away nor keep IPv4 ones in use.
    @Test func halfAnAnswerMovesOnlyWhatItSpeaksOf() {
        func half(_ hosts: [String]) -> Result<NameAnswer, NameFailure> {
            let target = NameTarget(
                host: "db.test", addresses: hosts.map(Self.address),
                familiesUnknown: [Self.address("::1").family]
            )
            return .success(NameAnswer(targets: [target], timeToLiveSeconds: 1))
        }
        var memory = NameMemory()
        _ = memory.take(answer(["2001:db8::1", "10.0.0.1"]), time: 1)
        #expect(!memory.take(half(["10.0.0.1"]), time: 2).hasMoved)
        #expect(memory.targets.map(\.address.host) == ["2001:db8::1"])
        _ = memory.take(answer(["10.0.0.1"]), time: 3)
        #expect(memory.take(half(["10.0.0.2"]), time: 4).hasMoved)
        #expect(memory.targets.map(\.address.host) == ["10.0.0.2"])
    }

    @Test func eachTargetStaysWhereItIs() {
        func target(_ host: String, _ addresses: [String], port: UInt16 = 1, weight: Int = 1) -> NameTarget {
            let found = addresses.map(Self.address)
            return NameTarget(
                host: host, port: port, weight: weight, addresses: found,
                familiesUnknown: found.isEmpty ? [Self.address("0.0.0.0").family] : []
            )
        }
        func list(_ targets: [NameTarget]) -> Result<NameAnswer, NameFailure> {
            .success(NameAnswer(targets: targets, timeToLiveSeconds: 1))
        }
        var memory = NameMemory()
        _ = memory.take(list([target("a", ["10.0.0.1"]), target("b", ["10.0.0.2", "10.0.0.3"])]), time: 1)
        let before = memory.targets
        #expect(
            !memory.take(list([target("a", ["10.0.0.1"]), target("b", ["10.0.0.3", "10.0.0.2"])]), time: 2).hasMoved)
        // One that cannot be resolved now stays, and is told; one that never could is not there.
        let effect = memory.take(list([target("a", []), target("b", ["10.0.0.2"]), target("c", [])]), time: 3)
        #expect(effect == NameMemory.Effect(hasBegunToFail: true))
        #expect(memory.targets == before)
        #expect(memory.failure?.reason == "has targets that do not resolve: a, c")
        // The same server twice is one; a weight is a difference.
        #expect(
            memory.take(list([target("b", ["10.0.0.2"], weight: 2), target("b", ["10.0.0.2"], weight: 3)]), time: 4)
                .hasMoved
        )
        #expect(memory.targets.map(\.weight) == [2])
    }

    // MARK: Time

    @Test(arguments: [
        (nil, 5000), (0, 1000), (1, 1000), (7, 7000), (300, 300_000), (301, 300_000), (1 << 31, 300_000),
    ])
    func timesToLiveHaveBounds(_ seconds: Int?, _ milliseconds: Int64) {
        var memory = NameMemory()
        _ = memory.take(answer(["10.0.0.1"], timeToLive: seconds), time: 1)
        #expect(memory.delay(byTimeToLive) == .milliseconds(milliseconds))
    }

    @Test func theMostImpatientUserSetsThePace() {
        var memory = NameMemory()
        _ = memory.take(answer(["10.0.0.1"], timeToLive: 10), time: 1)
        #expect(memory.delay(pace([60_000])) == .seconds(60))
        #expect(memory.delay(pace([60_000, 2_000])) == .seconds(2))
        #expect(memory.delay(pace([60_000, 0])) == .seconds(10))
        #expect(memory.delay(pace([0, 2_000])) == .seconds(2))
    }

    @Test func failuresAreTriedAgainSoonAndThenLessOften() {
        var memory = NameMemory()
        _ = memory.take(answer(["10.0.0.1"], timeToLive: 300), time: 1)
        let delays = (0..<8).map { _ in
            _ = memory.take(failure, time: 2)
            return memory.delay(byTimeToLive)
        }
        #expect(delays == [1, 2, 4, 8, 16, 30, 30, 30].map { .seconds($0) })
        #expect(memory.delay(pace([5_000])) == .seconds(5))
        for _ in 0..<1000 {
            _ = memory.take(failure, time: 3)
        }
        #expect(memory.delay(byTimeToLive) == .seconds(30))
        _ = memory.take(answer(["10.0.0.1"], timeToLive: 300), time: 4)
        #expect(memory.delay(byTimeToLive) == .seconds(300))
    }
}

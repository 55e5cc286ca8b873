// Asking again: once for each name, a few at a time, and what is logged of it.

import NIOCore
import ShuttleEngine
import Synchronization
import Testing

@testable import shuttled

/// A resolver that answers as it is told and counts.
final class FakeResolver: Sendable {
    struct State {
        var answers: [NameQuestion: Result<NameAnswer, NameFailure>] = [:]
        var asked: [NameQuestion: Int] = [:]
        var running = 0
        var runningMax = 0
        /// While there is one, lookups wait for it.
        var gate: EventLoopFuture<Void>?
    }

    private let state = Mutex(State())

    var asked: [NameQuestion: Int] { state.withLock { $0.asked } }
    var runningMax: Int { state.withLock { $0.runningMax } }
    var running: Int { state.withLock { $0.running } }

    func set(_ host: String, _ addresses: [String], timeToLive: Int? = nil) {
        let target = NameTarget(host: host, addresses: addresses.map { NumericHost.address($0)! })
        let answer = NameAnswer(targets: [target], timeToLiveSeconds: timeToLive)
        state.withLock { $0.answers[.host(host)] = .success(answer) }
    }

    func fail(_ host: String, _ reason: String) {
        state.withLock { $0.answers[.host(host)] = .failure(NameFailure(reason: reason)) }
    }

    func setGate(_ gate: EventLoopFuture<Void>?) { state.withLock { $0.gate = gate } }

    var lookup: NameLookup {
        { questions in
            let gate = self.state.withLock { state in
                for question in questions { state.asked[question, default: 0] += 1 }
                state.running += 1
                state.runningMax = max(state.runningMax, state.running)
                return state.gate
            }
            try? await gate?.get()
            return self.state.withLock { state in
                state.running -= 1
                return Dictionary(
                    uniqueKeysWithValues: questions.map {
                        ($0, state.answers[$0] ?? .failure(NameFailure(reason: "is unknown")))
                    }
                )
            }
        }
    }
}

@Suite struct NameWatchTests {
    private static let db = NameQuestion.host("db.test")

    private static func pace(_ milliseconds: Int) -> NamePace {
        var pace = NamePace()
        pace.include(intervalMilliseconds: milliseconds)
        return pace
    }

    private static func fresh(_ addresses: [String]) -> NameMemory {
        var memory = NameMemory()
        let target = NameTarget(host: "db.test", addresses: addresses.map { NumericHost.address($0)! })
        _ = memory.take(.success(NameAnswer(targets: [target], timeToLiveSeconds: 300)), time: 1)
        return memory
    }

    @Test func aMoveIsToldAndLogged() async throws {
        try await ControlTesting.onLoop { loop in
            let resolver = FakeResolver()
            let log = LogCollector()
            resolver.set("db.test", ["10.0.0.1"])
            let watch = NameWatch(loop: loop, logger: log.logger(), lookup: resolver.lookup)
            var moves = 0
            watch.moved = { moves += 1 }
            watch.update([Self.db: Self.pace(2)], fresh: [Self.db: Self.fresh(["10.0.0.1"])])
            try await ControlTesting.eventually("it is asked for again") { resolver.asked[Self.db, default: 0] >= 3 }
            #expect(moves == 0 && log.lines.isEmpty)
            resolver.set("db.test", ["10.0.0.2"])
            try await ControlTesting.eventually("the move is told") { moves == 1 }
            #expect(watch.memory(of: Self.db)?.targets.map(\.address.host) == ["10.0.0.2"])
            #expect(log.lines.count == 1 && log.lines[0].contains("10.0.0.1") && log.lines[0].contains("10.0.0.2"))
            watch.stop()
        }
    }

    @Test func aFailureIsLoggedWhenItBeginsAndWhenItEnds() async throws {
        try await ControlTesting.onLoop { loop in
            let resolver = FakeResolver()
            let log = LogCollector()
            resolver.fail("db.test", "is out of order")
            let watch = NameWatch(loop: loop, logger: log.logger(), lookup: resolver.lookup)
            watch.update([Self.db: Self.pace(2)], fresh: [Self.db: Self.fresh(["10.0.0.1"])])
            try await ControlTesting.eventually("it fails again and again") {
                resolver.asked[Self.db, default: 0] >= 5
            }
            #expect(log.lines.count == 1 && log.lines[0].contains("is out of order"))
            #expect(watch.memory(of: Self.db)?.targets.map(\.address.host) == ["10.0.0.1"])
            resolver.set("db.test", ["10.0.0.1"])
            try await ControlTesting.eventually("it recovers") { log.lines.count == 2 }
            #expect(log.lines[1].contains("resolves again"))
            watch.stop()
        }
    }

    @Test func aNameThatFailsFromTheStartIsLogged() async throws {
        try await ControlTesting.onLoop { loop in
            let log = LogCollector()
            let watch = NameWatch(loop: loop, logger: log.logger(), lookup: FakeResolver().lookup)
            var memory = NameMemory()
            _ = memory.take(.failure(NameFailure(reason: "is out of order")), time: 1)
            watch.update([Self.db: Self.pace(0)], fresh: [Self.db: memory])
            #expect(log.lines.count == 1 && log.lines[0].contains("is out of order"))
            watch.stop()
        }
    }

    @Test func aThousandNamesAreAskedAFewAtATime() async throws {
        try await ControlTesting.onLoop { loop in
            let resolver = FakeResolver()
            let gate = loop.makePromise(of: Void.self)
            resolver.setGate(gate.futureResult)
            let watch = NameWatch(loop: loop, logger: LogCollector().logger(.error), lookup: resolver.lookup)
            let questions = (0..<1000).map { NameQuestion.host("n\($0).test") }
            let wanted = Dictionary(uniqueKeysWithValues: questions.map { ($0, Self.pace(1)) })
            watch.update(wanted, fresh: [:])
            try await ControlTesting.eventually("as many as may be are under way") {
                resolver.running == NameWatch.lookupsMax
            }
            resolver.setGate(nil)
            gate.succeed()
            try await ControlTesting.eventually("everyone has a turn") { resolver.asked.count == 1000 }
            #expect(resolver.runningMax == NameWatch.lookupsMax)
            watch.stop()
        }
    }

    @Test func whatIsNotInUseIsNotAskedFor() async throws {
        try await ControlTesting.onLoop { loop in
            let resolver = FakeResolver()
            let watch = NameWatch(loop: loop, logger: LogCollector().logger(.error), lookup: resolver.lookup)
            let other = NameQuestion.host("other.test")
            // One is removed while it is under way, one while it waits for its time.
            let gate = loop.makePromise(of: Void.self)
            resolver.setGate(gate.futureResult)
            watch.update([Self.db: Self.pace(1), other: Self.pace(60_000)], fresh: [:])
            try await ControlTesting.eventually("it is under way") { resolver.running == 1 }
            watch.update([:], fresh: [:])
            #expect(watch.memory(of: Self.db) == nil)
            gate.succeed()
            try await ControlTesting.eventually("it ends") { resolver.running == 0 }
            // A third one shows that time goes on without the two.
            let third = NameQuestion.host("third.test")
            watch.update([third: Self.pace(1)], fresh: [:])
            try await ControlTesting.eventually("others are asked for") { resolver.asked[third, default: 0] >= 1 }
            #expect(resolver.asked[Self.db] == 1 && resolver.asked[other] == nil)
            watch.stop()
        }
    }

    @Test func aShorterIntervalHoldsAtOnce() async throws {
        try await ControlTesting.onLoop { loop in
            let resolver = FakeResolver()
            let watch = NameWatch(loop: loop, logger: LogCollector().logger(.error), lookup: resolver.lookup)
            watch.update([Self.db: Self.pace(0)], fresh: [Self.db: Self.fresh(["10.0.0.1"])])
            watch.update([Self.db: Self.pace(1)], fresh: [:])
            try await ControlTesting.eventually("it is asked for") { resolver.asked[Self.db, default: 0] >= 1 }
            watch.stop()
        }
    }
}

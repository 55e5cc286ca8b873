// Slow starts through the engine: what begins a ramp and what does not, its steps, and how often it publishes.

import Glibc
import Synchronization
import Testing

@testable import ShuttleEngine

@Suite(.serialized)
struct EngineSlowStartTests {
    private static let address: SocketAddress? = {
        guard case .success(let socket) = ListeningSocket.open(.loopbackIPv4(port: 0)) else { return nil }
        return SocketAddress.local(of: socket.descriptor)
    }()

    private func service(
        _ names: [String], milliseconds: Int = 1000, change: (inout BackendConfiguration) -> Void = { _ in }
    ) throws -> ResolvedService {
        let backends = names.map { name in
            var backend = BackendConfiguration(name: name, address: "127.0.0.1:9")
            backend.slowStartMilliseconds = milliseconds
            change(&backend)
            return backend
        }
        let address = try #require(Self.address)
        return ResolvedService(
            configuration: ServiceConfiguration(name: "a", address: "\(address)", backends: backends),
            listenAddress: address,
            backendAddresses: names.map { _ in .loopbackIPv4(port: 9) }
        )
    }

    private func running(_ service: ResolvedService) throws -> Engine {
        let engine = try Engine(options: Engine.Options(ringCount: 1))
        engine.start()
        try commit(service, engine)
        return engine
    }

    @discardableResult
    private func commit(_ service: ResolvedService?, _ engine: Engine) throws -> Epoch {
        let epoch = engine.commit(try engine.prepare(service.map { [$0] } ?? []))
        let deadline = ContinuousClock.now + .seconds(10)
        while engine.progress(epoch) != .complete {
            try #require(ContinuousClock.now < deadline, "the rings did not take the change up")
            usleep(200)
        }
        return epoch
    }

    private func percents(_ engine: Engine) -> [Int] { engine.statistics()[0].backends.map(\.slowStartPercent) }
    private func weights(_ engine: Engine) -> [Int] { engine.services[0].table.pointee.entries.map(\.weight) }

    @Test func nobodyRampsWhenAServiceBegins() throws {
        let engine = try running(service(["one", "two"]))
        defer { engine.stop() }
        #expect(percents(engine) == [100, 100] && weights(engine) == [1, 1])
        _ = engine.judgeTraffic(at: 5000)
        #expect(weights(engine) == [1, 1])
    }

    @Test func checksBringItBackByAndBy() throws {
        let engine = try running(service(["one", "two"]))
        defer { engine.stop() }
        _ = engine.judgeTraffic(at: 1000)
        engine.setHealth(service: "a", backend: "two", isUp: false)
        #expect(percents(engine) == [100, 100], "it is down, and does not ramp yet")
        _ = engine.judgeTraffic(at: 2000)
        engine.setHealth(service: "a", backend: "two", isUp: true)
        #expect(percents(engine) == [100, 5] && weights(engine) == [20, 1])
        for (time, percent) in [(2099, 5), (2100, 10), (2500, 50), (2999, 95)] as [(UInt64, Int)] {
            _ = engine.judgeTraffic(at: time)
            #expect(percents(engine) == [100, percent] && weights(engine) == [20, percent / 5])
        }
        engine.setHealth(service: "a", backend: "two", isUp: false)
        engine.setHealth(service: "a", backend: "two", isUp: true)
        #expect(percents(engine) == [100, 5], "begun anew")
        _ = engine.judgeTraffic(at: 3999)
        #expect(percents(engine) == [100, 100] && weights(engine) == [1, 1])
    }

    @Test func anEjectionThatEndsDoesToo() throws {
        let engine = try running(service(["one", "two"]))
        defer { engine.stop() }
        _ = engine.judgeTraffic(at: 1000)
        let record = engine.services[0].backends[1]
        for _ in 0..<5 { record.pointee.failures.count(.refused) }
        engine.services[0].table.pointee.record.pointee.hasNewFailures.store(true, ordering: .relaxed)
        engine.workers[0].link.pointee.hasNewFailures.store(true, ordering: .relaxed)
        #expect(engine.judgeTraffic(at: 1010).map(\.isEjected) == [true])
        #expect(engine.judgeTraffic(at: 11_010).map(\.isEjected) == [false])
        #expect(percents(engine) == [100, 5])
        _ = engine.judgeTraffic(at: 11_510)
        #expect(percents(engine) == [100, 50])
    }

    /// Made ready, given a weight, added: each begins a ramp. A change that leaves a backend in place does not, and leaves
    /// its ramp where it is; another time counts from the same beginning.
    @Test func changesBeginRampsOrLeaveThem() throws {
        let engine = try running(service(["one", "two"]) { $0.state = $0.name == "two" ? .maintenance : .ready })
        defer { engine.stop() }
        _ = engine.judgeTraffic(at: 1000)
        #expect(percents(engine) == [100, 100])
        try commit(service(["one", "two"]), engine)
        #expect(percents(engine) == [100, 5])
        _ = engine.judgeTraffic(at: 1500)
        try commit(service(["one", "two"]), engine)
        try commit(service(["one", "two"]) { $0.connectionsMax = 9 }, engine)
        #expect(percents(engine) == [100, 50])
        try commit(service(["one", "two"], milliseconds: 2000), engine)
        #expect(percents(engine) == [100, 25])
        try commit(service(["one", "two", "three"], milliseconds: 2000), engine)
        #expect(percents(engine) == [100, 25, 5] && weights(engine) == [20, 5, 1])
        try commit(service(["one", "three"], milliseconds: 2000), engine)
        #expect(percents(engine) == [100, 5] && weights(engine) == [20, 1], "removed during its ramp")
        _ = engine.judgeTraffic(at: 2500)
        try commit(service(["one", "three"], milliseconds: 0), engine)
        #expect(percents(engine) == [100, 100] && weights(engine) == [1, 1])
        try commit(service(["one", "three"], milliseconds: 2000), engine)
        #expect(percents(engine) == [100, 100])
        try commit(service(["one", "three"], milliseconds: 2000) { $0.weight = $0.name == "one" ? 0 : 1 }, engine)
        try commit(service(["one", "three"], milliseconds: 2000), engine)
        #expect(percents(engine) == [5, 100], "weight 0 gets nothing new either")
        // A service that ends and begins again.
        try commit(service(["one", "two"]), engine)
        try commit(nil, engine)
        try commit(service(["one", "two"]), engine)
        #expect(percents(engine) == [100, 100])
    }

    /// However often it is looked, a ramp publishes as often as its share changes.
    @Test func aRampPublishesAtMostTwentyTimes() throws {
        let engine = try running(service(["one", "two"]))
        defer { engine.stop() }
        _ = engine.judgeTraffic(at: 1000)
        engine.setHealth(service: "a", backend: "two", isUp: false)
        let before = try commit(service(["one", "two"]), engine)
        engine.setHealth(service: "a", backend: "two", isUp: true)
        for time in UInt64(1000)...2100 { _ = engine.judgeTraffic(at: time) }
        #expect(percents(engine) == [100, 100])
        #expect(try commit(service(["one", "two"]), engine) - before - 1 == UInt64(SlowStart.steps))
        _ = engine.judgeTraffic(at: 9000)
        #expect(engine.nextSlowStartStep == .max)
    }
}

// Owns the form in which rings see services, and the records behind them.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct CompiledServiceTests {
    @Test func tableSaysWhatTheConfigurationSays() {
        let fixture = TableFixture(weights: [2, 0, 5], .leastConnections)
        let table = fixture.table
        #expect(table.pointee.algorithm == .leastConnections)
        #expect(table.pointee.entries.map(\.weight) == [2, 0, 5])
        #expect(table.pointee.entries.map(\.record) == fixture.records)
        #expect(table.pointee.entries.map(\.isUsable) == [true, false, true])
        #expect(
            table.pointee.timeouts
                == SessionTimeouts(
                    clientMilliseconds: 0, serverMilliseconds: 0, connectMilliseconds: 5000, retryMilliseconds: 0,
                    halfCloseMilliseconds: 0, userMilliseconds: 0,
                    keepalive: Keepalive(idleSeconds: 60, intervalSeconds: 10, count: 6)))
        #expect(
            table.pointee.lifetime == LifetimeLimit(milliseconds: 0, jitterPercent: 0)
                && !table.pointee.closesAtFirstEnd)
        #expect(table.pointee.retries == 2)
        #expect(Set(table.pointee.rotation) == [0, 2])
    }

    @Test func timesOfTheConfigurationReachTheTable() {
        var configuration = ServiceConfiguration(name: "a", address: ":80")
        configuration.clientTimeoutMilliseconds = 1
        configuration.serverTimeoutMilliseconds = 2
        configuration.connectTimeoutMilliseconds = 3
        configuration.halfCloseTimeoutMilliseconds = 4
        configuration.maxLifetimeMilliseconds = 5
        configuration.maxLifetimeJitterPercent = 6
        configuration.halfClose = false
        configuration.userTimeoutMilliseconds = 7
        configuration.keepalive.idleMilliseconds = 8000
        configuration.keepalive.intervalMilliseconds = 9000
        configuration.keepalive.count = 10
        let registry = RecordRegistry(workerCount: 1)
        let table = CompiledService(
            configuration: configuration, record: registry.service("a"), backends: [], rotation: Rotation([]),
            rotationShares: []
        ).table.pointee
        #expect(
            table.timeouts
                == SessionTimeouts(
                    clientMilliseconds: 1, serverMilliseconds: 2, connectMilliseconds: 3, retryMilliseconds: 0,
                    halfCloseMilliseconds: 4, userMilliseconds: 7,
                    keepalive: Keepalive(idleSeconds: 8, intervalSeconds: 9, count: 10)))
        #expect(table.lifetime == LifetimeLimit(milliseconds: 5, jitterPercent: 6))
        #expect(table.closesAtFirstEnd)
    }

    @Test func recordsAreFoundByName() {
        let fixture = TableFixture(weights: [1, 1])
        #expect(fixture.service.backendRecord(named: "s1") == fixture.records[1])
        #expect(fixture.service.backendRecord(named: "other") == nil)
    }

    @Test func sharesLeaveOutTheDown() {
        let fixture = TableFixture(weights: [1, 2, 3])
        fixture.setUp(1, false)
        let shares = CompiledService.shares(fixture.service.configuration, fixture.records)
        #expect(shares == [.init(backend: 0, weight: 1), .init(backend: 2, weight: 3)])
    }

    @Test func snapshotViewPointsToItsParts() {
        let fixture = TableFixture(weights: [1])
        let entry = ListenerEntry(state: .open, generation: 3, socket: 9, table: UnsafePointer(fixture.service.table))
        let snapshot = Snapshot(
            epoch: 12,
            services: [fixture.service],
            departing: [],
            listeners: [.empty, entry],
            sessionCapacity: 77
        )
        let view = snapshot.view.pointee
        #expect(view.epoch == 12 && view.sessionCapacity == 77)
        #expect(view.listeners.map(\.state) == [.none, .open])
        #expect(view.listeners[1].socket == 9 && view.listeners[1].generation == 3)
        #expect(view.tables.map { $0.pointee.record } == [fixture.table.pointee.record])
    }

    // MARK: Records

    private static let identity = RecordRegistry.BackendIdentity(
        service: "a",
        name: "s",
        address: .loopbackIPv4(port: 80)
    )

    @Test func recordsKeepTheirIdentity() {
        let registry = RecordRegistry(workerCount: 2)
        let first = registry.backend(CompiledServiceTests.identity)
        #expect(registry.backend(CompiledServiceTests.identity) == first)
        #expect(registry.service("a") == registry.service("a"))
        var other = CompiledServiceTests.identity
        other.address = .loopbackIPv4(port: 81)
        let second = registry.backend(other)
        #expect(
            second != first && second.pointee.identifier != first.pointee.identifier, "a new address, a new backend")
        let isUp = second.pointee.isUp.load(ordering: .relaxed)
        #expect(isUp)
    }

    /// Freed only when retired, acknowledged everywhere and used by nobody; one that comes back meanwhile is new.
    @Test func recordsEndWhenNobodyReachesThem() {
        let registry = RecordRegistry(workerCount: 1)
        let record = registry.backend(CompiledServiceTests.identity)
        let service = registry.service("a")
        record.pointee.reserve()
        service.pointee.counters.block(of: 0).pointee.active.addAsOnlyWriter(1)
        registry.collect(acknowledged: 100)
        #expect(registry.retiredCount == 0, "in use by the configuration")
        registry.retire(exceptServices: [], exceptBackends: [], epoch: 5)
        #expect(registry.retiredCount == 2)
        registry.collect(acknowledged: 4)
        registry.collect(acknowledged: 5)
        #expect(registry.retiredCount == 2, "a session is left")
        let again = registry.backend(CompiledServiceTests.identity)
        #expect(again.pointee.identifier != record.pointee.identifier)
        record.pointee.release()
        service.pointee.counters.block(of: 0).pointee.active.addAsOnlyWriter(-1)
        registry.collect(acknowledged: 4)
        #expect(registry.retiredCount == 2, "somebody still runs on an older epoch")
        registry.collect(acknowledged: 5)
        #expect(registry.retiredCount == 0)
    }

    @Test func whatIsKeptIsNotRetired() {
        let registry = RecordRegistry(workerCount: 1)
        let record = registry.backend(CompiledServiceTests.identity)
        let service = registry.service("a")
        registry.retire(exceptServices: ["a"], exceptBackends: [CompiledServiceTests.identity], epoch: 2)
        #expect(registry.retiredCount == 0)
        #expect(registry.backend(CompiledServiceTests.identity) == record && registry.service("a") == service)
    }
}

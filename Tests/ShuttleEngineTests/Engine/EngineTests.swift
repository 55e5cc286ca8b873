// Owns the engine over the real kernel: start, change, refusal and stop leave nothing behind. What sessions do is shown
// by the simulation and the system tests.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite(.serialized)
struct EngineTests {
    private static func service(
        _ name: String,
        at address: SocketAddress,
        backends: [String] = ["one"]
    ) -> ResolvedService {
        let configurations = backends.map { BackendConfiguration(name: $0, address: "127.0.0.1:9") }
        return ResolvedService(
            configuration: ServiceConfiguration(name: name, address: "\(address)", backends: configurations),
            listenAddress: address,
            backendAddresses: backends.map { _ in .loopbackIPv4(port: 9) }
        )
    }

    /// A loopback address that nobody listens on.
    private static func freeAddress() throws -> SocketAddress {
        let socket = try ListeningSocket.open(.loopbackIPv4(port: 0)).get()
        return try #require(SocketAddress.local(of: socket.descriptor))
    }

    /// Rings that this process has open.
    private static func openRingDescriptors() throws -> Int {
        let folder = try #require(opendir("/proc/self/fd"))
        defer { closedir(folder) }
        var count = 0
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            var target = [CChar](repeating: 0, count: 64)
            guard readlink("/proc/self/fd/\(name)", &target, target.count - 1) > 0 else { continue }
            let text = target.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if text.contains("io_uring") { count += 1 }
        }
        return count
    }

    /// Waits until a change is complete; the engine's own limit is for the control plane to keep.
    private static func complete(_ epoch: Epoch, on engine: Engine) throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while engine.progress(epoch) != .complete {
            try #require(ContinuousClock.now < deadline, "the rings did not take the change up")
            usleep(200)
        }
    }

    @Test(arguments: [1, 3])
    func startingChangingAndStoppingLeavesNoDescriptor(rings: Int) throws {
        let address = try Self.freeAddress()
        do {
            let engine = try Engine(options: Engine.Options(ringCount: rings))
            engine.start()
            try Self.complete(engine.commit(engine.prepare([Self.service("a", at: address)])), on: engine)
            try Self.complete(engine.commit(engine.prepare([Self.service("b", at: address)])), on: engine)
            try Self.complete(engine.commit(engine.prepare([])), on: engine)
            #expect(try Self.openRingDescriptors() >= rings)
            engine.stop()
        }
        // Other tests of this process may have rings of their own for a moment.
        let deadline = ContinuousClock.now + .seconds(10)
        while try Self.openRingDescriptors() > 0 {
            try #require(ContinuousClock.now < deadline, "descriptors of rings are left")
            usleep(10_000)
        }
        _ = try ListeningSocket.open(address).get()
    }

    @Test func anAddressInUseIsRefusedAndNothingChanges() throws {
        let taken = try ListeningSocket.open(.loopbackIPv4(port: 0)).get()
        let takenAddress = try #require(SocketAddress.local(of: taken.descriptor))
        let free = try Self.freeAddress()
        let engine = try Engine(options: Engine.Options(ringCount: 1))
        engine.start()
        defer { engine.stop() }
        let failure = #expect(throws: ListenFailure.self) {
            let change = try engine.prepare([Self.service("a", at: free), Self.service("b", at: takenAddress)])
            engine.abandon(change)
        }
        #expect(failure?.serviceIndex == 1 && failure?.code == EADDRINUSE)
        #expect(engine.statistics().isEmpty)
        // What the refused change had bound is free again.
        _ = try ListeningSocket.open(free).get()
    }

    @Test func aWildcardTakesOverFromOneOfItsAddresses() throws {
        let address = try Self.freeAddress()
        let wildcard = SocketAddress.anyIPv4(port: address.port)
        let engine = try Engine(options: Engine.Options(ringCount: 1))
        engine.start()
        defer { engine.stop() }
        for next in [address, wildcard, address] {
            try Self.complete(engine.commit(engine.prepare([Self.service("a", at: next)])), on: engine)
            // A stranger is refused all the same.
            #expect(throws: ListenError(.listen, EADDRINUSE)) { try ListeningSocket.open(next).get() }
        }
    }

    /// Files of sockets that stay get their access with the change, and have it back when that is abandoned or refused.
    @Test func theAccessOfASocketsFileGoesWithTheChange() throws {
        let path = "/tmp/shuttle-engine-\(getpid()).sock"
        func mode() -> UInt32? {
            var status = stat()
            return lstat(path, &status) == 0 ? status.st_mode & 0o777 : nil
        }
        func service(_ mode: UInt32, at address: SocketAddress? = nil) -> ResolvedService {
            var service = Self.service("a", at: address ?? .unix(name: path, isAbstract: false))
            service.socketAccess.mode = mode
            return service
        }
        let taken = try ListeningSocket.open(.loopbackIPv4(port: 0)).get()
        let takenAddress = try #require(SocketAddress.local(of: taken.descriptor))
        let engine = try Engine(options: Engine.Options(ringCount: 1))
        engine.start()
        defer { engine.stop() }
        engine.abandon(try engine.prepare([service(0o600)]))
        #expect(mode() == nil)
        try Self.complete(engine.commit(engine.prepare([service(0o600)])), on: engine)
        #expect(mode() == 0o600)
        let change = try engine.prepare([service(0o666)])
        #expect(mode() == 0o666)
        engine.abandon(change)
        #expect(mode() == 0o600)
        #expect(throws: ListenFailure.self) {
            engine.abandon(try engine.prepare([service(0o644), Self.service("b", at: takenAddress)]))
        }
        #expect(mode() == 0o600)
        try Self.complete(engine.commit(engine.prepare([service(0o666)])), on: engine)
        #expect(mode() == 0o666)
        try Self.complete(engine.commit(engine.prepare([])), on: engine)
        #expect(mode() == nil)
    }

    @Test func anAddressKeepsItsSocketWhateverServiceHasIt() throws {
        let registry = ListenerRegistry()
        let socket = try ListeningSocket.open(.loopbackIPv4(port: 0)).get()
        registry.open(socket)
        registry.startClosing(exceptAddresses: [socket.address]) { _ in nil }
        #expect(!registry.hasClosing && registry.openSockets.first === socket)
        registry.startClosing(exceptAddresses: []) { _ in nil }
        #expect(registry.hasClosing && registry.openSockets.isEmpty)
        registry.startDraining()
        #expect(registry.hasDraining && !registry.hasClosing)
        registry.finishClosing()
        #expect(!registry.hasDraining && registry.entries(serving: [:]).map(\.state) == [.none])
        registry.open(socket)
        #expect(registry.entries(serving: [:]).map(\.generation) == [2], "a place is recognised as given away")
    }

    /// When a change is complete, every ring has counted its adoption.
    @Test func ringsCountTheirAdoptions() throws {
        let address = try Self.freeAddress()
        let engine = try Engine(options: Engine.Options(ringCount: 2))
        #expect(engine.ringStatistics().map(\.adoptions) == [0, 0])
        engine.start()
        defer { engine.stop() }
        try Self.complete(engine.commit(engine.prepare([Self.service("a", at: address)])), on: engine)
        let before = engine.ringStatistics()
        #expect(before.map(\.index) == [0, 1])
        try Self.complete(engine.commit(engine.prepare([Self.service("b", at: address)])), on: engine)
        let after = engine.ringStatistics()
        for (before, after) in zip(before, after) {
            #expect(before.adoptions >= 1 && after.adoptions == before.adoptions + 1)
            // Reading the clock alone takes some nanoseconds.
            #expect(after.adoptionMicrosecondsMax >= max(1, after.adoptionMicrosecondsP999))
            #expect(after.sessions == 0 && after.splicedBytes == 0)
        }
    }

    @Test func microsecondsAreRoundedUp() {
        #expect([0, 1, 999, 1000, 1001, .max].map(Engine.microsecondsRoundedUp) == [0, 1, 1, 1, 2, .max / 1000 + 1])
    }

    @Test func statisticsFollowTheConfiguration() throws {
        let address = try Self.freeAddress()
        let engine = try Engine(options: Engine.Options(ringCount: 2))
        engine.start()
        defer { engine.stop() }
        try Self.complete(
            engine.commit(engine.prepare([Self.service("a", at: address, backends: ["one", "two"])])),
            on: engine
        )
        let refused = CheckResult(
            status: .fail, reason: "connection refused", durationMicroseconds: 7, endedAtMilliseconds: 8
        )
        engine.recordCheck(service: "a", backend: "two", result: refused)
        var result = refused
        (result.status, result.reason) = (.success, nil)
        engine.recordCheck(service: "a", backend: "two", result: result)
        (result.status, result.reason) = (.inconclusive, "too many open files")
        engine.recordCheck(service: "a", backend: "two", result: result)
        engine.recordCheck(service: "a", backend: "none", result: result)
        engine.setHealth(service: "a", backend: "two", isUp: false)
        engine.setHealth(service: "a", backend: "none", isUp: false)
        let first = engine.statistics()
        #expect(first.map(\.configuration.name) == ["a"])
        #expect(first[0].backends.map(\.isUp) == [true, false])
        #expect(first[0].backends[1].checkSuccesses == 1 && first[0].backends[1].checkFailures == 1)
        #expect(first[0].backends.map(\.lastCheck) == [nil, result], "the last one, although it counts neither way")
        // The same service, name and address is the same backend; what it was carries over.
        try Self.complete(
            engine.commit(engine.prepare([Self.service("a", at: address, backends: ["two", "three"])])),
            on: engine
        )
        let second = engine.statistics()
        #expect(second[0].backends.map(\.configuration.name) == ["two", "three"])
        #expect(second[0].backends.map(\.isUp) == [false, true])
        #expect(second[0].backends.map(\.checkFailures) == [1, 0])
        #expect(second[0].backends.map(\.lastCheck) == [result, nil])
    }
}

struct SessionCapacityTests {
    @Test func descriptorsAreKeptBack() {
        let large = SessionCapacity(descriptorLimit: 20_000, ringCount: 2)
        #expect(large.pipesPerRing == 64)
        let rings = 2 * (2 + 2 * 64)
        #expect(large.sessionsPerRing(listenerCount: 0) == (20_000 - 256 - rings) / 4)
        #expect(large.sessionsPerRing(listenerCount: 1000) == (20_000 - 256 - rings - 1000) / 4)
        #expect(large.slotsPerRing == large.sessionsPerRing(listenerCount: 0))
    }

    @Test func datagramSessionsGetWhatTheyMayHaveAndHalfAtTheMost() {
        let capacity = SessionCapacity(descriptorLimit: 20_000, ringCount: 2)
        let free = 20_000 - 256 - 2 * (2 + 2 * 64)
        #expect(capacity.datagramSessionsPerRing(listenerCount: 0, datagramSessions: 0) == 0)
        #expect(capacity.datagramSessionsPerRing(listenerCount: 0, datagramSessions: 101) == 101)
        // One descriptor each, and as many as there are slots for those that end.
        let ending = 2 * DatagramSessions.slotsForEnding
        #expect(capacity.datagramDescriptors(listenerCount: 0, datagramSessions: 0) == 0)
        #expect(capacity.datagramDescriptors(listenerCount: 0, datagramSessions: 101) == 101 + ending)
        #expect(capacity.sessionsPerRing(listenerCount: 0, datagramSessions: 101) == (free - 101 - ending) / 4)
        let most = 1_000_000
        #expect(capacity.datagramSessionsPerRing(listenerCount: 0, datagramSessions: most) <= capacity.slotsPerRing)
        #expect(capacity.sessionsPerRing(listenerCount: 0, datagramSessions: most) == free / 2 / 4)
        #expect(capacity.datagramDescriptors(listenerCount: 0, datagramSessions: most) == free / 2)
        // Where they do not last for all of them, each ring has its part.
        let few = SessionCapacity(descriptorLimit: 2000, ringCount: 2)
        let freeOfFew = 2000 - 256 - 2 * (2 + 2 * few.pipesPerRing)
        let sessions = freeOfFew / 2 - freeOfFew / 8
        #expect(few.datagramSessionsPerRing(listenerCount: 0, datagramSessions: sessions) == few.slotsPerRing)
        #expect(few.datagramSessionsPerRing(listenerCount: 0, datagramSessions: sessions + 1) == (sessions + 1) / 2)
        #expect(few.datagramDescriptors(listenerCount: 0, datagramSessions: sessions + 1) == freeOfFew / 2)
        let small = SessionCapacity(descriptorLimit: 64, ringCount: 1)
        #expect(small.datagramSessionsPerRing(listenerCount: 60, datagramSessions: 9) == 1)
        #expect(small.datagramDescriptors(listenerCount: 60, datagramSessions: 9) == 1)
    }

    @Test func aSmallLimitKeepsHalfBackAndServesAtLeastOne() {
        let small = SessionCapacity(descriptorLimit: 64, ringCount: 1)
        #expect(small.sessionsPerRing(listenerCount: 0) == (64 - 32 - 2 - 2) / 2)
        #expect(small.pipesPerRing == 1)
        #expect(SessionCapacity(descriptorLimit: 64, ringCount: 2).pipesPerRing == 0)
        #expect(small.sessionsPerRing(listenerCount: 60) == 1)
    }
}

struct UsableCPUsTests {
    @Test(arguments: [
        (allowed: 8, quotas: [Double](), expected: 8), (8, [1.5], 2), (8, [4, 0.5], 1), (2, [16], 2), (1, [0.01], 1),
        (1024, [], 256),
    ])
    func affinityAndQuotaBothCount(allowed: Int, quotas: [Double], expected: Int) {
        #expect(Engine.usableCPUs(allowed: allowed, quotas: quotas) == expected)
    }

    @Test func quotasAreRead() {
        #expect(ControlGroup.quota(parsing: "150000 100000\n") == 1.5)
        #expect(ControlGroup.quota(parsing: "max 100000\n") == nil)
        #expect(ControlGroup.quota(parsing: "") == nil && ControlGroup.quota(parsing: "1 0") == nil)
        #expect(Engine.usableCPUs() >= 1)
    }
}

// Names that move while a control plane runs: what is applied, what stays, and what is written.

import NIOCore
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct ControlPlaneNamesTests {
    private static func service(_ name: String, _ backends: [String]) -> ServiceConfiguration {
        ControlTesting.service(name, "127.0.0.1:\(name.utf8.count)", backends: backends)
    }

    private func addresses(_ stage: ControlPlaneStage) -> [[String]] {
        stage.engine.state.withLock { $0.live.map { $0.backendAddresses.map(\.description) } }
    }

    private func commits(_ stage: ControlPlaneStage) -> Int { stage.engine.calls.count { $0 == "commit" } }

    private func start(_ stage: ControlPlaneStage, _ services: [ServiceConfiguration]) async throws {
        try await stage.plane.start(with: services, isFromState: true, origin: ControlPlaneStage.origin)
    }

    @Test func aMoveIsOneSnapshotForAllBackendsOfTheName() async throws {
        let resolver = FakeResolver()
        resolver.set("db.test", ["10.0.0.1"])
        try await ControlPlaneStage.run(lookup: resolver.lookup) { stage in
            let services = [
                Self.service("a", ["db.test:1", "db.test:2"]), Self.service("bb", ["10.0.0.9:1", "db.test:3"]),
            ]
            try await start(stage, services)
            #expect(addresses(stage) == [["10.0.0.1:1", "10.0.0.1:2"], ["10.0.0.9:1", "10.0.0.1:3"]])
            resolver.set("db.test", ["10.0.0.2", "10.0.0.1"])
            let before = resolver.asked[.host("db.test"), default: 0]
            try await ControlTesting.eventually("it is asked for again") {
                resolver.asked[.host("db.test"), default: 0] > before + 2
            }
            #expect(commits(stage) == 1, "it has the address still")
            resolver.set("db.test", ["10.0.0.3"])
            try await ControlTesting.eventually("all of them move") {
                addresses(stage) == [["10.0.0.3:1", "10.0.0.3:2"], ["10.0.0.9:1", "10.0.0.3:3"]]
            }
            #expect(commits(stage) == 2)
            #expect(await stage.plane.configuration().services == services)
        }
    }

    @Test func nothingIsWrittenToTheStateFile() async throws {
        let resolver = FakeResolver()
        resolver.set("db.test", ["10.0.0.1"])
        let folder = try TemporaryFolder()
        let state = ControlPlaneStage.State(path: folder.path("state.json"))
        try await ControlPlaneStage.run(state: state, lookup: resolver.lookup) { stage in
            try await start(stage, [])
            _ = try await stage.apply(.putService(Self.service("a", ["db.test:1"])))
            try folder.write("state.json", "written by the test")
            resolver.set("db.test", ["10.0.0.2"])
            try await ControlTesting.eventually("it moves") { addresses(stage) == [["10.0.0.2:1"]] }
            #expect(try folder.text("state.json") == "written by the test")
            // The file still counts as current: a change that changes nothing does not write it either.
            _ = try await stage.apply(.putService(Self.service("a", ["db.test:1"])))
            #expect(try folder.text("state.json") == "written by the test")
        }
    }

    @Test func aStartWithoutDNSServesWhatItCan() async throws {
        let resolver = FakeResolver()
        resolver.fail("db.test", "is out of order")
        try await ControlPlaneStage.run(lookup: resolver.lookup) { stage in
            try await start(stage, [Self.service("a", ["db.test:1", "10.0.0.9:1"])])
            #expect(addresses(stage) == [["10.0.0.9:1"]])
            #expect(stage.log.lines.contains { $0.contains("db.test") && $0.contains("is out of order") })
            // Others may be changed meanwhile, and so may this one.
            var service = Self.service("a", ["db.test:1", "10.0.0.9:1"])
            service.fall = 7
            _ = try await stage.apply(.putService(service))
            await #expect(throws: ChangeRefusal.self) {
                try await stage.apply(.putService(Self.service("bb", ["gone.test:1"])))
            }
            resolver.set("db.test", ["10.0.0.1"])
            try await ControlTesting.eventually("it comes into use") {
                addresses(stage) == [["10.0.0.1:1", "10.0.0.9:1"]]
            }
        }
    }

    @Test func aFailureKeepsTheAddress() async throws {
        let resolver = FakeResolver()
        resolver.set("db.test", ["10.0.0.1"])
        try await ControlPlaneStage.run(lookup: resolver.lookup) { stage in
            try await start(stage, [Self.service("a", ["db.test:1"])])
            resolver.fail("db.test", "is out of order")
            try await ControlTesting.eventually("it is told") {
                stage.log.lines.contains { $0.contains("is out of order") }
            }
            #expect(addresses(stage) == [["10.0.0.1:1"]] && commits(stage) == 1)
        }
    }

    @Test func movesAndChangesTakeTurns() async throws {
        let resolver = FakeResolver()
        resolver.set("db.test", ["10.0.0.1"])
        try await ControlPlaneStage.run(lookup: resolver.lookup) { stage in
            try await start(stage, [Self.service("a", ["db.test:1"])])
            // The engine of the fake refuses two changes at once.
            for round in 0..<50 {
                resolver.set("db.test", ["10.0.1.\(round)"])
                var service = Self.service("a", ["db.test:1"])
                service.fall = round + 1
                _ = try await stage.apply(.putService(service))
            }
            try await ControlTesting.eventually("the last one is in use") { addresses(stage) == [["10.0.1.49:1"]] }
            #expect(await stage.plane.configuration().services.map(\.fall) == [50])
        }
    }
}

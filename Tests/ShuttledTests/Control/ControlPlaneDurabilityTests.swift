// Changes and the state file: durable before published, unchanged when it cannot be written.

import Glibc
import NIOCore
import ShuttleEngine
import Synchronization
import Testing

@testable import shuttled

@Suite struct ControlPlaneDurabilityTests {
    private typealias Stage = ControlPlaneStage
    private static let web = ControlPlaneStage.web
    private static let db = ControlPlaneStage.db

    @Test func itIsDurableBeforeItIsPublished() async throws {
        let folder = try TemporaryFolder()
        let seen = Mutex<[String]>([])
        let engine = Mutex<FakeDataPlane?>(nil)
        var state = Stage.State(path: folder.path("state.json"))
        state.calls.syncFolder = { descriptor in
            seen.withLock { $0 = engine.withLock { $0?.calls ?? [] } }
            return FileCalls.system.syncFolder(descriptor)
        }
        try await Stage.run(state: state) { stage in
            engine.withLock { $0 = stage.engine }
            _ = try await stage.apply(.putService(Self.web))
            #expect(seen.withLock { $0 } == ["prepare"], "prepared, not yet committed")
            #expect(try folder.read("state.json") == ConfigurationEncoder.bytes(of: [Self.web]))
        }
    }

    @Test func aStateThatCannotBeWrittenChangesNothing() async throws {
        let folder = try TemporaryFolder()
        let isBroken = Mutex(false)
        var state = Stage.State(path: folder.path("state.json"))
        let path = state.path
        state.calls.syncFile = { _ in isBroken.withLock { $0 } ? ENOSPC : 0 }
        try await Stage.run(state: state) { stage in
            _ = try await stage.apply(.putService(Self.web))
            let before = try folder.read("state.json")
            isBroken.withLock { $0 = true }
            let error = await #expect(throws: ChangeRefusal.self) { try await stage.apply(.putService(Self.db)) }
            guard case .notDurable(let reason) = error else {
                Issue.record("not refused as not durable: \(String(describing: error))")
                return
            }
            #expect(reason.contains("No space left") && reason.contains(path), "\(reason)")
            #expect(await stage.plane.configuration().services == [Self.web])
            #expect(stage.engine.calls == ["prepare", "commit", "prepare", "abandon"])
            #expect(try folder.read("state.json") == before)
            isBroken.withLock { $0 = false }
            _ = try await stage.apply(.putService(Self.db))
            #expect(try folder.read("state.json") == ConfigurationEncoder.bytes(of: [Self.db, Self.web]))
        }
    }

    @Test func theStateIsWrittenOnceAnythingWasAccepted() async throws {
        let folder = try TemporaryFolder()
        try await Stage.run(state: Stage.State(path: folder.path("state.json"))) { stage in
            try await stage.plane.start(with: [Self.web], isFromState: false, origin: Stage.origin)
            #expect(try folder.read("state.json") == nil, "the start changes nothing")
            _ = try await stage.apply(.putService(Self.web))
            #expect(
                try folder.read("state.json") == ConfigurationEncoder.bytes(of: [Self.web]),
                "200 means durable, also of what was so already"
            )
        }
    }

    @Test func aStateThatIsCurrentIsNotWrittenAgain() async throws {
        let folder = try TemporaryFolder()
        let writes = Mutex(0)
        var state = Stage.State(path: folder.path("state.json"))
        state.calls.syncFile = { _ in
            writes.withLock { $0 += 1 }
            return 0
        }
        try await Stage.run(state: state) { stage in
            try await stage.plane.start(with: [Self.web], isFromState: true, origin: Stage.origin)
            _ = try await stage.apply(.putService(Self.web))
            #expect(writes.withLock { $0 } == 0)
            _ = try await stage.apply(.putService(Self.db))
            _ = try await stage.apply(.putService(Self.db))
            #expect(writes.withLock { $0 } == 1)
        }
    }

    @Test func aDiskThatHangsDoesNotKeepTheProcessFromEnding() async throws {
        let folder = try TemporaryFolder()
        let mayEnd = Mutex(false)
        var state = Stage.State(path: folder.path("state.json"))
        state.calls.syncFile = { _ in
            for _ in 0..<30_000 where !mayEnd.withLock({ $0 }) {
                usleep(1000)
            }
            return mayEnd.withLock { $0 } ? 0 : EIO
        }
        try await Stage.run(state: state) { stage in
            let change = Task { try await stage.apply(.putService(Self.web)) }
            try await ControlTesting.eventually("it is being written") { stage.engine.calls == ["prepare"] }
            let start = ContinuousClock.now
            await stage.plane.drain(limit: .milliseconds(50))
            #expect(ContinuousClock.now - start < .seconds(10))
            #expect(stage.engine.calls == ["prepare", "stop accepting"])
            // And the second signal does not wait even that long.
            let drain = Task { await stage.plane.drain(limit: .hours(1)) }
            await stage.plane.cut()
            await drain.value
            mayEnd.withLock { $0 = true }
            _ = try await change.value
        }
    }
}

// The history as the control plane keeps it: what is in it after changes, restarts, and failures of its file.

import Glibc
import NIOCore
import ShuttleEngine
import Synchronization
import Testing

@testable import shuttled

@Suite struct ControlPlaneHistoryTests {
    private typealias Stage = ControlPlaneStage

    private func requests(_ stage: Stage) async -> [String] {
        await stage.plane.history(before: nil, limit: 100).entries.map(\.entry.request)
    }

    @Test func changesAreRememberedAndRefusalsAreNot() async throws {
        try await Stage.run { stage in
            let start = ChangeOrigin(peer: "no file", request: "start")
            try await stage.plane.start(with: [], isFromState: false, origin: start)
            _ = try await stage.apply(.putService(Stage.web))
            _ = try await stage.apply(.putService(Stage.web))
            _ = try? await stage.apply(.deleteService(name: "none"))
            #expect(await requests(stage) == ["PUT /web", "start"])
            #expect(await stage.plane.historyEntry(2)?.after == [Stage.web])
            #expect(await stage.plane.historyEntry(1)?.after == [])
        }
    }

    @Test func aRestartGoesOnAndNoticesWhatWasChangedMeanwhile() async throws {
        let folder = try TemporaryFolder()
        let state = Stage.State(path: folder.path("state.json"))
        let start = ChangeOrigin(peer: "state.json", request: "start")
        try await Stage.run(state: state) { stage in
            try await stage.plane.start(with: [], isFromState: true, origin: start)
            _ = try await stage.apply(.putService(Stage.web))
        }
        try await Stage.run(state: state) { stage in
            try await stage.plane.start(with: [Stage.web], isFromState: true, origin: start)
            #expect(await requests(stage) == ["PUT /web", "start"])
            _ = try await stage.apply(.putService(Stage.db))
        }
        try await Stage.run(state: state) { stage in
            try await stage.plane.start(with: [Stage.db], isFromState: true, origin: start)
            #expect(await requests(stage) == ["start", "PUT /web", "PUT /web", "start"])
            #expect(await stage.plane.historyEntry(4)?.before == [Stage.db, Stage.web])
            #expect(await stage.plane.historyEntry(4)?.after == [Stage.db])
        }
    }

    @Test func aHistoryThatCannotBeWrittenKeepsNoChangeFromBeingMade() async throws {
        let folder = try TemporaryFolder()
        let isBroken = Mutex(true)
        var state = Stage.State(path: folder.path("state.json"))
        state.historyCalls.write = { descriptor, bytes in
            isBroken.withLock { $0 } ? ENOSPC : FileCalls.system.write(descriptor, bytes)
        }
        let start = ChangeOrigin(peer: "state.json", request: "start")
        try await Stage.run(state: state) { stage in
            try await stage.plane.start(with: [], isFromState: true, origin: start)
            _ = try await stage.apply(.putService(Stage.web))
            #expect(await requests(stage) == ["PUT /web", "start"])
            #expect(stage.log.lines.contains { $0.contains("the history of changes could not be written") })
            #expect(try folder.read("state.json") == ConfigurationEncoder.bytes(of: [Stage.web]))
            #expect(try folder.read("state.json.history") == nil)
            isBroken.withLock { $0 = false }
            _ = try await stage.apply(.putService(Stage.db))
        }
        // With the next change all of it is there.
        try await Stage.run(state: state) { stage in
            try await stage.plane.start(with: [Stage.db, Stage.web], isFromState: true, origin: start)
            #expect(await requests(stage) == ["PUT /web", "PUT /web", "start"])
        }
    }

    @Test func aTornEndIsPutAsideAndTold() async throws {
        let folder = try TemporaryFolder()
        let state = Stage.State(path: folder.path("state.json"))
        let start = ChangeOrigin(peer: "state.json", request: "start")
        try await Stage.run(state: state) { stage in
            try await stage.plane.start(with: [], isFromState: true, origin: start)
            _ = try await stage.apply(.putService(Stage.web))
        }
        let whole = try #require(try folder.text("state.json.history"))
        try folder.write("state.json.history", String(whole.dropLast(20)))
        try await Stage.run(state: state) { stage in
            try await stage.plane.start(with: [Stage.web], isFromState: true, origin: start)
            // The change whose record was torn is told as what the start has found.
            #expect(await requests(stage) == ["start", "start"])
            #expect(await stage.plane.historyEntry(2)?.after == [Stage.web])
            #expect(stage.log.lines.contains { $0.contains("torn or damaged") })
            #expect(try folder.text("state.json.history.damaged").map { whole.contains($0.dropLast(1)) } == true)
        }
    }
}

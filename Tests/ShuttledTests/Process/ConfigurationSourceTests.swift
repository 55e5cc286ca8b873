// Which file a start takes its configuration from, and reading it again.

import Glibc
import Logging
import NIOCore
import ShuttleEngine
import Synchronization
import Testing

@testable import shuttled

@Suite struct ConfigurationSourceTests {
    private static let web = #"[{"name": "web", "address": ":80"}]"#
    private static let db = #"[{"name": "db", "address": ":81"}]"#

    private static func load(config: String? = nil, state: String? = nil) throws -> ConfigurationSource {
        try ConfigurationSource.load(config: config, state: state)
    }

    @Test func nothingIsNothing() throws {
        let source = try Self.load()
        #expect(source.services.isEmpty && source.file == nil && source.stateFile == nil)
    }

    @Test func theStateWinsWhereItExists() throws {
        let folder = try TemporaryFolder()
        let (config, state) = (folder.path("config.json"), folder.path("state.json"))
        try folder.write("config.json", Self.web)
        do {
            let source = try Self.load(config: config, state: state)
            #expect(source.services.map(\.name) == ["web"] && !source.isState)
        }
        try folder.write("state.json", "")
        do {
            let source = try Self.load(config: config, state: state)
            #expect(source.services.map(\.name) == ["web"] && !source.isState, "an empty state is none")
        }
        try folder.write("state.json", Self.db)
        do {
            let source = try Self.load(config: config, state: state)
            #expect(source.services.map(\.name) == ["db"] && source.isState)
        }
        try folder.write("state.json", "[]")
        let source = try Self.load(config: config, state: state)
        #expect(source.services.isEmpty && source.isState, "a state without services is a state")
    }

    @Test(arguments: ["[{]", "[{\"name\": \"web\", \"adress\": \":80\"}]", "{}"])
    func aStateThatCannotBeUsedIsRefusedAndKept(_ text: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("config.json", Self.web)
        try folder.write("state.json", text)
        let failure = #expect(throws: StartFailure.self) {
            try Self.load(config: folder.path("config.json"), state: folder.path("state.json"))
        }
        #expect(failure?.status == .badConfiguration)
        #expect(failure?.lines.allSatisfy { $0.hasPrefix("\(folder.path("state.json")):1:") } == true)
        #expect(try folder.text("state.json") == text)
    }

    @Test func aDefaultThatCannotBeUsedIsRefused() throws {
        let folder = try TemporaryFolder()
        let failure = #expect(throws: StartFailure.self) { try Self.load(config: folder.path("none.json")) }
        #expect(failure?.status == .badConfiguration)
    }

    @Test func aStateInUseIsRefused() throws {
        let folder = try TemporaryFolder()
        let first = try Self.load(state: folder.path("state.json"))
        let failure = #expect(throws: StartFailure.self) { try Self.load(state: folder.path("state.json")) }
        #expect(failure?.status == .badConfiguration)
        #expect(failure?.lines.first?.contains("another shuttled") == true)
        withExtendedLifetime(first) {}
    }

    @Test func refusalsHaveTheirPlaceInTheFile() throws {
        let folder = try TemporaryFolder()
        try folder.write("config.json", Self.web)
        let source = try Self.load(config: folder.path("config.json"))
        let issue = ConfigurationIssue(pointer: "/0/address", detail: "is taken")
        #expect(
            source.failure(.addressInUse([issue]))
                == StartFailure(.cannotListen, "\(folder.path("config.json")):1:18: /0/address: is taken")
        )
        #expect(source.failure(.cannotListen([issue])).status == .cannotListen)
        #expect(source.failure(.invalid([issue])).status == .badConfiguration)
    }

    @Test func thatChangesAreLostIsSaidOnceWithoutAState() throws {
        let folder = try TemporaryFolder()
        let log = LogCollector()
        try Self.load().tell(log.logger())
        #expect(log.lines.count { $0.contains("no -state file") } == 1)
        let other = LogCollector()
        try Self.load(state: folder.path("state.json")).tell(other.logger())
        #expect(other.lines.isEmpty)
    }
}

@Suite struct ConfigurationReloadTests {
    private static func reload(
        _ folder: TemporaryFolder, _ stage: ControlPlaneStage, state: String? = nil, config: String? = "config.json"
    ) -> ConfigurationReload {
        ConfigurationReload(
            control: stage.plane, thread: FileThread(loop: stage.loop), configPath: config.map(folder.path),
            statePath: state, logger: stage.log.logger()
        )
    }

    @Test func theFileReplacesEverything() async throws {
        let folder = try TemporaryFolder()
        try await ControlPlaneStage.run { stage in
            _ = try await stage.apply(.putService(ControlPlaneStage.web))
            try folder.write("config.json", #"{"services": [{"name": "new", "address": ":81"}]}"#)
            await Self.reload(folder, stage).run()
            #expect(await stage.plane.configuration().services.map(\.name) == ["new"])
            #expect(stage.log.lines.contains { $0.contains("configuration reloaded") })
        }
    }

    @Test(arguments: ["[{]", #"[{"name": "a", "address": ":80"}, {"name": "b", "address": "127.0.0.1:80"}]"#])
    func aFileThatCannotBeUsedChangesNothing(_ text: String) async throws {
        let folder = try TemporaryFolder()
        try await ControlPlaneStage.run { stage in
            _ = try await stage.apply(.putService(ControlPlaneStage.web))
            try folder.write("config.json", text)
            await Self.reload(folder, stage).run()
            #expect(await stage.plane.configuration().services == [ControlPlaneStage.web])
            let line = try #require(stage.log.lines.first { $0.contains("not reloaded") })
            #expect(line.contains(" error ") && line.contains("\(folder.path("config.json")):1:"))
        }
    }

    @Test func anAddressInUseChangesNothing() async throws {
        let folder = try TemporaryFolder()
        try await ControlPlaneStage.run { stage in
            try folder.write("config.json", #"[{"name": "new", "address": ":81"}]"#)
            stage.engine.state.withLock { $0.listenFailures = ["new": EADDRINUSE] }
            await Self.reload(folder, stage).run()
            #expect(await stage.plane.configuration().services.isEmpty)
            #expect(stage.log.lines.contains { $0.contains(":1:18: /0/address") })
        }
    }

    @Test func aPipeIsNotReadAgain() async throws {
        let folder = try TemporaryFolder()
        try #require(mkfifo(folder.path("config.json"), 0o600) == 0)
        try await ControlPlaneStage.run { stage in
            // Nobody writes to it: opening it like a file would wait for ever.
            await Self.reload(folder, stage).run()
            #expect(stage.log.lines.contains { $0.contains("not reloaded") && $0.contains("regular file") })
        }
    }

    @Test func whereThereIsAStateItIsIgnored() async throws {
        let folder = try TemporaryFolder()
        try await ControlPlaneStage.run { stage in
            try folder.write("config.json", #"[{"name": "new", "address": ":81"}]"#)
            await Self.reload(folder, stage, state: "state.json").run()
            await Self.reload(folder, stage, config: nil).run()
            #expect(await stage.plane.configuration().services.isEmpty)
            #expect(stage.log.lines.count { $0.contains("warning SIGHUP ignored") } == 2)
        }
    }
}

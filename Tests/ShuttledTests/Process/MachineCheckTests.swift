// What `-check` says of files.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct MachineCheckTests {
    private static func check(config: String?, state: String?) async -> MachineCheck {
        var check = MachineCheck()
        await check.checkFiles(
            config: config, state: state, lookup: ControlTesting.lookup(["db.test": .loopbackIPv4(port: 0)])
        )
        return check
    }

    @Test func goodFiles() async throws {
        let folder = try TemporaryFolder()
        try folder.write("config.json", #"[{"name": "web", "address": ":80"}]"#)
        let check = await Self.check(config: folder.path("config.json"), state: folder.path("state.json"))
        #expect(check.isGood)
        #expect(check.lines.count == 2)
        #expect(check.lines[1].contains("no state yet"))
        #expect(try folder.names == ["config.json"], "nothing was written or locked")
    }

    @Test func everyProblemOfBothFiles() async throws {
        let folder = try TemporaryFolder()
        try folder.write("config.json", #"[{"name": "web", "address": "80", "fall": 0}]"#)
        try folder.write("state.json", "[\n,]")
        let check = await Self.check(config: folder.path("config.json"), state: folder.path("state.json"))
        #expect(!check.isGood)
        #expect(check.lines.count == 3)
        #expect(check.lines[0].hasPrefix("\(folder.path("config.json")):1:18: /0/address: "))
        #expect(check.lines[1].hasPrefix("\(folder.path("config.json")):1:35: /0/fall: "))
        #expect(check.lines[2].hasPrefix("\(folder.path("state.json")):2:1: "))
    }

    @Test(arguments: [
        #"[{"name": "a", "address": ":80"}, {"name": "b", "address": "127.0.0.1:80"}]"#,
        #"[{"name": "a", "address": "gone.test:80"}]"#,
    ])
    func whatOnlyTheMachineKnows(_ text: String) async throws {
        let folder = try TemporaryFolder()
        try folder.write("config.json", text)
        let check = await Self.check(config: folder.path("config.json"), state: nil)
        #expect(!check.isGood)
        #expect(check.lines.contains { $0.contains("/0/address") })
    }

    @Test func aFileInUseCanBeChecked() async throws {
        let folder = try TemporaryFolder()
        let file = try StateFile(opening: folder.path("state.json"))
        try file.replace(with: Array("[]".utf8))
        #expect(await Self.check(config: nil, state: folder.path("state.json")).isGood)
        withExtendedLifetime(file) {}
    }
}

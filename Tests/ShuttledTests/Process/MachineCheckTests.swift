// What `-check` says of files.

import Glibc
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

    /// A start leaves such a backend, or its checks, out and waits for nobody: it must not be kept from being tried.
    @Test func aNameThatDoesNotResolveIsAWarning() async throws {
        let folder = try TemporaryFolder()
        let backends =
            #"[{"name": "a", "address": "gone.test:80"}, "#
            + #"{"name": "b", "address": "db.test:80", "check_address": "gone.test:81"}]"#
        try folder.write("config.json", #"[{"name": "web", "address": ":80", "backends": "# + backends + "}]")
        let check = await Self.check(config: folder.path("config.json"), state: nil)
        #expect(check.isGood)
        #expect(check.lines.count == 3, "\(check.lines)")
        for (line, pointer) in zip(check.lines.dropFirst(), ["/0/backends/0/address", "/0/backends/1/check_address"]) {
            #expect(line.contains(":1:") && line.contains("\(pointer): ") && line.contains("gone.test"))
            #expect(line.contains("a warning: "))
        }
    }

    /// The other problems of a file count as before.
    @Test func aWarningHidesNoProblem() async throws {
        let folder = try TemporaryFolder()
        let backends = #"[{"name": "a", "address": "gone.test:80"}]"#
        try folder.write("config.json", #"[{"name": "web", "address": "gone.test:80", "backends": "# + backends + "}]")
        let check = await Self.check(config: folder.path("config.json"), state: nil)
        #expect(!check.isGood)
        #expect(check.lines.contains { $0.contains("/0/address: ") && !$0.contains("a warning") }, "\(check.lines)")
    }

    @Test func tokens() throws {
        let folder = try TemporaryFolder()
        try folder.write("tokens", "ci write 0123456789abcdef0123456789abcdef\nb read short")
        try #require(chmod(folder.path("tokens"), 0o600) == 0)
        var check = MachineCheck()
        check.checkTokens(folder.path("tokens"), onUnixSocket: false)
        #expect(!check.isGood)
        #expect(check.lines.count == 1 && check.lines[0].hasPrefix("\(folder.path("tokens")):2: the token has 5"))
        try folder.write("tokens", "ci write 0123456789abcdef0123456789abcdef\n")
        try #require(chmod(folder.path("tokens"), 0o600) == 0)
        check = MachineCheck()
        check.checkTokens(folder.path("tokens"), onUnixSocket: false)
        #expect(check.isGood)
        #expect(check.lines == ["\(folder.path("tokens")): valid tokens: 1 (read: 0, operate: 0, write: 1)"])
    }

    @Test func aFileInUseCanBeChecked() async throws {
        let folder = try TemporaryFolder()
        let file = try StateFile(opening: folder.path("state.json"))
        try file.replace(with: Array("[]".utf8))
        #expect(await Self.check(config: nil, state: folder.path("state.json")).isGood)
        withExtendedLifetime(file) {}
    }
}

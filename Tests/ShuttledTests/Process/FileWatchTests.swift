// When a watched file is read again: as it changes, once, and not for what happens beside it.

import Glibc
import NIOCore
import Testing

@testable import shuttled

@Suite struct FileWatchTests {
    /// A watch of `config.json` in a folder of its own; `reads` has an entry for each time it was read again.
    private static func run(
        wasRead: Bool = true,
        _ body: @escaping @Sendable (_ folder: TemporaryFolder, _ reads: LogCollector.Texts) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        try folder.write("config.json", "one")
        let path = folder.path("config.json")
        let identity = wasRead ? FileIdentity(of: path) : nil
        try await ControlTesting.onLoop { loop in
            let reads = LogCollector.Texts()
            let watch = FileWatch(
                path: path, kind: "configuration file", seen: identity, loop: loop, thread: FileThread(loop: loop),
                logger: LogCollector().logger()
            ) { reads.add("read") }
            await watch.start()
            do {
                try await body(folder, reads)
            } catch {
                await watch.stop()
                throw error
            }
            await watch.stop()
        }
    }

    @Test func aChangeIsReadOnce() async throws {
        try await Self.run { folder, reads in
            #expect(reads.all.isEmpty, "it was read at the start")
            try folder.write("config.json", "two, which is longer")
            try await ControlTesting.eventually("it is read") { reads.all.count == 1 }
            try folder.write("beside.json", "nothing")
            try folder.write("config.json", "three, which is still longer")
            try await ControlTesting.eventually("it is read again") { reads.all.count == 2 }
        }
    }

    /// Between its being read at the start and its being watched.
    @Test func aChangeBeforeTheWatchIsNotMissed() async throws {
        try await Self.run(wasRead: false) { _, reads in
            try await ControlTesting.eventually("it is read") { reads.all.count == 1 }
        }
    }

    @Test func aFileThatIsGoneAndComesBackIsRead() async throws {
        try await Self.run { folder, reads in
            try #require(unlink(folder.path("config.json")) == 0)
            try await ControlTesting.eventually("that it is gone is noticed") { reads.all.count == 1 }
            try folder.write("config.json", "two")
            try await ControlTesting.eventually("that it is back is noticed") { reads.all.count == 2 }
        }
    }

    /// A file that may be read by others again may have become a usable one.
    @Test func whoMayReadItCounts() async throws {
        try await Self.run { folder, reads in
            try #require(chmod(folder.path("config.json"), 0o600) == 0)
            try await ControlTesting.eventually("it is read") { reads.all.count == 1 }
        }
    }

    @Test func foldersOfPaths() {
        for (path, folder) in [
            ("config.json", "."), ("./config.json", "."), ("/config.json", "/"),
            ("/etc/shuttle/c.json", "/etc/shuttle"),
        ] {
            #expect(FileNotifications.folder(of: path) == folder)
        }
    }
}

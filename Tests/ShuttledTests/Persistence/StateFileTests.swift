// The state file: replaced whole or not at all, whoever fails; one process at a time; links, modes, leftovers.

import Glibc
import NIOCore
import Synchronization
import Testing

@testable import shuttled

@Suite struct StateFileTests {
    private static let old = Array("old\n".utf8)
    private static let new = Array("new content\n".utf8)

    @Test func aNewFileIsItsOwnersAlone() throws {
        let folder = try TemporaryFolder()
        let file = try StateFile(opening: folder.path("state.json"))
        #expect(try file.read() == nil)
        try file.replace(with: Self.new)
        #expect(try folder.read("state.json") == Self.new)
        #expect(try file.read() == Self.new)
        #expect(try folder.mode("state.json") == 0o600)
        #expect(try folder.names == [".state.json.shuttled.lock", "state.json"])
    }

    @Test(arguments: [0o600, 0o640, 0o664, 0o444])
    func theModeOfTheFileIsKept(_ mode: Int) throws {
        let folder = try TemporaryFolder()
        try folder.write("state.json", "old\n")
        try #require(chmod(folder.path("state.json"), mode_t(mode)) == 0)
        try StateFile(opening: folder.path("state.json")).replace(with: Self.new)
        #expect(try folder.mode("state.json") == mode)
    }

    @Test func anEmptyFileIsNoState() throws {
        let folder = try TemporaryFolder()
        try folder.write("state.json", "")
        #expect(try StateFile(opening: folder.path("state.json")).read() == nil)
    }

    @Test func largeContentIsWrittenWhole() throws {
        let folder = try TemporaryFolder()
        let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let file = try StateFile(opening: folder.path("state.json"))
        try file.replace(with: bytes)
        #expect(try file.read() == bytes)
        try file.replace(with: Self.new)
        #expect(try file.read() == Self.new)
    }

    @Test func theOrderOfStepsIsTheOneThatIsDurable() throws {
        let folder = try TemporaryFolder()
        let steps = LogCollector.Texts()
        let system = FileCalls.system
        let calls = FileCalls(
            write: { descriptor, bytes in
                steps.add("write")
                return system.write(descriptor, bytes)
            },
            syncFile: { descriptor in
                steps.add("sync file")
                return system.syncFile(descriptor)
            },
            rename: { from, to in
                steps.add("rename")
                return system.rename(from, to)
            },
            syncFolder: { descriptor in
                steps.add("sync folder")
                return system.syncFolder(descriptor)
            }
        )
        try StateFile(opening: folder.path("state.json"), calls: calls).replace(with: Self.new)
        #expect(steps.all == ["write", "sync file", "rename", "sync folder"])
    }

    // MARK: Failures

    enum Step: CaseIterable, Sendable { case write, syncFile, rename, syncFolder }

    private static func calls(failing step: Step, times: Int = .max) -> FileCalls {
        let left = Mutex(times)
        @Sendable func fails() -> Bool {
            left.withLock { left in
                left -= 1
                return left >= 0
            }
        }
        var calls = FileCalls.system
        switch step {
        case .write:
            calls.write = { descriptor, bytes in
                // Half of it, then the disk is full.
                _ = FileCalls.system.write(descriptor, Array(bytes.prefix(bytes.count / 2)))
                return fails() ? ENOSPC : 0
            }
        case .syncFile: calls.syncFile = { fails() ? EIO : FileCalls.system.syncFile($0) }
        case .rename: calls.rename = { fails() ? EIO : FileCalls.system.rename($0, $1) }
        case .syncFolder: calls.syncFolder = { fails() ? EIO : FileCalls.system.syncFolder($0) }
        }
        return calls
    }

    @Test(arguments: Step.allCases)
    func afterAFailureTheOldContentIsThere(_ step: Step) throws {
        let folder = try TemporaryFolder()
        try folder.write("state.json", "old\n")
        let file = try StateFile(opening: folder.path("state.json"), calls: Self.calls(failing: step))
        let failure = #expect(throws: FileFailure.self) { try file.replace(with: Self.new) }
        #expect(failure?.code == (step == .write ? ENOSPC : EIO))
        #expect(failure?.description.contains("refused") == false, "the old content is back: \(failure!)")
        #expect(try folder.read("state.json") == Self.old)
        #expect(try folder.names == [".state.json.shuttled.lock", "state.json"], "nothing is left beside it")
    }

    @Test(arguments: Step.allCases)
    func afterAFailureThereIsStillNoFileWhereThereWasNone(_ step: Step) throws {
        let folder = try TemporaryFolder()
        let file = try StateFile(opening: folder.path("state.json"), calls: Self.calls(failing: step))
        #expect(throws: FileFailure.self) { try file.replace(with: Self.new) }
        #expect(try folder.names == [".state.json.shuttled.lock"])
    }

    @Test(arguments: Step.allCases)
    func aFailureThatPassesIsForgotten(_ step: Step) throws {
        let folder = try TemporaryFolder()
        let file = try StateFile(opening: folder.path("state.json"), calls: Self.calls(failing: step, times: 1))
        #expect(throws: FileFailure.self) { try file.replace(with: Self.old) }
        if step != .write {
            try file.replace(with: Self.new)
            #expect(try file.read() == Self.new)
        }
    }

    @Test func oldContentThatCannotBePutBackIsSaid() throws {
        let folder = try TemporaryFolder()
        try folder.write("state.json", "old\n")
        var calls = FileCalls.system
        let renames = Mutex(0)
        calls.rename = { from, to in
            let count = renames.withLock { count in
                count += 1
                return count
            }
            return count == 1 ? FileCalls.system.rename(from, to) : EIO
        }
        calls.syncFolder = { _ in EIO }
        let file = try StateFile(opening: folder.path("state.json"), calls: calls)
        let failure = #expect(throws: FileFailure.self) { try file.replace(with: Self.new) }
        #expect(failure?.description.contains("now holds the configuration that was refused") == true)
    }

    @Test func aFolderThatIsGoneIsAFailure() throws {
        let folder = try TemporaryFolder()
        try folder.makeFolder("sub")
        let file = try StateFile(opening: folder.path("sub/state.json"))
        try #require(unlink(folder.path("sub/.state.json.shuttled.lock")) == 0)
        try #require(rmdir(folder.path("sub")) == 0)
        let failure = #expect(throws: FileFailure.self) { try file.replace(with: Self.new) }
        #expect(failure?.code == ENOENT)
        try folder.makeFolder("sub")
        try file.replace(with: Self.new)
        #expect(try folder.read("sub/state.json") == Self.new, "it works again when the folder is back")
    }

    // MARK: Opening

    @Test func leftoversOfACrashAreRemoved() throws {
        let folder = try TemporaryFolder()
        try folder.write(".state.json.shuttled.tmp", "torn")
        try folder.write("state.json", "old\n")
        let file = try StateFile(opening: folder.path("state.json"))
        #expect(try folder.names == [".state.json.shuttled.lock", "state.json"])
        #expect(try file.read() == Self.old)
    }

    @Test func aLeftoverLinkIsNotFollowed() throws {
        let folder = try TemporaryFolder()
        try folder.write("precious", "precious")
        let file = try StateFile(opening: folder.path("state.json"))
        try #require(symlink(folder.path("precious"), folder.path(".state.json.shuttled.tmp")) == 0)
        try file.replace(with: Self.new)
        #expect(try folder.text("precious") == "precious")
        #expect(try folder.read("state.json") == Self.new)
    }

    @Test func oneProcessAtATime() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("state.json")
        var first: StateFile? = try StateFile(opening: path)
        // flock(2) is of the open file, so that a second opening in this process is refused like one of another.
        let failure = #expect(throws: FileFailure.self) { try StateFile(opening: path) }
        #expect(failure?.description.contains("another shuttled has this state file") == true)
        try first?.replace(with: Self.new)
        #expect(throws: FileFailure.self) { try StateFile(opening: path) }
        _ = try StateFile(opening: folder.path("other.json"))
        first = nil
        _ = try StateFile(opening: path)
    }

    @Test func theLockIsOnWhatALinkLeadsTo() throws {
        let folder = try TemporaryFolder()
        try #require(symlink("state.json", folder.path("link.json")) == 0)
        let first = try StateFile(opening: folder.path("state.json"))
        #expect(throws: FileFailure.self) { try StateFile(opening: folder.path("link.json")) }
        withExtendedLifetime(first) {}
    }

    @Test func aLinkStaysALink() throws {
        let folder = try TemporaryFolder()
        try folder.makeFolder("real")
        try folder.makeFolder("links")
        try folder.write("real/state.json", "old\n")
        try #require(symlink("../real/state.json", folder.path("links/second.json")) == 0)
        try #require(symlink(folder.path("links/second.json"), folder.path("first.json")) == 0)
        let file = try StateFile(opening: folder.path("first.json"))
        #expect(try file.read() == Self.old)
        try file.replace(with: Self.new)
        #expect(try folder.read("real/state.json") == Self.new)
        #expect(try file.read() == Self.new)
        var buffer = [CChar](repeating: 0, count: 64)
        #expect(readlink(folder.path("links/second.json"), &buffer, 64) > 0, "still a link")
    }

    @Test func aLinkToNothingYetIsFollowed() throws {
        let folder = try TemporaryFolder()
        try folder.makeFolder("real")
        try #require(symlink("real/state.json", folder.path("state.json")) == 0)
        try StateFile(opening: folder.path("state.json")).replace(with: Self.new)
        #expect(try folder.read("real/state.json") == Self.new)
    }

    @Test func pathsThatCannotBeAreRefusedAtTheStart() throws {
        let folder = try TemporaryFolder()
        try folder.makeFolder("sub")
        try #require(symlink("loop", folder.path("loop")) == 0)
        try #require(mkfifo(folder.path("pipe"), 0o600) == 0)
        for (path, code) in [
            (folder.path("missing/state.json"), ENOENT), (folder.path("loop"), ELOOP), (folder.path("sub/"), EISDIR),
            (folder.path(String(repeating: "n", count: 250)), ENAMETOOLONG), (folder.path(".."), EISDIR),
        ] {
            let failure = #expect(throws: FileFailure.self) { try StateFile(opening: path) }
            #expect(failure?.code == code, "\(path): \(String(describing: failure))")
        }
        for path in [folder.path("sub"), folder.path("pipe")] {
            let file = try StateFile(opening: path)
            #expect(throws: FileFailure.self) { try file.read() }
            #expect(throws: FileFailure.self) { try file.replace(with: Self.new) }
        }
    }

    @Test func savingDoesNotHoldUpTheLoop() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("state.json")
        try await ControlTesting.onLoop { loop in
            let mayEnd = Mutex(false)
            var calls = FileCalls.system
            calls.syncFile = { _ in
                // Until the loop has been seen at work; the deadline is for a loop that is held up.
                for _ in 0..<10_000 where !mayEnd.withLock({ $0 }) {
                    usleep(1000)
                }
                return mayEnd.withLock { $0 } ? 0 : EIO
            }
            let store = StateStore(file: try StateFile(opening: path, calls: calls), thread: FileThread(loop: loop))
            async let saved: Void = store.save { Self.new }
            await loop.pause(.milliseconds(20))
            mayEnd.withLock { $0 = true }
            try await saved
        }
        #expect(try folder.read("state.json") == Self.new)
    }
}

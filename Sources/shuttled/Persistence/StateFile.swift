// Owns the state file: who may use it, reading it, and replacing it so that a crash at any moment leaves either the old
// or the new content, whole.
// Leaves to others: what is in it (ConfigurationFile), and keeping its blocking calls off the loop (StateStore).

import Glibc
import SystemPackage

/// The file that every accepted change is written to before it is answered.
///
/// All of it blocks. One process has the file at a time: it holds a lock on `.NAME.shuttled.lock` beside it, which the
/// kernel takes back when the process ends, however it ends. The lock is not on the state file itself, because that is
/// replaced at each change, and not on the folder, because instances may share one. The empty lock file stays:
/// removing it would let two processes lock two files of the same name.
final class StateFile: Sendable {
    /// As the user wrote it.
    let path: String
    /// Where the file really is: symbolic links are followed once, so that a change replaces their target.
    let folder: String
    let name: String

    private let calls: FileCalls
    private let lockDescriptor: Int32

    private static let suffixLengthMax = ".shuttled.lock".utf8.count + 1

    /// Finds the file, takes its lock, and removes what a crashed process left beside it.
    init(opening path: String, calls: FileCalls = .system) throws(FileFailure) {
        let target = try StateFile.target(of: path)
        self.path = path
        self.folder = target.folder
        self.name = target.name
        self.calls = calls
        self.lockDescriptor = try StateFile.lock(folder: target.folder, name: target.name, path: path)
        try removeLeftover()
    }

    deinit {
        close(lockDescriptor)
    }

    /// The file's content, or nil when there is none: it does not exist or has no bytes, as one that was made with
    /// `touch` so that it has the right owner.
    func read() throws(FileFailure) -> [UInt8]? {
        try StateFile.read(path)
    }

    /// As `read()`, without having the file to oneself.
    static func read(_ path: String) throws(FileFailure) -> [UInt8]? {
        let bytes = try FileReading.bytes(of: path, regularOnly: true)
        return bytes?.isEmpty == true ? nil : bytes
    }

    /// Replaces the content. When this returns, it survives a loss of power; when it throws, the old content is there.
    func replace(with bytes: [UInt8]) throws(FileFailure) {
        let old = open(targetPath, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        if old < 0, errno != ENOENT {
            throw FileFailure("open", targetPath, code: errno)
        }
        // Also keeps the old content reachable should it have to come back.
        defer {
            if old >= 0 {
                close(old)
            }
        }
        try writeTemporary(bytes, like: old)
        try rename()
        let code = syncFolder()
        if code != 0 {
            throw putBack(old, after: code)
        }
    }

    // MARK: Steps of a replacement

    private var targetPath: String { "\(folder)/\(name)" }
    private var temporaryPath: String { "\(folder)/.\(name).shuttled.tmp" }

    /// Writes a temporary file beside the target, with the mode and owner of the file it is to replace.
    private func writeTemporary(_ bytes: [UInt8], like old: Int32) throws(FileFailure) {
        let descriptor = try createTemporary()
        var failure: FileFailure?
        if let adoption = adopt(old, descriptor) {
            failure = adoption
        } else if case let code = calls.write(descriptor, bytes), code != 0 {
            failure = FileFailure("write", temporaryPath, code: code)
        } else if case let code = calls.syncFile(descriptor), code != 0 {
            failure = FileFailure("sync", temporaryPath, code: code)
        }
        // close(2) reports late write errors of network file systems.
        if close(descriptor) != 0, errno != EINTR, failure == nil {
            failure = FileFailure("close", temporaryPath, code: errno)
        }
        if let failure {
            unlink(temporaryPath)
            throw failure
        }
    }

    private func createTemporary() throws(FileFailure) -> Int32 {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        var descriptor = open(temporaryPath, flags, 0o600)
        if descriptor < 0, errno == EEXIST {
            // Left by a failure of our own: with the lock held it is nobody else's.
            try removeLeftover()
            descriptor = open(temporaryPath, flags, 0o600)
        }
        guard descriptor >= 0 else {
            throw FileFailure("create", temporaryPath, code: errno)
        }
        return descriptor
    }

    /// Gives the new file the mode and, where we may, the owner of the old one.
    private func adopt(_ old: Int32, _ descriptor: Int32) -> FileFailure? {
        guard old >= 0 else {
            return nil
        }
        let status: Stat
        let own: Stat
        do throws(Errno) {
            status = try FileDescriptor(rawValue: old).stat()
            own = try FileDescriptor(rawValue: descriptor).stat()
        } catch {
            return FileFailure("examine", targetPath, code: error.rawValue)
        }
        guard status.type == .regular else {
            return FileFailure(
                "replace", targetPath, code: EINVAL, remedy: "it is not a regular file; name a regular file"
            )
        }
        let hasOtherOwner = own.userID != status.userID || own.groupID != status.groupID
        // A process without the privilege keeps the file as its own: it could write the old one, it may replace it.
        if hasOtherOwner, fchown(descriptor, status.userID.rawValue, status.groupID.rawValue) != 0, errno != EPERM {
            return FileFailure("set the owner of", temporaryPath, code: errno)
        }
        guard fchmod(descriptor, mode_t(status.permissions.rawValue)) == 0 else {
            return FileFailure("set the mode of", temporaryPath, code: errno)
        }
        return nil
    }

    private func rename() throws(FileFailure) {
        let code = calls.rename(temporaryPath, targetPath)
        guard code == 0 else {
            unlink(temporaryPath)
            throw FileFailure("replace", targetPath, code: code)
        }
    }

    private func syncFolder() -> Int32 {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            return errno
        }
        defer { close(descriptor) }
        return calls.syncFolder(descriptor)
    }

    /// The rename has happened, but may not survive; the change will be refused, so the old content has to come back.
    private func putBack(_ old: Int32, after code: Int32) -> FileFailure {
        let failure = FileFailure("sync", folder, code: code)
        if old < 0 {
            guard unlink(targetPath) == 0 else {
                return unrestored(failure, FileFailure("remove", targetPath, code: errno))
            }
            return failure
        }
        do throws(FileFailure) {
            let bytes = try FileReading.bytes(of: "/proc/self/fd/\(old)") ?? []
            try writeTemporary(bytes, like: old)
            try rename()
        } catch {
            return unrestored(failure, error)
        }
        return failure
    }

    private func unrestored(_ failure: FileFailure, _ second: FileFailure) -> FileFailure {
        FileFailure(
            failure.action, failure.path, code: failure.code,
            remedy: "the file now holds the configuration that was refused, because the old one could not be put back "
                + "(\(second)); a change that succeeds, or a restart after mending the file, sets this right"
        )
    }

    private func removeLeftover() throws(FileFailure) {
        guard unlink(temporaryPath) == 0 || errno == ENOENT else {
            throw FileFailure("remove", temporaryPath, code: errno)
        }
    }

    // MARK: Finding and locking

    /// The folder and name of the file that `path` leads to, whether it exists or not.
    private static func target(of path: String) throws(FileFailure) -> (folder: String, name: String) {
        var path = path
        // As many links as the kernel follows.
        for _ in 0..<40 {
            let slash = path.lastIndex(of: "/")
            let name = String(slash.map { path[path.index(after: $0)...] } ?? path[...])
            let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
            guard !name.isEmpty, name != ".", name != ".." else {
                throw FileFailure("use", path, code: EISDIR)
            }
            guard name.utf8.count + suffixLengthMax <= Int(NAME_MAX) else {
                throw FileFailure("use", path, code: ENAMETOOLONG)
            }
            guard let resolved = realpath(parent, nil) else {
                throw FileFailure("find the folder of", path, code: errno)
            }
            defer { free(resolved) }
            let folder = String(cString: resolved)
            guard let link = try link(at: "\(folder)/\(name)") else {
                return (folder == "/" ? "" : folder, name)
            }
            path = link.hasPrefix("/") ? link : "\(folder)/\(link)"
        }
        throw FileFailure("follow the links of", path, code: ELOOP)
    }

    /// Where a symbolic link points to; nil for everything else.
    private static func link(at path: String) throws(FileFailure) -> String? {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, count in
            let length = buffer.withMemoryRebound(to: CChar.self) { readlink(path, $0.baseAddress!, $0.count) }
            failure = length < 0 ? errno : 0
            count = max(0, length)
        }
        switch failure {
        case 0: return String(decoding: bytes, as: UTF8.self)
        case EINVAL, ENOENT: return nil
        default: throw FileFailure("examine", path, code: failure)
        }
    }

    private static func lock(folder: String, name: String, path: String) throws(FileFailure) -> Int32 {
        let lockPath = "\(folder)/.\(name).shuttled.lock"
        let descriptor = open(lockPath, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw FileFailure("create", lockPath, code: errno)
        }
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            if code == EINTR {
                continue
            }
            close(descriptor)
            if code == EWOULDBLOCK {
                throw FileFailure(
                    "use", path, code: code,
                    remedy: "another shuttled has this state file; stop it, or give this one a file of its own"
                )
            }
            throw FileFailure("lock", lockPath, code: code)
        }
        return descriptor
    }
}

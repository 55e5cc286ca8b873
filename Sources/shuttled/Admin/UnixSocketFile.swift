// Owns the file of a unix socket: who may open it, replacing what a killed process left, removing it in the end.
// Leaves to others: TCP addresses and handing the descriptor on (AdminListener).

import Glibc
import ShuttleEngine
import Synchronization

/// The file at the path of a listening unix socket.
final class UnixSocketFile: Sendable {
    let path: String
    /// The file that was made here: another process may since have put its own in its place.
    private let identity = Mutex<FileIdentity?>(nil)

    /// File systems use the numbers of removed files again, hence the kind and the time as well.
    private struct FileIdentity: Equatable {
        var device: dev_t
        var inode: ino_t
        var mode: mode_t
        var changeSeconds: time_t
        var changeNanoseconds: Int
    }

    init(path: String) {
        self.path = path
    }

    /// Binds and listens at the path; the file is for its owner and group only from its first moment on.
    func open(backlog: Int32) throws(AdminListenFailure) -> Int32 {
        try removeStale()
        let descriptor = try UnixSocketFile.socket(for: path)
        // bind(2) takes the file's mode from the umask, which belongs to the whole process: this runs before any
        // thread that makes files.
        let umaskBefore = umask(0o077)
        let result = UnixSocketFile.withAddress(of: path) { bind(descriptor, $0, $1) }
        let code = errno
        umask(umaskBefore)
        guard result == 0 else {
            close(descriptor)
            throw failure(code, "bind")
        }
        guard chmod(path, 0o660) == 0, listen(descriptor, backlog) == 0 else {
            let code = errno
            unlink(path)
            close(descriptor)
            throw failure(code, "chmod")
        }
        identity.withLock { $0 = UnixSocketFile.identity(at: path) }
        return descriptor
    }

    /// Removes the file if it is still the one that was made here.
    func remove() {
        identity.withLock { identity in
            if let made = identity, made == UnixSocketFile.identity(at: path) {
                unlink(path)
            }
            identity = nil
        }
    }

    /// A process that was killed leaves its file behind, and bind(2) fails on any file. Only a socket that nobody
    /// listens on is ours to remove.
    private func removeStale() throws(AdminListenFailure) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            // Not there; and where the folder is missing or closed to us, bind(2) says so.
            return
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw AdminListenFailure(
                cause: .occupied,
                description: "cannot listen on unix:\(path) for the admin API: there is a file which is not a socket; "
                    + "move it away or choose another path with -http"
            )
        }
        let probe = try UnixSocketFile.socket(for: path)
        defer { close(probe) }
        let result = UnixSocketFile.withAddress(of: path) { connect(probe, $0, $1) }
        // The probe does not block: EAGAIN says that the listener's queue is full, hence that there is one.
        switch result == 0 ? 0 : errno {
        case ECONNREFUSED:
            guard unlink(path) == 0 || errno == ENOENT else {
                throw failure(errno, "unlink")
            }
        case ENOENT:
            return
        case 0, EAGAIN, EINPROGRESS:
            throw AdminListenFailure(
                cause: .occupied,
                description: "cannot listen on unix:\(path) for the admin API: another program listens there; stop it "
                    + "or choose another path with -http"
            )
        case let code:
            throw failure(code, "connect")
        }
    }

    private func failure(_ code: Int32, _ call: String) -> AdminListenFailure {
        let cause = String(cString: strerror(code))
        let remedy: String
        switch code {
        case ENOENT: remedy = "; create its folder first"
        case EACCES, EPERM: remedy = "; this user may not write to its folder"
        case EROFS: remedy = "; choose a path on a file system that can be written to"
        default: remedy = ""
        }
        return AdminListenFailure(
            cause: .system(code),
            description: "cannot listen on unix:\(path) for the admin API: \(call): \(cause)\(remedy)"
        )
    }

    private static func socket(for path: String) throws(AdminListenFailure) -> Int32 {
        let descriptor = Glibc.socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0
        )
        guard descriptor >= 0 else {
            let code = errno
            throw AdminListenFailure(
                cause: .system(code),
                description: "cannot listen on unix:\(path) for the admin API: socket: \(String(cString: strerror(code)))"
            )
        }
        return descriptor
    }

    private static func identity(at path: String) -> FileIdentity? {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            return nil
        }
        return FileIdentity(
            device: status.st_dev, inode: status.st_ino, mode: status.st_mode, changeSeconds: status.st_ctim.tv_sec,
            changeNanoseconds: status.st_ctim.tv_nsec
        )
    }

    private static func withAddress<Result>(
        of path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        precondition(path.utf8.count <= AdminAddress.pathLengthMax, "checked by AdminAddress")
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}

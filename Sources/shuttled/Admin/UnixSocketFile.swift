// Owns the file of a unix socket: who may open it, replacing what a killed process left, removing it in the end.
// Leaves to others: TCP addresses and handing the descriptor on (AdminListener).

import Glibc
import NIOCore
import ShuttleEngine
import Synchronization
import SystemPackage

/// The file at the path of a listening unix socket.
final class UnixSocketFile: Sendable {
    let path: String
    /// The file that was made here: another process may since have put its own in its place.
    private let identity = Mutex<FileIdentity?>(nil)

    /// Not given to another file while the socket is bound, which keeps it in use.
    private struct FileIdentity: Equatable {
        var device: DeviceID
        var inode: Inode
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

    /// Removes the file if it is still the one that was made here. To be called while the socket is open.
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
        guard let status = UnixSocketFile.status(of: path) else {
            // Not there; and where the folder is missing or closed to us, bind(2) says so.
            return
        }
        guard status.type == .socket else {
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
                description:
                    "cannot listen on unix:\(path) for the admin API: socket: \(String(cString: strerror(code)))"
            )
        }
        return descriptor
    }

    /// Of the file itself: a symbolic link is one.
    private static func status(of path: String) -> Stat? {
        try? FilePath(path).stat(followTargetSymlink: false)
    }

    private static func identity(at path: String) -> FileIdentity? {
        status(of: path).map { FileIdentity(device: $0.deviceID, inode: $0.inode) }
    }

    private static func withAddress<Result>(
        of path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        guard let address = try? NIOCore.SocketAddress(unixDomainSocketPath: path) else {
            preconditionFailure("AdminAddress has checked the length")
        }
        return address.withSockAddr { body($0, socklen_t($1)) }
    }
}

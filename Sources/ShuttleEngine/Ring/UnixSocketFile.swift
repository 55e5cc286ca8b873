// Owns the file of a listening unix socket: who may open it, replacing what a killed process left, removing it in the end.
// Leaves to others: what is accepted on the socket, and the words for what went wrong.

import CURing
import Glibc
import Synchronization

/// Why a socket does not listen: what was being done, and the errno.
public struct ListenError: Error, Equatable, Sendable {
    public enum Step: Equatable, Sendable {
        /// Making, binding or starting it; EADDRINUSE where another socket has the address.
        case listen
        /// Looking at what is at its path, and removing it where nobody listens there any more.
        case replace
        /// At its path is a file that is not a socket, and not ours to remove.
        case occupied
        /// The permissions of its file.
        case mode
        /// The owner and the group of its file.
        case owner
        /// Its file is not there any more, or is another's.
        case missing
    }

    public var step: Step
    public var code: Int32

    public init(_ step: Step, _ code: Int32) {
        self.step = step
        self.code = code
    }

    /// With the errno of the call that has just failed.
    static func last(_ step: Step) -> ListenError { ListenError(step, errno) }
}

/// Who may connect through the file of a unix socket.
public struct SocketFileAccess: Equatable, Sendable {
    /// Permission bits.
    public var mode: UInt32
    /// Nil for the user that shuttled runs as, and for the group that the file gets by itself.
    public var owner: UInt32?
    public var group: UInt32?

    public init(mode: UInt32 = 0o660, owner: UInt32? = nil, group: UInt32? = nil) {
        self.mode = mode
        self.owner = owner
        self.group = group
    }
}

/// The file at the path of a listening unix socket.
public final class UnixSocketFile: Sendable {
    public let path: String
    private let state: Mutex<State>

    private struct State {
        /// The file that was made here: another process may since have put its own in its place. Nil once removed.
        var identity: Identity?
        var access: SocketFileAccess
        /// Whose it was when it was made.
        let created: (owner: UInt32, group: UInt32)
    }

    /// Not given to another file while the socket is bound, which keeps it in use.
    private struct Identity: Equatable {
        var device: UInt
        var inode: UInt
    }

    private init(path: String, _ status: stat, _ access: SocketFileAccess) {
        self.path = path
        state = Mutex(
            State(
                identity: Identity(device: status.st_dev, inode: status.st_ino),
                access: access,
                created: (status.st_uid, status.st_gid)
            )
        )
    }

    /// Binds at the path and listens. Nobody can connect before the file is as `access` says: until it listens the kernel
    /// refuses them.
    public static func listen(
        at path: String, _ access: SocketFileAccess = SocketFileAccess(), backlog: Int32, isNonBlocking: Bool
    ) throws(ListenError) -> (file: UnixSocketFile, descriptor: Int32) {
        let lock = FolderLock(ofFolderWith: path)
        defer { lock.release() }
        let descriptor = try open(isNonBlocking: isNonBlocking)
        do throws(ListenError) {
            if case .failure(let error) = bind(descriptor, to: path) {
                guard error.code == EADDRINUSE else { throw ListenError(.listen, error.code) }
                try removeStale(at: path)
                if case .failure(let error) = bind(descriptor, to: path) { throw ListenError(.listen, error.code) }
            }
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        guard let status = status(of: path) else {
            Glibc.close(descriptor)
            throw ListenError(.missing, ENOENT)
        }
        let file = UnixSocketFile(path: path, status, access)
        do throws(ListenError) {
            try file.apply(access)
            guard Glibc.listen(descriptor, backlog) == 0 else { throw .last(.listen) }
        } catch {
            file.remove()
            Glibc.close(descriptor)
            throw error
        }
        return (file, descriptor)
    }

    /// Removes the file if it is still the one that was made here. To be called while the socket listens: as long as it
    /// does no other process takes the path.
    public func remove() {
        state.withLock { state in
            if let made = state.identity, made == UnixSocketFile.status(of: path).map(UnixSocketFile.identity) {
                unlink(path)
            }
            state.identity = nil
        }
    }

    // MARK: Who may connect

    var access: SocketFileAccess { state.withLock { $0.access } }

    /// Changes who may connect from now on. On failure nothing has changed.
    func change(to access: SocketFileAccess) throws(ListenError) {
        let before = self.access
        guard before != access else { return }
        guard isInPlace else { throw ListenError(.missing, ENOENT) }
        do throws(ListenError) {
            try apply(access)
        } catch {
            try? apply(before)
            throw error
        }
        state.withLock { $0.access = access }
    }

    private var isInPlace: Bool {
        state.withLock { state in
            state.identity != nil && state.identity == UnixSocketFile.status(of: path).map(UnixSocketFile.identity)
        }
    }

    /// The mode first while the file is ours, since it may not be ours to change once it is another's; else it is made ours
    /// first.
    private func apply(_ access: SocketFileAccess) throws(ListenError) {
        guard let status = UnixSocketFile.status(of: path) else { throw ListenError(.missing, ENOENT) }
        let isOurs = status.st_uid == geteuid()
        if isOurs { try setMode(access) }
        try setOwner(access, from: status)
        if !isOurs { try setMode(access) }
    }

    /// A link that somebody has put there is not followed.
    private func setMode(_ access: SocketFileAccess) throws(ListenError) {
        guard fchmodat(AT_FDCWD, path, access.mode, AT_SYMLINK_NOFOLLOW) == 0 else { throw .last(.mode) }
    }

    private func setOwner(_ access: SocketFileAccess, from status: stat) throws(ListenError) {
        let created = state.withLock { $0.created }
        let (owner, group) = (access.owner ?? created.owner, access.group ?? created.group)
        guard status.st_uid != owner || status.st_gid != group else { return }
        guard lchown(path, owner, group) == 0 else { throw .last(.owner) }
    }

    // MARK: What is in the way

    /// A process that was killed leaves its file behind, and bind(2) fails on any file. Only a socket that nobody listens
    /// on is ours to remove.
    private static func removeStale(at path: String) throws(ListenError) {
        guard let status = status(of: path) else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw ListenError(.occupied, EADDRINUSE) }
        let probe = try open(isNonBlocking: true)
        defer { Glibc.close(probe) }
        let result = withAddress(of: path) { connect(probe, $0, $1) }
        // The probe does not wait: EAGAIN says that the listener's queue is full, hence that there is one.
        switch result == 0 ? 0 : errno {
        case ECONNREFUSED:
            guard unlink(path) == 0 || errno == ENOENT else { throw .last(.replace) }
        case ENOENT:
            return
        case 0, EAGAIN, EINPROGRESS, EPROTOTYPE:
            throw ListenError(.listen, EADDRINUSE)
        case let code:
            throw ListenError(.replace, code)
        }
    }

    // MARK: Calls

    private static func open(isNonBlocking: Bool) throws(ListenError) -> Int32 {
        let type = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | (isNonBlocking ? SOCK_NONBLOCK.rawValue : 0)
        let descriptor = socket(AF_UNIX, Int32(type), 0)
        guard descriptor >= 0 else { throw .last(.listen) }
        return descriptor
    }

    private static func bind(_ descriptor: Int32, to path: String) -> CallResult {
        withAddress(of: path) { Socket.result(of: Glibc.bind(descriptor, $0, $1)) }
    }

    private static func withAddress<R>(of path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        SocketAddress.unix(name: path, isAbstract: false).withSockAddr { pointer, length in
            body(pointer.assumingMemoryBound(to: sockaddr.self), length)
        }
    }

    /// Of the file itself: a symbolic link is one.
    private static func status(of path: String) -> stat? {
        var status = stat()
        return lstat(path, &status) == 0 ? status : nil
    }

    private static func identity(_ status: stat) -> Identity { Identity(device: status.st_dev, inode: status.st_ino) }
}

/// Keeps the processes apart that replace what is at a path, several shuttled that start at once: from looking at it to
/// listening there each has the lock of its folder, flock(2), which leaves nothing behind.
private struct FolderLock {
    private let descriptor: Int32

    private static let tries = 100
    private static let pauseMicroseconds: UInt32 = 2000

    /// A folder that cannot be read, or that somebody else has locked for long, is done without: two that start at the same
    /// moment may then get in each other's way.
    init(ofFolderWith path: String) {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) ?? path.startIndex
        let folder = slash == path.startIndex ? "/" : String(path[..<slash])
        descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        for _ in 0..<FolderLock.tries {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK { return }
            usleep(FolderLock.pauseMicroseconds)
        }
    }

    func release() {
        if descriptor >= 0 { Glibc.close(descriptor) }
    }
}

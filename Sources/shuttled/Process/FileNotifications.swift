// Owns being told by the kernel (inotify) that something may have happened to a file: to itself, in the folder where it is
// named, and in the one where it lies.
// Leaves to others: whether something did (FileWatch).

import Glibc
import NIOCore
import NIOPosix

/// A file as it was at one time: another one when it was written to or replaced, or when others may read it than before.
struct FileIdentity: Equatable, Sendable {
    private var device: UInt
    private var inode: UInt
    private var size: Int
    private var seconds: Int
    private var nanoseconds: Int
    private var mode: UInt32
    private var owner: UInt32
    private var group: UInt32
    /// Whether it is one that can be read again and again.
    let isRegular: Bool

    /// Nil where there is none. Blocks.
    init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            return nil
        }
        device = UInt(status.st_dev)
        inode = UInt(status.st_ino)
        size = Int(status.st_size)
        seconds = status.st_mtim.tv_sec
        nanoseconds = status.st_mtim.tv_nsec
        mode = status.st_mode
        owner = status.st_uid
        group = status.st_gid
        isRegular = status.st_mode & S_IFMT == S_IFREG
    }
}

/// Watches of one inotify instance.
struct FileNotifications: Sendable {
    /// A change in a folder, which replacing by rename is as well, and in the file, which may be mounted alone.
    private static let mask =
        UInt32(IN_CLOSE_WRITE) | UInt32(IN_MOVED_TO) | UInt32(IN_MOVED_FROM) | UInt32(IN_CREATE) | UInt32(IN_DELETE)
        | UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF) | UInt32(IN_ATTRIB)

    private let descriptor: Int32
    private let channel: any Channel

    /// Calls `tell` at the first event, and at the next one after each `goOn`.
    static func open(
        on loop: any EventLoop, tell: @escaping @Sendable () -> Void
    ) async throws(FileFailure) -> FileNotifications {
        let descriptor = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        guard descriptor >= 0 else {
            throw FileFailure("watch", "files", code: errno, remedy: remedy(for: errno))
        }
        do {
            let channel = try await NIOPipeBootstrap(group: loop)
                // Room for the longest event: a shorter read fails.
                .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 4096))
                .channelOption(.maxMessagesPerRead, value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Arrivals(tell))
                    }
                }
                .takingOwnershipOfDescriptor(input: descriptor).get()
            return FileNotifications(descriptor: descriptor, channel: channel)
        } catch {
            close(descriptor)
            throw FileFailure("watch", "files", code: EIO)
        }
    }

    /// Watches what has to be watched for `path` now, in place of `before`. Blocks. Where something cannot be watched it is said
    /// why; what can be is.
    func watch(_ path: String, before: Set<Int32>) -> (watches: Set<Int32>, failure: FileFailure?) {
        var places = [FileNotifications.folder(of: path), path]
        if let target = realpath(path, nil) {
            places.append(FileNotifications.folder(of: String(cString: target)))
            free(target)
        }
        var watches: Set<Int32> = []
        var failure: FileFailure?
        for place in places {
            let watch = inotify_add_watch(descriptor, place, FileNotifications.mask)
            if watch >= 0 {
                watches.insert(watch)
            } else if place != path || errno != ENOENT {
                // A file that is not there is no failure: its folder tells when it comes.
                failure = FileFailure("watch", place, code: errno, remedy: FileNotifications.remedy(for: errno))
            }
        }
        for watch in before.subtracting(watches) {
            // Fails for those that have ended with what they watched.
            _ = inotify_rm_watch(descriptor, watch)
        }
        return (watches, failure)
    }

    func goOn() {
        channel.setOption(.autoRead, value: true).whenFailure { _ in }
    }

    func stop() {
        channel.close(promise: nil)
    }

    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else {
            return "."
        }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func remedy(for code: Int32) -> String? {
        switch code {
        case EMFILE: "raise fs.inotify.max_user_instances, or the limit of open files"
        case ENOSPC: "raise fs.inotify.max_user_watches"
        default: nil
        }
    }

    /// Says that events have come; what they are does not matter. Then it reads no more until it is told to: a folder where much
    /// happens costs no more than one where little does, and the kernel drops what nobody reads.
    private final class Arrivals: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let tell: @Sendable () -> Void

        init(_ tell: @escaping @Sendable () -> Void) {
            self.tell = tell
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            try? context.channel.syncOptions?.setOption(.autoRead, value: false)
            tell()
        }
    }
}

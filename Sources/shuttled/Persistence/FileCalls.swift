// Owns the calls by which a file becomes durable, in a form that tests can make fail.
// Leaves to others: their order and what a failure means (StateFile).

import Glibc

/// The system calls whose failure decides whether a change counts. Each returns 0 or an errno.
struct FileCalls: Sendable {
    /// Writes all of the bytes.
    var write: @Sendable (_ descriptor: Int32, _ bytes: [UInt8]) -> Int32
    /// Waits until a file is on its device.
    var syncFile: @Sendable (_ descriptor: Int32) -> Int32
    var rename: @Sendable (_ from: String, _ to: String) -> Int32
    /// Waits until the entries of a folder are on their device.
    var syncFolder: @Sendable (_ descriptor: Int32) -> Int32

    static let system = FileCalls(
        write: { descriptor, bytes in
            bytes.withUnsafeBytes { buffer in
                var rest = buffer[...]
                while !rest.isEmpty {
                    let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                    if count < 0 {
                        if errno == EINTR {
                            continue
                        }
                        return errno
                    }
                    rest = rest.dropFirst(count)
                }
                return 0
            }
        },
        syncFile: { descriptor in
            // Not fdatasync: the file's size and mode belong to what has to survive.
            fsync(descriptor) == 0 ? 0 : errno
        },
        rename: { from, to in
            Glibc.rename(from, to) == 0 ? 0 : errno
        },
        syncFolder: { descriptor in
            guard fsync(descriptor) != 0 else {
                return 0
            }
            // Some network and user-space file systems have no such call for folders; they offer nothing better.
            return errno == EINVAL ? 0 : errno
        }
    )
}

// Owns reading a whole file into memory.
// Leaves to others: what is in it.

import Glibc
import SystemPackage

enum FileReading {
    /// More than any configuration can have when it is printed, less than would exhaust a machine.
    static let sizeMax = 1 << 30

    /// The file's bytes, or nil when there is no such file. Blocks; but where only a regular file will do, opening a
    /// pipe does not wait for someone to write to it. `refusing`: permissions that the file must not give.
    static func bytes(
        of path: String, regularOnly: Bool = false, sizeMax: Int = sizeMax, refusing refused: FilePermissions = []
    ) throws(FileFailure) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | (regularOnly ? O_NONBLOCK : 0))
        guard descriptor >= 0 else {
            if errno == ENOENT {
                return nil
            }
            throw FileFailure("open", path, code: errno)
        }
        defer { close(descriptor) }
        let status: Stat
        do throws(Errno) {
            status = try FileDescriptor(rawValue: descriptor).stat()
        } catch {
            throw FileFailure("examine", path, code: error.rawValue)
        }
        guard status.type != .directory else {
            throw FileFailure("read", path, code: EISDIR)
        }
        guard status.type == .regular || !regularOnly else {
            throw FileFailure("use", path, code: EINVAL, remedy: "it is not a regular file; name a regular file")
        }
        guard status.permissions.isDisjoint(with: refused) else {
            let mode = String(status.permissions.rawValue & 0o777, radix: 8)
            throw FileFailure(
                "use", path, code: EPERM,
                remedy: "its mode is 0\(mode), which lets others read or write it; chmod o-rw \(path)"
            )
        }
        return try bytes(from: descriptor, sizeHint: Int(status.size), path: path, sizeMax: sizeMax)
    }

    /// What comes on standard input until its end, whatever it is: `/dev/stdin` cannot open a socket, nor what is another user's.
    static func standardInput(sizeMax: Int = sizeMax) throws(FileFailure) -> [UInt8] {
        try bytes(from: STDIN_FILENO, sizeHint: 0, path: "standard input", sizeMax: sizeMax)
    }

    /// What can be read from a descriptor until its end: also from a pipe, as `<(command)` of a shell is one.
    private static func bytes(
        from descriptor: Int32, sizeHint: Int, path: String, sizeMax: Int
    ) throws(FileFailure) -> [UInt8] {
        var result: [UInt8] = []
        // One byte more than it has, so that its end shows without growing the array.
        var room = sizeHint + 1
        while true {
            room = min(max(room, 4096), sizeMax + 1 - result.count)
            guard room > 0 else {
                throw FileFailure(
                    "read", path, code: EFBIG,
                    remedy:
                        "it has more than \(sizeMax) bytes, which is more than any that is meant to be read; check the path"
                )
            }
            let start = result.count
            var failure: Int32 = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
                let length = read(descriptor, buffer.baseAddress, room)
                failure = length < 0 ? errno : 0
                count = max(0, length)
            }
            if failure == EINTR {
                continue
            }
            guard failure == 0 else {
                throw FileFailure("read", path, code: failure)
            }
            if chunk.isEmpty {
                return result
            }
            if start == 0 {
                result = chunk
            } else {
                result += chunk
            }
            room = 64 * 1024
        }
    }
}

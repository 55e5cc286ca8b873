// Owns a file of records beside the state file: one after the other, each durable before the next, and what becomes of an end
// that a crash has torn.
// Leaves to others: what is in a record (shuttled/Control), and keeping its blocking calls off the loop (FileThread).

import Glibc
import SystemPackage

/// A file of records beside the state file, under the same lock. All of it blocks.
///
/// A record is a line `#record LENGTH SUM`, so many bytes, and a newline: an end that is torn, and bytes that are no longer
/// what was written, are told apart from what is whole.
final class RecordFile: Sendable {
    let path: String
    private let folder: String
    private let calls: FileCalls
    /// Held, because its lock is ours too.
    private let state: StateFile

    private var temporary: String { "\(path).tmp" }
    private static let marker = "#record "

    /// `suffix` tells it from the others beside the same state file.
    init(beside state: StateFile, suffix: String, calls: FileCalls = .system) {
        self.state = state
        self.calls = calls
        folder = state.folder
        path = "\(state.folder)/\(state.name).\(suffix)"
    }

    /// What could be read.
    struct Content: Sendable, Equatable {
        var records: [[UInt8]] = []
        /// Bytes after the last whole record: torn or damaged.
        var damaged: [UInt8] = []
        var length = 0
    }

    /// Every whole record up to the first that is not; nothing where there is no file. A file that a crash has kept from
    /// taking its place is removed.
    func read() throws(FileFailure) -> Content {
        unlink(temporary)
        guard let bytes = try FileReading.bytes(of: path, regularOnly: true) else {
            return Content()
        }
        return RecordFile.content(of: bytes)
    }

    /// Adds a record to a file that has `length` bytes, and returns its length then. When this throws the file has none
    /// of it, or an end that is cut off when it is read.
    func append(_ record: [UInt8], at length: Int) throws(FileFailure) -> Int {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw FileFailure("open", path, code: errno)
        }
        defer { close(descriptor) }
        let bytes = RecordFile.frame(record)
        // Whatever a failure has left behind goes first.
        guard ftruncate(descriptor, off_t(length)) == 0, lseek(descriptor, off_t(length), SEEK_SET) >= 0 else {
            throw FileFailure("cut", path, code: errno)
        }
        var code = calls.write(descriptor, bytes)
        guard code == 0 else {
            ftruncate(descriptor, off_t(length))
            throw FileFailure("write", path, code: code)
        }
        code = calls.syncFile(descriptor)
        guard code == 0 else {
            throw FileFailure("sync", path, code: code)
        }
        return length + bytes.count
    }

    /// Replaces all records, and returns the file's length. When this throws, the old ones are there.
    func replace(with records: [[UInt8]]) throws(FileFailure) -> Int {
        let bytes = records.flatMap(RecordFile.frame)
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw FileFailure("create", temporary, code: errno)
        }
        var code = calls.write(descriptor, bytes)
        if code == 0 { code = calls.syncFile(descriptor) }
        if close(descriptor) != 0, errno != EINTR, code == 0 { code = errno }
        if code == 0 { code = calls.rename(temporary, path) }
        guard code == 0 else {
            unlink(temporary)
            throw FileFailure("write", path, code: code)
        }
        try syncFolder()
        return bytes.count
    }

    /// Removes the file, durably; content where there is none. When this throws it may be there again after a loss of power.
    func remove() throws(FileFailure) {
        guard unlink(path) == 0 || errno == ENOENT else {
            throw FileFailure("remove", path, code: errno)
        }
        try syncFolder()
    }

    private func syncFolder() throws(FileFailure) {
        let place = open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard place >= 0 else {
            throw FileFailure("open", folder, code: errno)
        }
        defer { close(place) }
        let code = calls.syncFolder(place)
        guard code == 0 else {
            throw FileFailure("sync", folder, code: code)
        }
    }

    /// Puts bytes that are no record any more aside, for somebody to look at, in place of what lay there.
    func putAside(_ bytes: [UInt8]) throws(FileFailure) -> String {
        let aside = "\(path).damaged"
        let descriptor = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw FileFailure("create", aside, code: errno)
        }
        defer { close(descriptor) }
        let code = calls.write(descriptor, bytes)
        guard code == 0 else {
            throw FileFailure("write", aside, code: code)
        }
        return aside
    }

    // MARK: Records

    static func frame(_ record: [UInt8]) -> [UInt8] {
        Array("\(marker)\(record.count) \(sum(of: record[...]))\n".utf8) + record + [UInt8(ascii: "\n")]
    }

    static func content(of bytes: [UInt8]) -> Content {
        var content = Content()
        var rest = bytes[...]
        while !rest.isEmpty, let record = record(in: &rest) {
            content.records.append(Array(record))
            content.length = rest.startIndex
        }
        content.damaged = Array(bytes[content.length...])
        return content
    }

    /// Takes a record off the front; nil where none is whole there.
    private static func record(in rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        // No header is longer.
        guard let end = rest.prefix(64).firstIndex(of: UInt8(ascii: "\n")) else {
            return nil
        }
        let header = String(decoding: rest[..<end], as: UTF8.self)
        guard header.hasPrefix(marker) else {
            return nil
        }
        let parts = header.dropFirst(marker.count).split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, let length = Int(parts[0]), length >= 0, length < rest.endIndex - end - 1 else {
            return nil
        }
        let record = rest[(end + 1)..<(end + 1 + length)]
        guard rest[record.endIndex] == UInt8(ascii: "\n"), parts[1] == sum(of: record) else {
            return nil
        }
        rest = rest[(record.endIndex + 1)...]
        return record
    }

    /// FNV-1a: against accidents, not against people.
    private static func sum(of bytes: ArraySlice<UInt8>) -> String {
        var sum: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes {
            sum = (sum ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        return String(sum, radix: 16)
    }
}

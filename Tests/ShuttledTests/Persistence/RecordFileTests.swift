// The file of the history: what is whole is read, what is not is cut off.

import Glibc
import Testing

@testable import shuttled

@Suite struct RecordFileTests {
    private static let records = ["first", "second\nwith a line", ""].map { Array($0.utf8) }
    private static let bytes = records.flatMap(RecordFile.frame)

    @Test func everyTornEndIsNoticed() {
        for length in 0...Self.bytes.count {
            let content = RecordFile.content(of: Array(Self.bytes.prefix(length)))
            let whole = Self.records.indices.last {
                Self.records[...$0].flatMap(RecordFile.frame).count <= length
            }
            #expect(content.records == Array(Self.records.prefix(whole.map { $0 + 1 } ?? 0)), "\(length) bytes")
            #expect(content.length + content.damaged.count == length)
            #expect(content.damaged.isEmpty == (content.length == length))
        }
    }

    @Test func everyChangedByteIsNoticed() {
        for index in Self.bytes.indices {
            var bytes = Self.bytes
            bytes[index] ^= 0x04
            let content = RecordFile.content(of: bytes)
            #expect(content.records.count < Self.records.count, "byte \(index)")
            #expect(Self.records.starts(with: content.records))
        }
    }

    @Test func recordsAreAppendedAndReplaced() throws {
        let folder = try TemporaryFolder()
        let file = RecordFile(beside: try StateFile(opening: folder.path("state.json")), suffix: "history")
        #expect(try file.read() == RecordFile.Content())
        var length = try file.replace(with: [Self.records[0]])
        length = try file.append(Self.records[1], at: length)
        #expect(try file.read().records == Array(Self.records.prefix(2)))
        #expect(try file.read().length == length)
        // What a failure has left behind the whole records goes with the next one.
        length = try file.append(Self.records[2], at: try file.replace(with: [Self.records[0]]))
        #expect(try file.read().records == [Self.records[0], Self.records[2]])
        #expect(try folder.mode("state.json.history") == 0o600)
        try folder.write("state.json.history.tmp", "left by a crash")
        _ = try file.read()
        #expect(try folder.names.filter { $0.hasSuffix("tmp") } == [])
    }

    @Test func aFailedCallLeavesWhatWasThere() throws {
        let folder = try TemporaryFolder()
        let state = try StateFile(opening: folder.path("state.json"))
        let length = try RecordFile(beside: state, suffix: "history").replace(with: [Self.records[0]])
        var calls = FileCalls.system
        calls.write = { descriptor, bytes in
            // Half of it comes through.
            _ = FileCalls.system.write(descriptor, Array(bytes.prefix(bytes.count / 2)))
            return ENOSPC
        }
        let broken = RecordFile(beside: state, suffix: "history", calls: calls)
        #expect(throws: FileFailure.self) { try broken.append(Self.records[1], at: length) }
        #expect(throws: FileFailure.self) { try broken.replace(with: Self.records) }
        #expect(try broken.read().records == [Self.records[0]])
        #expect(try broken.read().damaged.isEmpty)
        #expect(try folder.names.filter { $0.contains("tmp") } == [])
    }
}

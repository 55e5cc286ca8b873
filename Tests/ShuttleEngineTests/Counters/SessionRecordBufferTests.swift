// Owns the buffer of records: order, wrapping around, what is lost to slow readers, and reading while it is written.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct SessionRecordBufferTests {
    /// A record that can be recognised: every word of it follows from the number.
    private static func append(_ number: UInt64, to buffer: borrowing SessionRecordBuffer) {
        buffer.append { place in
            for word in SessionRecord.Word.allCases where word != .marks {
                place.store(word, number &* 31 &+ UInt64(word.rawValue))
            }
            let flags = SessionRecord.Marks.hasTCP
            place.store(.marks, SessionRecord.Marks(reason: UInt8(number % 30 + 1), retries: 3, flags: flags).word)
        }
    }

    private static func isWhole(_ record: SessionRecord) -> Bool {
        let start = record.startedAt
        return record.duration == start &+ 1 && record.connectDuration == start &+ 2
            && record.receivedBytes == start &+ 6 && record.storedClient.fourth == start &+ 10
            && record.service == UInt32(truncatingIfNeeded: start &+ 11) && record.storedUpstream == start &+ 14
    }

    @Test func recordsComeInOrderAndWhole() {
        let buffer = SessionRecordBuffer(capacity: 8, keepsAll: true)
        for number in 0..<5 { SessionRecordBufferTests.append(UInt64(number), to: buffer) }
        var cursor: UInt64 = 0
        var taken: [SessionRecord] = []
        #expect(buffer.take(from: &cursor, limit: 3) { taken.append($0) } == 0)
        #expect(taken.map(\.startedAt) == [0, 31, 62] && cursor == 3)
        #expect(buffer.take(from: &cursor, limit: 10) { taken.append($0) } == 0)
        #expect(taken.map(\.startedAt) == [0, 31, 62, 93, 124] && cursor == 5)
        #expect(taken.allSatisfy(SessionRecordBufferTests.isWhole))
        #expect(taken[2].retries == 3 && taken[2].reason == .clientLost && taken[2].isLogged == false)
        // Nothing more, and nothing is told twice.
        #expect(buffer.take(from: &cursor, limit: 10) { taken.append($0) } == 0)
        #expect(taken.count == 5 && buffer.record(at: 5) == nil)
    }

    @Test(arguments: [(1, 1), (2, 2), (3, 4), (1000, 1024), (1024, 1024)])
    func capacityIsAPowerOfTwo(asked: Int, given: Int) {
        #expect(SessionRecordBuffer(capacity: asked, keepsAll: true).capacity == given)
    }

    /// Every third is to be logged. However much is written between two looks, what was taken and what was lost of them is
    /// what was written.
    @Test(arguments: [
        [1], [8], [9], [100], [3, 30, 0, 1, 8, 9], [5, 5, 5, 5, 5], [50, 1, 1, 1], [7, 17, 2, 2, 2, 2],
    ])
    func lostRecordsThatWereToBeLoggedAreCounted(_ portions: [Int]) {
        let buffer = SessionRecordBuffer(capacity: 8, keepsAll: true)
        var (cursor, logged) = (UInt64(0), UInt64(0))
        var (written, writtenLogged, taken) = (0, 0, 0)
        var lost: UInt64 = 0
        for portion in portions {
            for _ in 0..<portion {
                written += 1
                guard written % 3 == 0 else {
                    SessionRecordBufferTests.append(UInt64(written), to: buffer)
                    continue
                }
                writtenLogged += 1
                buffer.appendLogged { place, number in
                    for word in SessionRecord.Word.allCases { place.store(word, 0) }
                    let flags = SessionRecord.Marks.logged
                    let marks = SessionRecord.Marks(reason: 1, retries: 0, flags: flags, loggedNumber: number)
                    place.store(.marks, marks.word)
                }
            }
            // In steps, since a reader takes no more than it can write.
            var count = 2
            while count == 2 {
                count = 0
                lost += buffer.takeLogged(from: &cursor, logged: &logged, limit: 2) { record in
                    #expect(record.isLogged)
                    count += 1
                }
                taken += count
            }
            #expect(taken + Int(lost) == writtenLogged)
            #expect(cursor == buffer.end, "the others are left behind")
        }
    }

    /// Whoever is too slow is told how many records it has lost, to the last one.
    @Test(arguments: [0, 1, 7, 8, 9, 100])
    func lostRecordsAreCounted(written: Int) {
        let buffer = SessionRecordBuffer(capacity: 8, keepsAll: true)
        var cursor: UInt64 = 0
        for number in 0..<written { SessionRecordBufferTests.append(UInt64(number), to: buffer) }
        var taken: [UInt64] = []
        let lost = buffer.take(from: &cursor, limit: .max) { taken.append($0.startedAt / 31) }
        #expect(lost == UInt64(max(0, written - 8)))
        #expect(taken == (max(0, written - 8)..<written).map(UInt64.init))
        #expect(cursor == UInt64(written) && buffer.end == cursor)
    }

    /// A record that is being written is no record, neither the old one in its place nor the new one.
    @Test func aTornRecordIsNotRead() {
        let buffer = SessionRecordBuffer(capacity: 4, keepsAll: true)
        for number in 0..<4 { SessionRecordBufferTests.append(UInt64(number), to: buffer) }
        buffer.append { place in
            #expect(buffer.record(at: 0) == nil && buffer.record(at: 4) == nil)
            place.store(.startedAt, 4711)
            #expect(buffer.record(at: 0) == nil && buffer.record(at: 4) == nil)
            #expect(buffer.record(at: 1)?.startedAt == 31)
            // A reader that has come to it counts it as lost and goes on with the next.
            var cursor: UInt64 = 0
            var taken: [UInt64] = []
            #expect(buffer.take(from: &cursor, limit: .max) { taken.append($0.startedAt) } == 1)
            #expect(taken == [31, 62, 93] && cursor == 4)
        }
        #expect(buffer.record(at: 4)?.startedAt == 4711 && buffer.record(at: 0) == nil)
    }

    /// A cursor of before a restart, or of another buffer.
    @Test func aCursorBeyondTheEndGoesBackToIt() {
        let buffer = SessionRecordBuffer(capacity: 4, keepsAll: true)
        var cursor: UInt64 = 99
        #expect(buffer.take(from: &cursor, limit: 1) { _ in } == 0)
        #expect(cursor == 0)
    }

    /// A reader on another thread sees whole records only, in order, and misses none without knowing.
    @Test func readingWhileItIsWritten() async {
        final class Shared: @unchecked Sendable {
            let buffer = SessionRecordBuffer(capacity: 16, keepsAll: true)
            let isDone = Atomic(false)
        }
        let shared = Shared()
        let count: UInt64 = 200_000
        async let reading: (taken: UInt64, lost: UInt64, torn: Int, backwards: Int) = Task.detached {
            var cursor: UInt64 = 0
            var result = (taken: UInt64(0), lost: UInt64(0), torn: 0, backwards: 0)
            var last: UInt64?
            while true {
                // Read before the records: what was written until then is taken.
                let isDone = shared.isDone.load(ordering: .acquiring)
                result.lost += shared.buffer.take(from: &cursor, limit: 64) { record in
                    result.taken += 1
                    if !SessionRecordBufferTests.isWhole(record) { result.torn += 1 }
                    if let last, record.startedAt <= last { result.backwards += 1 }
                    last = record.startedAt
                }
                if isDone, cursor == count { return result }
            }
        }.value
        for number in 0..<count { SessionRecordBufferTests.append(number, to: shared.buffer) }
        shared.isDone.store(true, ordering: .releasing)
        let result = await reading
        #expect(result.taken + result.lost == count, "\(result)")
        #expect(result.torn == 0 && result.backwards == 0 && result.taken >= 16, "\(result)")
    }

    @Test func reasonsHaveNamesOfTheirOwn() {
        let names = TerminationReason.allCases.map(\.name)
        #expect(Set(names).count == names.count)
        for reason in TerminationReason.allCases {
            #expect(reason.rawValue > 0)
            #expect(TerminationReason(name: reason.name) == reason)
        }
        #expect(TerminationReason(name: "tired") == nil)
    }
}

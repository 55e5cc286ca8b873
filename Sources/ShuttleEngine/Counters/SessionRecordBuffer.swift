// Owns the last sessions that ended on one ring: a circular buffer with one writer, its worker, and any number of readers
// that never hold it up. Leaves to others: making records (Worker+Record), where readers stand (SessionRecordCursor).

import Synchronization

/// A circular buffer of records, the oldest of which are overwritten.
///
/// Each place has a sequence number (a seqlock): odd while it is written, and of which turn around the buffer it is. A reader
/// that finds another number before or after than it must be has lost that record, and counts it. Words are read and written
/// as relaxed atomics, so that a torn read is a value thrown away and not undefined.
struct SessionRecordBuffer: ~Copyable {
    /// The sequence number and the words of one record: two cache lines.
    private static let stride = 16

    /// Records that it holds; a power of two.
    let capacity: Int
    /// Whether sessions are recorded that no access log is to have.
    let keepsAll: Bool
    private let memory: ReservedMemory
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    /// Records ever written.
    private let written = Atomic<UInt64>(0)
    /// Of those, records of sessions that are to be logged.
    private let logged = Atomic<UInt64>(0)
    /// The same, counted before they are written.
    private let loggedBegun = Atomic<UInt64>(0)

    /// Memory is touched as records come: 128 bytes each. `capacity` is rounded up to a power of two.
    init(capacity: Int, keepsAll: Bool) {
        precondition(SessionRecord.Word.allCases.count < SessionRecordBuffer.stride)
        var rounded = 1
        while rounded < capacity { rounded *= 2 }
        let bytes = rounded * SessionRecordBuffer.stride * MemoryLayout<UInt64>.stride
        guard let memory = ReservedMemory(byteCount: bytes) else {
            preconditionFailure("no address space for the records of sessions")
        }
        self.capacity = rounded
        self.keepsAll = keepsAll
        words = memory.bound(to: Atomic<UInt64>.self)
        self.memory = memory
    }

    // MARK: For the one writer

    /// Where the words of one record go; `fill` must store all of them.
    struct Place {
        fileprivate let words: UnsafeMutablePointer<Atomic<UInt64>>

        @inline(__always)
        func store(_ word: SessionRecord.Word, _ value: UInt64) {
            (words + word.rawValue).pointee.store(value, ordering: .relaxed)
        }

        /// Of the words, for a tracer.
        var address: UnsafeRawPointer { UnsafeRawPointer(words) }
    }

    @inline(__always)
    func append(_ fill: (Place) -> Void) {
        let position = written.load(ordering: .relaxed)
        let place = words + SessionRecordBuffer.stride &* Int(truncatingIfNeeded: position & UInt64(capacity &- 1))
        place.pointee.store(position &* 2 &+ 1, ordering: .relaxed)
        // Who sees one of the words below sees that the place is being written.
        atomicMemoryFence(ordering: .releasing)
        fill(Place(words: place + 1))
        place.pointee.store(position &* 2 &+ 2, ordering: .releasing)
        written.store(position &+ 1, ordering: .releasing)
    }

    /// The same for a session that is to be logged: `fill` is told which of them it is.
    @inline(__always)
    func appendLogged(_ fill: (_ place: Place, _ number: UInt64) -> Void) {
        let number = logged.load(ordering: .relaxed) &+ 1
        // Whoever sees the record in `end` sees that it was begun.
        loggedBegun.store(number, ordering: .relaxed)
        append { fill($0, number) }
        // Behind the record: who reads this number finds the record of it at a position below `end`.
        logged.store(number, ordering: .releasing)
    }

    // MARK: For readers

    /// Records ever written that are to be logged. To be read before `end`: their positions are below it.
    var loggedEnd: UInt64 { logged.load(ordering: .acquiring) }

    /// Records ever written: where a reader begins that wants what comes from now on.
    var end: UInt64 { written.load(ordering: .acquiring) }

    /// The record at a position; nil when it was overwritten, or is being now, or is still to come.
    func record(at position: UInt64) -> SessionRecord? {
        let place = words + SessionRecordBuffer.stride * Int(truncatingIfNeeded: position & UInt64(capacity - 1))
        let expected = position &* 2 &+ 2
        guard place.pointee.load(ordering: .acquiring) == expected else { return nil }
        let record = SessionRecord { (place + ($0.rawValue + 1)).pointee.load(ordering: .relaxed) }
        atomicMemoryFence(ordering: .acquiring)
        return place.pointee.load(ordering: .relaxed) == expected ? record : nil
    }

    /// Up to `limit` records from `cursor` on, the oldest first, and how many of those up to the last one were lost. Moves the
    /// cursor behind what was taken.
    func take(from cursor: inout UInt64, limit: Int, _ body: (SessionRecord) -> Void) -> UInt64 {
        let end = end
        // A cursor of a buffer that was there before.
        if cursor > end { cursor = end }
        let oldest = end &- min(end, UInt64(capacity))
        var lost = oldest > cursor ? oldest &- cursor : 0
        var position = max(cursor, oldest)
        var taken = 0
        while position < end, taken < limit {
            if let record = record(at: position) {
                body(record)
                taken += 1
            } else {
                lost &+= 1
            }
            position &+= 1
        }
        cursor = position
        return lost
    }

    /// Up to `limit` records from `cursor` on that are to be logged, the oldest first, and how many of those were lost. `logged` is
    /// how many had been written when the cursor's position was: it moves with it.
    ///
    /// Where there are none nothing is read, however many records there are.
    func takeLogged(
        from cursor: inout UInt64, logged: inout UInt64, limit: Int, _ body: (SessionRecord) -> Void
    ) -> UInt64 {
        // In this order: the positions of all these are below that end, and those below it have begun.
        let (loggedEnd, end) = (loggedEnd, end)
        guard loggedBegun.load(ordering: .relaxed) != logged else {
            cursor = end
            return 0
        }
        var lost: UInt64 = 0
        var taken = 0
        while cursor < end, taken < limit {
            _ = take(from: &cursor, limit: 1) { record in
                guard record.isLogged else { return }
                lost &+= (record.marks.loggedNumber &- logged &- 1) & SessionRecord.Marks.loggedNumberMask
                logged = record.marks.loggedNumber
                taken += 1
                body(record)
            }
        }
        // Those behind the last one that could be read.
        if cursor >= end, loggedEnd > logged {
            lost &+= loggedEnd &- logged
            logged = loggedEnd
        }
        return lost
    }
}

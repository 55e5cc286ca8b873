// Owns the latest events of the process, their ids, and telling those who follow that there are new ones.
// Leaves to others: what is an event (Control, Process), sending them (Admin).

import Glibc
import Synchronization

/// Keeps the latest events; earlier ones are forgotten. May be used from anywhere.
///
/// Who follows keeps only how far it is: however slow it is, nothing is kept for it alone.
final class EventLog: Sendable {
    /// Events that are kept.
    static let capacity = 1024

    /// Why events between an id and the ones that follow cannot be told.
    enum Gap: String, Sendable {
        /// They are not kept any more.
        case tooOld = "too-old"
        /// The id is of another process: of one before, or of another machine.
        case otherProcess = "other-process"
        /// The id was never given.
        case unknown
    }

    /// Where to go on.
    struct Position: Equatable, Sendable {
        /// The number of the event before.
        var after: UInt64
        var gap: Gap?
    }

    private struct State {
        /// The event of number `n` is at `(n - 1) % capacity`.
        var events: [Event] = []
        var last: UInt64 = 0
        var followers: [UInt64: @Sendable () -> Void] = [:]
        var lastFollower: UInt64 = 0
    }

    /// What ids of this process begin with: its start and something drawn, so that no two processes give the same ids.
    let process: String
    private let capacity: Int
    private let timeOfDayMilliseconds: @Sendable () -> Int
    private let state = Mutex(State())

    init(
        capacity: Int = EventLog.capacity, process: String? = nil,
        timeOfDayMilliseconds: @escaping @Sendable () -> Int = EventLog.timeOfDayMilliseconds
    ) {
        self.capacity = capacity
        self.timeOfDayMilliseconds = timeOfDayMilliseconds
        self.process =
            process
            ?? String(timeOfDayMilliseconds(), radix: 36)
            + String(UInt32.random(in: 36 * 36 * 36 * 36 * 36...UInt32.max), radix: 36)
    }

    func post(_ kind: EventKind, _ fields: KeyValuePairs<String, EventValue?>) {
        let milliseconds = timeOfDayMilliseconds()
        let followers = state.withLock { state in
            state.last += 1
            let event = Event(number: state.last, milliseconds: milliseconds, kind: kind, fields)
            if state.events.count < capacity {
                state.events.append(event)
            } else {
                state.events[Int((state.last - 1) % UInt64(capacity))] = event
            }
            return Array(state.followers.values)
        }
        for tell in followers {
            tell()
        }
    }

    // MARK: Ids

    func id(_ number: UInt64) -> String { "\(process)-\(number)" }

    /// Behind everything that has happened.
    var end: Position { Position(after: state.withLock { $0.last }, gap: nil) }

    /// Before everything that is kept.
    var begin: Position { Position(after: state.withLock { oldest($0) - 1 }, gap: nil) }

    /// Behind the event that has this id; nil for what cannot be one. Where it is not known what came after, it begins
    /// with the oldest that is kept.
    func position(after id: String) -> Position? {
        guard let dash = id.lastIndex(of: "-"), let number = EventLog.number(id[id.index(after: dash)...]) else {
            return nil
        }
        let name = id[..<dash]
        guard !name.isEmpty, name.utf8.count <= 32, name.utf8.allSatisfy(EventLog.isDigit) else {
            return nil
        }
        return state.withLock { state in
            let oldest = oldest(state)
            guard name == process else {
                return Position(after: oldest - 1, gap: .otherProcess)
            }
            if number > state.last {
                return Position(after: oldest - 1, gap: .unknown)
            }
            return number < oldest - 1 ? Position(after: oldest - 1, gap: .tooOld) : Position(after: number, gap: nil)
        }
    }

    private static func number(_ text: Substring) -> UInt64? {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? UInt64(text) : nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    }

    private func oldest(_ state: State) -> UInt64 { state.last - UInt64(state.events.count) + 1 }

    // MARK: Following

    /// The next events after a number, `limit` at most; nil when some of them are not kept any more.
    func events(after number: UInt64, limit: Int) -> [Event]? {
        state.withLock { state in
            guard number >= oldest(state) - 1 else {
                return nil
            }
            let count = min(Int(state.last - number), limit)
            return (0..<count).map { state.events[Int((number + UInt64($0)) % UInt64(capacity))] }
        }
    }

    /// Calls `tell` at each new event, until it is unfollowed.
    func follow(_ tell: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            state.lastFollower += 1
            state.followers[state.lastFollower] = tell
            return state.lastFollower
        }
    }

    func unfollow(_ follower: UInt64) {
        state.withLock { _ = $0.followers.removeValue(forKey: follower) }
    }

    @Sendable static func timeOfDayMilliseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}

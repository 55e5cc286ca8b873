// Owns when which slot wants to be looked at: a hierarchical timing wheel over slot indices. Knows no clock.

/// Deadlines of slots, one each, in milliseconds; setting and clearing take constant time, nothing is allocated.
///
/// Six levels of 64 buckets: a deadline sits in the level whose span covers its distance and moves down as it comes
/// near. A bitmap per level finds the next deadline without walking.
struct TimerWheel: ~Copyable {
    private static let levels = 6
    private static let bucketBits: UInt64 = 6
    private static let buckets = 64
    private static let none = UInt32.max

    private let capacity: Int
    // Per bucket the first slot; per slot its neighbours, its bucket and its deadline.
    private let heads: UnsafeMutablePointer<UInt32>
    private let occupied: UnsafeMutablePointer<UInt64>
    private let entries: UnsafeMutablePointer<Entry>
    private var now: UInt64

    private struct Entry {
        var next: UInt32
        var previous: UInt32
        /// `none` when not set.
        var bucket: UInt32
        var deadline: UInt64
    }

    /// For slots `0..<capacity`; `now` is where the wheel's time begins.
    init(capacity: Int, now: UInt64) {
        self.capacity = capacity
        self.now = now
        let bucketCount = TimerWheel.levels * TimerWheel.buckets
        heads = .allocate(capacity: bucketCount)
        heads.initialize(repeating: TimerWheel.none, count: bucketCount)
        occupied = .allocate(capacity: TimerWheel.levels)
        occupied.initialize(repeating: 0, count: TimerWheel.levels)
        entries = .allocate(capacity: capacity)
    }

    deinit {
        heads.deallocate()
        occupied.deallocate()
        entries.deallocate()
    }

    /// Makes a slot known; before its first use, so that memory is touched only as slots come into use.
    mutating func register(_ slot: UInt32) {
        entries[Int(slot)] = Entry(
            next: TimerWheel.none,
            previous: TimerWheel.none,
            bucket: TimerWheel.none,
            deadline: 0
        )
    }

    /// Sets or moves a slot's deadline. One in the past is due at the next `expire`.
    mutating func set(_ slot: UInt32, deadline: UInt64) {
        clear(slot)
        insert(slot, deadline: max(deadline, now &+ 1))
    }

    /// Sets a slot's deadline unless it has an earlier one.
    mutating func bringForward(_ slot: UInt32, to deadline: UInt64) {
        let entry = entries[Int(slot)]
        if entry.bucket == TimerWheel.none || deadline < entry.deadline { set(slot, deadline: deadline) }
    }

    func isSet(_ slot: UInt32) -> Bool { entries[Int(slot)].bucket != TimerWheel.none }

    mutating func clear(_ slot: UInt32) {
        let entry = entries[Int(slot)]
        guard entry.bucket != TimerWheel.none else { return }
        let bucket = Int(entry.bucket)
        if entry.previous == TimerWheel.none {
            heads[bucket] = entry.next
        } else {
            entries[Int(entry.previous)].next = entry.next
        }
        if entry.next != TimerWheel.none { entries[Int(entry.next)].previous = entry.previous }
        if heads[bucket] == TimerWheel.none {
            occupied[bucket / TimerWheel.buckets] &= ~(1 << UInt64(bucket % TimerWheel.buckets))
        }
        entries[Int(slot)].bucket = TimerWheel.none
    }

    private mutating func insert(_ slot: UInt32, deadline: UInt64) {
        // Beyond the last level's span the deadline waits in its farthest bucket and is placed anew from there.
        let span: UInt64 = 1 << (TimerWheel.bucketBits * UInt64(TimerWheel.levels))
        let placed = min(deadline, now &+ span &- (span >> TimerWheel.bucketBits))
        // The level is that of the highest bit in which the deadline's time differs from now.
        let difference = (placed ^ now) | 1
        let level = min(
            TimerWheel.levels - 1,
            (UInt64.bitWidth - 1 - difference.leadingZeroBitCount) / Int(TimerWheel.bucketBits)
        )
        let position = Int((placed >> (TimerWheel.bucketBits * UInt64(level))) & 63)
        let bucket = level * TimerWheel.buckets + position
        let head = heads[bucket]
        if head != TimerWheel.none { entries[Int(head)].previous = slot }
        entries[Int(slot)] = Entry(
            next: head,
            previous: TimerWheel.none,
            bucket: UInt32(bucket),
            deadline: deadline
        )
        heads[bucket] = slot
        occupied[level] |= 1 << UInt64(position)
    }

    /// When `expire` has something to do next, at the latest: a deadline or a move to a lower level.
    var nextDeadline: UInt64? {
        for level in 0..<TimerWheel.levels {
            let bits = occupied[level]
            guard bits != 0 else { continue }
            let shift = TimerWheel.bucketBits * UInt64(level)
            let position = (now >> shift) & 63
            // Buckets after the current one in this turn; all that are occupied lie there, but on the last level,
            // where the turn may wrap.
            let rotated = (bits >> position) | (position == 0 ? 0 : bits << (64 - position))
            let distance = UInt64(rotated.trailingZeroBitCount)
            return ((now >> shift) &+ distance) << shift
        }
        return nil
    }

    /// Moves time on to `time` and takes out one slot whose deadline has come; call until `nil`.
    mutating func expire(at time: UInt64) -> UInt32? {
        while true {
            guard let next = nextDeadline, next <= time else {
                // Nothing is due up to `time`.
                now = max(now, time)
                return nil
            }
            if next > now { now = next }
            if let slot = takeDue() { return slot }
        }
    }

    /// Handles the bucket that `now` has reached on the lowest occupied level: level 0 is due, others move down whole.
    private mutating func takeDue() -> UInt32? {
        for level in 0..<TimerWheel.levels where occupied[level] != 0 {
            let shift = TimerWheel.bucketBits * UInt64(level)
            let bucket = level * TimerWheel.buckets + Int((now >> shift) & 63)
            if level == 0 {
                let slot = heads[bucket]
                clear(slot)
                return slot
            }
            var slot = heads[bucket]
            heads[bucket] = TimerWheel.none
            occupied[level] &= ~(1 << ((now >> shift) & 63))
            while slot != TimerWheel.none {
                let entry = entries[Int(slot)]
                insert(slot, deadline: max(entry.deadline, now))
                slot = entry.next
            }
            return nil
        }
        return nil
    }
}

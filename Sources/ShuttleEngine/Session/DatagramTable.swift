// Owns which session a datagram belongs to, and which session of a listener has been idle for longest. Knows no socket and
// no clock: `now` is given. Leaves to others: what sessions do (Worker), when an idle one ends (its timer).

/// The socket that clients write to, as long as its address is configured.
struct DatagramListenerKey: Equatable {
    /// Below `DatagramTable.listenersMax`.
    var place: UInt32
    /// Of that place.
    var generation: UInt32
}

/// Datagram sessions of one worker by slot: found by the path of their client, in order of their activity by listener.
///
/// Everything takes constant time, and memory comes into being as slots come into use. A slot has three times: its session
/// is found by its path; it may be forgotten, so that its client's next datagram begins another while answers still
/// pass; it ends, and the slot waits for its last completion until it is freed.
struct DatagramTable: ~Copyable {
    /// Places of listeners: more than a configuration and the one before it can have.
    static let listenersMax = 1 << 16

    let capacity: Int
    private let entries: UnsafeMutablePointer<Entry>
    private let buckets: UnsafeMutablePointer<Link>
    private let orders: UnsafeMutablePointer<Order>
    private let memory: ReservedMemory
    private let bucketMask: UInt64
    private let seed: UInt64
    private var freeHead = Link.none
    /// Slots ever used: the ones below have a generation.
    private(set) var touchedCount: UInt32 = 0
    /// Slots in use, those that end included.
    private(set) var count = 0
    /// Sessions that have not ended.
    private(set) var liveCount = 0

    /// A slot, or none: zeroed memory is full of the latter.
    private struct Link: Equatable {
        var stored: UInt32

        static var none: Link { Link(stored: 0) }
        @inline(__always) init(stored: UInt32) { self.stored = stored }
        @inline(__always) init(_ slot: UInt32) { stored = slot &+ 1 }
        @inline(__always) var slot: UInt32? { stored == 0 ? nil : stored &- 1 }
    }

    private enum Phase: UInt8 {
        case free
        case found
        case forgotten
        case ending
    }

    private struct Entry {
        var path: DatagramPath
        var hash: UInt64
        var lastActivity: UInt64
        var listener: DatagramListenerKey
        /// Grows when the slot is freed, so that late completions are recognised.
        var generation: UInt32
        /// Of the bucket, or of the free slots.
        var next: Link
        var newer: Link
        var older: Link
        var phase: Phase
    }

    /// The sessions of one listener's place by their last activity.
    private struct Order {
        var newest: Link
        var oldest: Link
    }

    /// `nil` when there is no address space. `seed` keeps clients from choosing each other's places.
    init?(capacity: Int, seed: UInt64) {
        precondition((1...OperationTag.slotsMax).contains(capacity))
        var bucketCount = 16
        while bucketCount < capacity { bucketCount *= 2 }
        let entryBytes = capacity * MemoryLayout<Entry>.stride
        let bucketBytes = bucketCount * MemoryLayout<Link>.stride
        let orderBytes = DatagramTable.listenersMax * MemoryLayout<Order>.stride
        guard let memory = ReservedMemory(byteCount: entryBytes + bucketBytes + orderBytes) else { return nil }
        entries = memory.base.bindMemory(to: Entry.self, capacity: capacity)
        buckets = (memory.base + entryBytes).bindMemory(to: Link.self, capacity: bucketCount)
        orders = (memory.base + entryBytes + bucketBytes).bindMemory(
            to: Order.self, capacity: DatagramTable.listenersMax)
        self.memory = memory
        self.capacity = capacity
        bucketMask = UInt64(bucketCount - 1)
        self.seed = seed
    }

    // MARK: Finding

    /// The session that a client's datagram belongs to.
    @inline(__always)
    func find(_ path: DatagramPath, at listener: DatagramListenerKey) -> UInt32? {
        let hash = path.hash(seed: seed)
        var next = buckets[bucket(hash, listener)]
        while let slot = next.slot {
            let entry = entries + Int(slot)
            if entry.pointee.hash == hash, entry.pointee.listener == listener, entry.pointee.path == path {
                return slot
            }
            next = entry.pointee.next
        }
        return nil
    }

    /// Whether a completion is for the session that has the slot now, ending or not.
    @inline(__always)
    func isCurrent(_ slot: UInt32, generation: UInt32) -> Bool {
        slot < touchedCount && entries[Int(slot)].generation == generation && entries[Int(slot)].phase != .free
    }

    /// Whether the slot's session has begun and not ended.
    @inline(__always)
    func isLive(_ slot: UInt32) -> Bool {
        let phase = entries[Int(slot)].phase
        return phase == .found || phase == .forgotten
    }

    @inline(__always) func generation(of slot: UInt32) -> UInt32 { entries[Int(slot)].generation }
    @inline(__always) func path(of slot: UInt32) -> DatagramPath { entries[Int(slot)].path }
    @inline(__always) func listener(of slot: UInt32) -> DatagramListenerKey { entries[Int(slot)].listener }
    @inline(__always) func lastActivity(of slot: UInt32) -> UInt64 { entries[Int(slot)].lastActivity }

    /// The session of the listener's place that nothing has happened in for longest.
    func oldest(at place: UInt32) -> UInt32? { orders[Int(place)].oldest.slot }

    // MARK: A session's life

    /// Begins a session; `nil` when every slot is taken. There must be none that `find` finds.
    mutating func begin(_ path: DatagramPath, at listener: DatagramListenerKey, now: UInt64) -> UInt32? {
        precondition(Int(listener.place) < DatagramTable.listenersMax)
        let slot: UInt32
        if let free = freeHead.slot {
            slot = free
            freeHead = entries[Int(free)].next
        } else {
            guard Int(touchedCount) < capacity else { return nil }
            slot = touchedCount
            touchedCount &+= 1
            entries[Int(slot)].generation = 1
        }
        count &+= 1
        liveCount &+= 1
        let hash = path.hash(seed: seed)
        let bucket = bucket(hash, listener)
        (entries + Int(slot)).initialize(
            to: Entry(
                path: path, hash: hash, lastActivity: now, listener: listener,
                generation: entries[Int(slot)].generation, next: buckets[bucket], newer: .none, older: .none,
                phase: .found
            )
        )
        buckets[bucket] = Link(slot)
        join(slot)
        return slot
    }

    /// A datagram has passed, either way.
    @inline(__always)
    mutating func touch(_ slot: UInt32, now: UInt64) {
        // Sessions of the same millisecond need no order.
        guard entries[Int(slot)].lastActivity != now else { return }
        entries[Int(slot)].lastActivity = now
        guard entries[Int(slot)].newer != .none else { return }
        leave(slot)
        join(slot)
    }

    /// The client's next datagram belongs to another session; this one is not over.
    mutating func forget(_ slot: UInt32) {
        precondition(entries[Int(slot)].phase == .found)
        removeFromBucket(slot)
        entries[Int(slot)].phase = .forgotten
    }

    /// The session is over; the slot stays taken until `free`.
    mutating func end(_ slot: UInt32) {
        precondition(isLive(slot))
        if entries[Int(slot)].phase == .found { removeFromBucket(slot) }
        leave(slot)
        entries[Int(slot)].phase = .ending
        liveCount &-= 1
    }

    /// Gives the slot of an ended session back.
    mutating func free(_ slot: UInt32) {
        precondition(entries[Int(slot)].phase == .ending)
        entries[Int(slot)].phase = .free
        entries[Int(slot)].generation &+= 1
        entries[Int(slot)].next = freeHead
        freeHead = Link(slot)
        count &-= 1
    }

    // MARK: Buckets and orders

    @inline(__always)
    private func bucket(_ hash: UInt64, _ listener: DatagramListenerKey) -> Int {
        Int(truncatingIfNeeded: (hash ^ (UInt64(listener.place) &* 0x9e37_79b9_7f4a_7c15)) & bucketMask)
    }

    private func removeFromBucket(_ slot: UInt32) {
        let bucket = bucket(entries[Int(slot)].hash, entries[Int(slot)].listener)
        let wanted = Link(slot)
        if buckets[bucket] == wanted {
            buckets[bucket] = entries[Int(slot)].next
            return
        }
        var next = buckets[bucket]
        while let other = next.slot {
            next = entries[Int(other)].next
            guard next == wanted else { continue }
            entries[Int(other)].next = entries[Int(slot)].next
            return
        }
        preconditionFailure("a session was not where its path says")
    }

    /// As the newest of its listener.
    private func join(_ slot: UInt32) {
        let order = orders + Int(entries[Int(slot)].listener.place)
        entries[Int(slot)].newer = .none
        entries[Int(slot)].older = order.pointee.newest
        if let newest = order.pointee.newest.slot {
            entries[Int(newest)].newer = Link(slot)
        } else {
            order.pointee.oldest = Link(slot)
        }
        order.pointee.newest = Link(slot)
    }

    private func leave(_ slot: UInt32) {
        let entry = entries + Int(slot)
        let order = orders + Int(entry.pointee.listener.place)
        if let newer = entry.pointee.newer.slot {
            entries[Int(newer)].older = entry.pointee.older
        } else {
            order.pointee.newest = entry.pointee.older
        }
        if let older = entry.pointee.older.slot {
            entries[Int(older)].newer = entry.pointee.newer
        } else {
            order.pointee.oldest = entry.pointee.newer
        }
        entry.pointee.newer = .none
        entry.pointee.older = .none
    }
}

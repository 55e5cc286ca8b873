// Owns the places of sessions: a slab with generations. Leaves to others: what a session does (Session, Worker).

import Glibc

/// Everything a worker knows of one session. Trivial: it lives in mapped memory and is never copied around.
struct SessionSlot {
    /// Grows when the slot is freed, so that late completions are recognised.
    var generation: UInt32
    var isOccupied: Bool
    var isDirty: Bool
    var isStarved: Bool
    var awaitsFirstReceive: Bool
    var isWatched: Bool
    var hasConnectTimedOut: Bool
    var closesDownstreamByReset: Bool
    var closesUpstreamByReset: Bool
    var isCountedAsEstablished: Bool
    /// Links of the free list, the dirty list, the list of sessions whose connect is due, of those that are looked at
    /// for ends, and of those that wait for buffers.
    var nextFree: UInt32
    var nextDirty: UInt32
    var nextStarved: UInt32
    var nextConnecting: UInt32
    var nextWatched: UInt32
    var previousStarved: UInt32
    /// Links of the sessions that wait for a place.
    var nextQueued: UInt32
    var previousQueued: UInt32
    /// Where it stands in its service's queue while `session.isQueued`; the greatest number if it has never waited.
    var queuePosition: WaitingQueue.Position
    /// It has a place of its service.
    var hasPlace: Bool
    /// It is counted for `clientAddress`.
    var isCountedForClient: Bool
    var clientAddress: ClientAddress

    var session: Session
    var downstream: Int32
    /// -1 while there is none.
    var upstream: Int32
    var timeouts: SessionTimeouts
    var retriesLeft: UInt8
    /// Of the service's source addresses, which one's turn it is, and how many of them the present backend was tried
    /// from without success.
    var sourcesTried: UInt8
    var sourceTurn: UInt32
    var tried: TriedBackends
    /// When its connect, or its wait in the queue, must have come to an end; 0 while it may wait for as long as it takes.
    /// What the choice of its backends is drawn from, where the algorithm draws.
    var draw: UInt64
    var connectDeadline: UInt64
    /// When the last try must have succeeded; `.max` without such a bound.
    var retryDeadline: UInt64
    /// When both sockets get their keepalive; `.max` when they have it or get none.
    var keepaliveDeadline: UInt64
    /// When the session has lived for long enough; `.max` for never.
    var lifetimeDeadline: UInt64
    /// When one side was told of the other's end, while that timeout is to count; 0 before.
    var halfClosedAt: UInt64
    var flushDeadline: UInt64
    var flushAcknowledged: UInt64
    var flushPollMilliseconds: UInt64
    var downstreamClock: IdleClock
    var upstreamClock: IdleClock

    var service: UnsafeMutablePointer<ServiceRecord>
    var serviceCounters: UnsafeMutablePointer<CounterBlock>
    /// A counted reference: reserved when chosen, released when the session leaves it.
    var backend: UnsafeMutablePointer<BackendRecord>?
    var backendCounters: UnsafeMutablePointer<CounterBlock>?

    @inline(__always)
    func socket(_ side: Side) -> Int32 { side == .downstream ? downstream : upstream }
}

/// Slots by index; memory is reserved for all and touched as they come into use.
struct SessionTable: ~Copyable {
    static let none = UInt32.max

    let capacity: Int
    private let slots: UnsafeMutablePointer<SessionSlot>
    private var freeHead = SessionTable.none
    /// Slots ever used: the ones below have a generation.
    private(set) var touchedCount: UInt32 = 0
    private(set) var count = 0

    /// `nil` when the address space for `capacity` slots cannot be reserved.
    init?(capacity: Int) {
        precondition((1...OperationTag.slotsMax).contains(capacity))
        let bytes = capacity * MemoryLayout<SessionSlot>.stride
        let mapping = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let mapping, mapping != MAP_FAILED else { return nil }
        self.capacity = capacity
        slots = mapping.bindMemory(to: SessionSlot.self, capacity: capacity)
    }

    deinit {
        munmap(slots, capacity * MemoryLayout<SessionSlot>.stride)
    }

    @inline(__always)
    subscript(_ index: UInt32) -> UnsafeMutablePointer<SessionSlot> {
        assert(index < touchedCount)
        return slots + Int(index)
    }

    /// The slot that a completion is for; `nil` when it was given to somebody else since.
    @inline(__always)
    func slot(of tag: OperationTag) -> UnsafeMutablePointer<SessionSlot>? {
        guard tag.slot < touchedCount else { return nil }
        let slot = slots + Int(tag.slot)
        return slot.pointee.isOccupied && slot.pointee.generation == tag.generation ? slot : nil
    }

    /// Takes a slot; `isNew` when it was never used before. The caller initialises everything but the generation.
    mutating func allocate() -> (index: UInt32, generation: UInt32, isNew: Bool)? {
        if freeHead != SessionTable.none {
            let index = freeHead
            freeHead = slots[Int(index)].nextFree
            count &+= 1
            return (index, slots[Int(index)].generation, false)
        }
        guard Int(touchedCount) < capacity else { return nil }
        let index = touchedCount
        touchedCount &+= 1
        count &+= 1
        return (index, 1, true)
    }

    mutating func free(_ index: UInt32) {
        let slot = slots + Int(index)
        precondition(slot.pointee.isOccupied)
        slot.pointee.isOccupied = false
        slot.pointee.generation &+= 1
        slot.pointee.nextFree = freeHead
        freeHead = index
        count &-= 1
    }
}

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
    /// Its client's first bytes were read, or are: there is something to be known in `SessionTable.preread`.
    var wasPreread: Bool
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
    /// Where it is in its service's queue while `session.isQueued`; the greatest number if it has never waited.
    var queuePosition: WaitingQueue.Position
    /// What it keeps of that when it is called.
    var standing: WaitingQueue.Standing
    /// The rate limiter whose token it waits for while `session.isDelayed`.
    var rateLimiter: UInt32
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
    /// For the record that it leaves; apart, since most of it is written once.
    var facts: UnsafeMutablePointer<SessionFacts>

    var service: UnsafeMutablePointer<ServiceRecord>
    var serviceCounters: UnsafeMutablePointer<CounterBlock>
    /// A counted reference: reserved when chosen, released when the session leaves it.
    var backend: UnsafeMutablePointer<BackendRecord>?
    var backendCounters: UnsafeMutablePointer<CounterBlock>?

    @inline(__always)
    func socket(_ side: Side) -> Int32 { side == .downstream ? downstream : upstream }
}

/// What a worker knows of a session whose client's first bytes it reads.
struct PrereadSlot {
    /// What is read next.
    enum Stage: UInt8 {
        case proxyHeader
        case clientHello
    }

    var stage: Stage
    /// It is on the list of those that hold a buffer.
    var isHolding = false
    /// Bytes that each thing to be read may have.
    var limit: UInt16
    /// As a PROXY header has told; nil while the connection's own ends hold.
    var conveyed: ConveyedAddresses?
}

/// Slots by index; memory is reserved for all and touched as they come into use.
struct SessionTable: ~Copyable {
    static let none = UInt32.max

    let capacity: Int
    private let slots: UnsafeMutablePointer<SessionSlot>
    /// Two of each slot, touched by sessions only whose bandwidth is limited.
    private let paces: UnsafeMutablePointer<FlowPace>
    /// Of each slot one.
    private let facts: UnsafeMutablePointer<SessionFacts>
    /// Of the sessions that are preread; memory that no other touches.
    private let prereads: UnsafeMutablePointer<PrereadSlot>
    private var freeHead = SessionTable.none
    /// Slots ever used: the ones below have a generation.
    private(set) var touchedCount: UInt32 = 0
    private(set) var count = 0

    /// `nil` when the address space for `capacity` slots cannot be reserved.
    init?(capacity: Int) {
        precondition((1...OperationTag.slotsMax).contains(capacity))
        guard let slots = SessionTable.reserve(capacity, of: SessionSlot.self) else { return nil }
        guard let paces = SessionTable.reserve(2 * capacity, of: FlowPace.self) else {
            munmap(slots, capacity * MemoryLayout<SessionSlot>.stride)
            return nil
        }
        guard let prereads = SessionTable.reserve(capacity, of: PrereadSlot.self) else {
            munmap(slots, capacity * MemoryLayout<SessionSlot>.stride)
            munmap(paces, 2 * capacity * MemoryLayout<FlowPace>.stride)
            return nil
        }
        guard let facts = SessionTable.reserve(capacity, of: SessionFacts.self) else {
            munmap(slots, capacity * MemoryLayout<SessionSlot>.stride)
            munmap(paces, 2 * capacity * MemoryLayout<FlowPace>.stride)
            munmap(prereads, capacity * MemoryLayout<PrereadSlot>.stride)
            return nil
        }
        self.capacity = capacity
        self.slots = slots
        self.facts = facts
        self.paces = paces
        self.prereads = prereads
    }

    deinit {
        munmap(slots, capacity * MemoryLayout<SessionSlot>.stride)
        munmap(paces, 2 * capacity * MemoryLayout<FlowPace>.stride)
        munmap(prereads, capacity * MemoryLayout<PrereadSlot>.stride)
        munmap(facts, capacity * MemoryLayout<SessionFacts>.stride)
    }

    private static func reserve<Value>(_ count: Int, of type: Value.Type) -> UnsafeMutablePointer<Value>? {
        let bytes = count * MemoryLayout<Value>.stride
        let mapping = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let mapping, mapping != MAP_FAILED else { return nil }
        return mapping.bindMemory(to: Value.self, capacity: count)
    }

    /// How far a direction of a session has come at its rates; what it was left as by another session before it was set.
    func pace(_ index: UInt32, from side: Side) -> UnsafeMutablePointer<FlowPace> {
        assert(index < touchedCount)
        return paces + 2 * Int(index) + (side == .downstream ? 0 : 1)
    }

    /// What is noted of a session.
    @inline(__always)
    func facts(_ index: UInt32) -> UnsafeMutablePointer<SessionFacts> {
        assert(index < touchedCount)
        return facts + Int(index)
    }

    @inline(__always)
    subscript(_ index: UInt32) -> UnsafeMutablePointer<SessionSlot> {
        assert(index < touchedCount)
        return slots + Int(index)
    }

    /// What is known of a session that is, or was, preread.
    func preread(_ index: UInt32) -> UnsafeMutablePointer<PrereadSlot> {
        assert(index < touchedCount)
        return prereads + Int(index)
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

// Owns what one worker knows of UDP: its listeners, and beside the table of sessions what each of them holds.
// Leaves to others: which session a datagram belongs to (DatagramTable), what is done with it (Worker+Datagrams).

/// A UDP listener's place on one worker, at the same index as in every snapshot.
struct DatagramListener {
    var state = ListenerState.none
    var generation: UInt32 = 0
    /// This worker's of the address's sockets.
    var socket: Int32 = -1
    var isIPv4 = false
    /// What it is bound to.
    var address: SocketAddress?
    var table: UnsafePointer<ServiceTable>?
    var isReceiveArmed = false
}

/// What a worker holds for one datagram session. Trivial.
struct DatagramSession {
    /// Connected to the backend.
    var upstream: Int32
    var isReceiveArmed: Bool
    /// The snapshot by which the session was last looked at.
    var epoch: UInt64
    var rules: DatagramRules
    /// Datagrams sent on to the backend, and to the client.
    var requests: UInt32
    var responses: UInt32
    /// Up to when what its client and its backend have sent is paid for at the session's own rates, in nanoseconds.
    var uploadPaidAt: UInt64 = 0
    var downloadPaidAt: UInt64 = 0
    /// `.max` for never.
    var lifetimeDeadline: UInt64
    /// For the record that it leaves.
    var facts: SessionFacts
    let service: UnsafeMutablePointer<ServiceRecord>
    let serviceCounters: UnsafeMutablePointer<CounterBlock>
    let datagramCounters: UnsafeMutablePointer<DatagramCounters>
    /// A counted reference: released when the session ends.
    let backend: UnsafeMutablePointer<BackendRecord>
    let backendCounters: UnsafeMutablePointer<CounterBlock>
}

/// The datagram part of a worker. Memory is reserved at start and touched as sessions begin.
struct DatagramSessions: ~Copyable {
    /// Sessions that have ended hold their slots until their last completion, one turn or two.
    static let slotsForEnding = 1024

    var table: DatagramTable
    private let memory: ReservedMemory
    private let sessions: UnsafeMutablePointer<DatagramSession>
    private var places: UnsafeMutablePointer<DatagramListener>
    private(set) var listenerCount = 0
    private var listenerCapacity = 4

    /// `nil` when there is no address space for `capacity` sessions.
    init?(capacity: Int, seed: UInt64) {
        let slots = capacity + DatagramSessions.slotsForEnding
        guard let table = DatagramTable(capacity: slots, seed: seed),
            let memory = ReservedMemory(byteCount: slots * MemoryLayout<DatagramSession>.stride)
        else { return nil }
        self.table = table
        sessions = memory.base.bindMemory(to: DatagramSession.self, capacity: slots)
        self.memory = memory
        places = .allocate(capacity: listenerCapacity)
    }

    deinit {
        places.deallocate()
    }

    /// What the slot's session holds; the memory is not initialised before the first one.
    @inline(__always)
    subscript(_ slot: UInt32) -> UnsafeMutablePointer<DatagramSession> { sessions + Int(slot) }

    @inline(__always)
    func listener(_ place: Int) -> UnsafeMutablePointer<DatagramListener> {
        assert(place < listenerCount)
        return places + place
    }

    /// The listener that this key means, if it is still there.
    @inline(__always)
    func listener(_ key: DatagramListenerKey) -> UnsafeMutablePointer<DatagramListener>? {
        let listener = listener(Int(key.place))
        return listener.pointee.generation == key.generation && listener.pointee.state == .open ? listener : nil
    }

    /// Adds empty places up to `newCount`; pointers from before are void then.
    mutating func growListeners(to newCount: Int) {
        if newCount > listenerCapacity {
            listenerCapacity = newCount * 2
            let larger = UnsafeMutablePointer<DatagramListener>.allocate(capacity: listenerCapacity)
            larger.moveInitialize(from: places, count: listenerCount)
            places.deallocate()
            places = larger
        }
        while listenerCount < newCount {
            (places + listenerCount).initialize(to: DatagramListener())
            listenerCount += 1
        }
    }

    /// Nothing is armed and nothing has to end any more.
    var isIdle: Bool {
        guard table.count == 0 else { return false }
        for place in 0..<listenerCount where places[place].isReceiveArmed { return false }
        return true
    }
}

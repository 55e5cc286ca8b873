// Owns what outlives a snapshot about a backend and a service: health, sessions, counters.
// Leaves to others: when a record may be freed (Snapshot/RecordRegistry), what configuration it has now (ServiceTable).

import Synchronization

/// A backend as long as its service, name and address stay the same.
///
/// Sessions point to it; it is freed only when no snapshot names it and no session is left.
struct BackendRecord: ~Copyable {
    /// Never given twice in a process, so that a session can remember which backends it tried.
    let identifier: UInt32
    /// Stays in place as long as the record: operations point to it.
    let address: UnsafePointer<SocketAddress>
    /// Set by the control thread: checks call it up, and traffic has not taken it out. A backend that is not up gets
    /// nothing new.
    let isUp = Atomic<Bool>(true)
    /// Whether the newest configuration limits its sessions: then a place is free only once its socket is closed. Set
    /// by the control thread.
    let isLimited = Atomic<Bool>(false)
    /// What the newest configuration has connections to it begin with; set by the control thread.
    private let proxyProtocolNumber = Atomic<UInt8>(0)
    /// Written by every ring.
    let failures = TrafficFailures()
    /// Sessions on all rings, those still connecting included: what limits and least connections go by.
    let active = Atomic<Int>(0)
    let counters: CounterBlocks
    /// Whether the sessions that it has are to end.
    let drain = Drain()
    let rest = BackendRest()
    /// Written and read by the control thread only.
    var checkSuccesses: UInt64 = 0
    var checkFailures: UInt64 = 0
    /// What checks say; as above.
    var isCheckedUp = true
    /// What traffic says; as above.
    var passive = PassiveTracker()
    /// How far it is since it came up; as above.
    var slowStart = SlowStart()
    /// Nil before the first; as above.
    var lastCheck: CheckResult?

    init(identifier: UInt32, address: SocketAddress, workerCount: Int) {
        self.identifier = identifier
        let storage = UnsafeMutablePointer<SocketAddress>.allocate(capacity: 1)
        storage.initialize(to: address)
        self.address = UnsafePointer(storage)
        counters = CounterBlocks(workerCount: workerCount)
    }

    deinit {
        address.deallocate()
    }

    /// Nil for nothing.
    @inline(__always)
    var proxyProtocol: ProxyProtocolVersion? {
        switch proxyProtocolNumber.load(ordering: .relaxed) {
        case 0: nil
        case 1: .v1
        default: .v2
        }
    }

    func setProxyProtocol(_ version: ProxyProtocolVersion?) {
        let number: UInt8
        switch version {
        case nil: number = 0
        case .v1: number = 1
        case .v2: number = 2
        }
        proxyProtocolNumber.store(number, ordering: .relaxed)
    }

    /// Makes `isUp` what checks and traffic say together; false where it is that already.
    @discardableResult
    func updateUp() -> Bool {
        let isUp = isCheckedUp && !passive.isEjected
        return self.isUp.exchange(isUp, ordering: .relaxed) != isUp
    }

    /// Adds a session if no other ring was faster since `expected` was read.
    @inline(__always)
    func reserve(expected: Int) -> Bool {
        active.compareExchange(expected: expected, desired: expected &+ 1, ordering: .relaxed).exchanged
    }

    /// Adds a session unless there are `limit` already. The count never passes the limit, not for a moment.
    @inline(__always)
    func reserve(below limit: Int) -> Bool {
        var current = active.load(ordering: .relaxed)
        while current < limit {
            let outcome = active.weakCompareExchange(expected: current, desired: current &+ 1, ordering: .relaxed)
            if outcome.exchanged { return true }
            current = outcome.original
        }
        return false
    }

    @inline(__always)
    func reserve() {
        // The checked addition is a loop.
        active.wrappingAdd(1, ordering: .relaxed)
    }

    /// The last thing a session does with a record.
    @inline(__always)
    func release() {
        active.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }
}

/// A service as long as its name stays the same. Its totals are its own: removing a backend does not lower them.
struct ServiceRecord: ~Copyable {
    /// Never given twice in a process: what the records of its sessions are told by.
    let identifier: UInt32
    let counters: CounterBlocks
    let histograms: SessionHistograms
    /// Set by the control thread: one of so many of its sessions is for the access log; 0 for none.
    let accessLogOneIn = Atomic<UInt32>(0)
    /// Failures of its backends since the control thread looked; set by rings, taken by the control thread.
    let hasNewFailures = Atomic<Bool>(false)
    /// Written and read by the control thread only: times that a backend was let stay although traffic spoke against it.
    var panics: UInt64 = 0
    /// When time by itself may change what traffic leads to; as above.
    var nextJudgement = UInt64.max
    /// When a backend that ramps takes its next step; as above.
    var nextSlowStartStep = UInt64.max
    /// Sessions that have a place, on all rings: counted always, so that a limit that is set is exact at once.
    let occupied = Atomic<Int>(0)
    /// Set by the control thread: some limit is set, so a place is given back only once its connections are closed.
    let isLimited = Atomic<Bool>(false)
    /// Where the service's table was last found in a snapshot.
    let tableHint = Atomic<Int>(0)
    let queue = WaitingQueue()
    let clients = ClientCounts()
    /// Sessions that wait for their service's rate limit now, on all rings, and all that ever have.
    let delayed = Atomic<Int>(0)
    let delays = Atomic<UInt64>(0)
    /// Clients closed at once since they came too early for it.
    let refusedByRate = Atomic<UInt64>(0)
    let bandwidth = ServiceBandwidth()
    /// Of UDP services.
    let datagrams: DatagramCounterBlocks
    /// Set by the control thread whenever the service is compiled; what it points to is freed when no ring can still
    /// read it, as all of a compiled service is. A worker reads it anew for every connect. The bits of the pointer, 0 for
    /// none.
    private let sourceBits = Atomic<UInt>(0)

    init(identifier: UInt32 = 0, workerCount: Int) {
        self.identifier = identifier
        histograms = SessionHistograms(workerCount: workerCount)
        counters = CounterBlocks(workerCount: workerCount)
        datagrams = DatagramCounterBlocks(workerCount: workerCount)
    }

    /// Takes a place without asking for a limit.
    @inline(__always)
    func occupy() {
        occupied.wrappingAdd(1, ordering: .relaxed)
    }

    /// Takes a place below the limit, 0 for none. Never added and taken back: `limit` is never exceeded.
    func occupy(below limit: Int) -> Bool {
        guard limit > 0 else {
            occupy()
            return true
        }
        var present = occupied.load(ordering: .relaxed)
        while present < limit {
            let result = occupied.weakCompareExchange(
                expected: present, desired: present + 1, ordering: .acquiringAndReleasing)
            if result.exchanged { return true }
            present = result.original
        }
        return false
    }

    /// Before the queue is looked at: see `WaitingQueue.count`.
    @inline(__always)
    func vacate() {
        occupied.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }

    @inline(__always)
    var sources: UnsafePointer<SourceAddresses>? { UnsafePointer(bitPattern: sourceBits.load(ordering: .acquiring)) }

    func setSources(_ sources: UnsafePointer<SourceAddresses>?) {
        sourceBits.store(UInt(bitPattern: sources), ordering: .releasing)
    }
}

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
    /// Written by every ring.
    let failures = TrafficFailures()
    /// Sessions on all rings, those still connecting included: what limits and least connections go by.
    let active = Atomic<Int>(0)
    let counters: CounterBlocks
    /// Written and read by the control thread only.
    var checkSuccesses: UInt64 = 0
    var checkFailures: UInt64 = 0
    /// Nil before the first; as above.
    var lastCheck: CheckResult?
    /// What checks say; as above.
    var isCheckedUp = true
    /// What traffic says; as above.
    var passive = PassiveTracker()

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
        active.wrappingSubtract(1, ordering: .releasing)
    }
}

/// A service as long as its name stays the same. Its totals are its own: removing a backend does not lower them.
struct ServiceRecord: ~Copyable {
    let counters: CounterBlocks
    /// Failures of its backends since the control thread looked; set by rings, taken by the control thread.
    let hasNewFailures = Atomic<Bool>(false)
    /// Written and read by the control thread only: times that a backend was let stay although traffic spoke against it.
    var panics: UInt64 = 0
    /// When time by itself may change what traffic leads to; as above.
    var nextJudgement = UInt64.max

    init(workerCount: Int) {
        counters = CounterBlocks(workerCount: workerCount)
    }
}

// Owns the counters one worker keeps for one service or backend. Summing them over workers is Statistics's.

import Synchronization

/// Why a session was ended that its peers had not ended.
enum EndReason {
    /// A side was inactive for too long.
    case idle
    /// One direction had ended and the other was inactive for too long.
    case halfClose
    /// It has lived for long enough.
    case lifetime
    /// Its backend drains, and its turn has come.
    case drain
    /// Somebody has asked for its end.
    case `operator`
}

/// Counters with a single writer, its worker; readers on other threads see each value whole.
///
/// Padded to whole pairs of cache lines, so that workers that count for the same backend do not take lines from one another.
struct CounterBlock: ~Copyable {
    /// Bytes sent on from clients to backends.
    let sentBytes = Atomic<UInt64>(0)
    /// Bytes sent on from backends to clients.
    let receivedBytes = Atomic<UInt64>(0)
    let errors = Atomic<UInt64>(0)
    let connections = Atomic<UInt64>(0)
    /// Sessions of this worker; the last touch of a record by a session is its decrease.
    let active = Atomic<Int>(0)
    /// Those of them that wait in the service's queue.
    let queued = Atomic<Int>(0)
    /// Clients whose time in the queue was over.
    let queueTimeouts = Atomic<UInt64>(0)
    /// Clients for whom the queue had no place.
    let queueOverflows = Atomic<UInt64>(0)
    /// Clients closed at once: over the limit where there is no queue, or in maintenance.
    let refused = Atomic<UInt64>(0)
    /// Clients closed at once since their address had its share already.
    let refusedPerClient = Atomic<UInt64>(0)
    /// Clients closed at once since their addresses may not come in.
    let denied = Atomic<UInt64>(0)
    /// Sessions that were ended here and not by their peers, by the reason.
    let idleEnds = Atomic<UInt64>(0)
    let halfCloseEnds = Atomic<UInt64>(0)
    let lifetimeEnds = Atomic<UInt64>(0)
    let drainEnds = Atomic<UInt64>(0)
    let operatorEnds = Atomic<UInt64>(0)
    /// Further tries after a connect that failed; of a backend, those that came to it.
    let retried = Atomic<UInt64>(0)
    /// Clients closed since what was to be read first was not what it must be; of UDP datagrams dropped for that.
    let prereadFailures = Atomic<UInt64>(0)
    /// Clients closed since it did not come in time.
    let prereadTimeouts = Atomic<UInt64>(0)
    /// Clients that routes have led to other services.
    let routed = Atomic<UInt64>(0)
    private let padding: InlineArray<12, UInt64> = .init(repeating: 0)

    func countEnd(_ reason: EndReason) {
        switch reason {
        case .idle: idleEnds.addAsOnlyWriter(1)
        case .halfClose: halfCloseEnds.addAsOnlyWriter(1)
        case .lifetime: lifetimeEnds.addAsOnlyWriter(1)
        case .drain: drainEnds.addAsOnlyWriter(1)
        case .operator: operatorEnds.addAsOnlyWriter(1)
        }
    }
}

extension Atomic where Value == UInt64 {
    /// Adds without a locked instruction: correct for one writer only.
    @inline(__always)
    borrowing func addAsOnlyWriter(_ amount: UInt64) {
        store(load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }
}

extension Atomic where Value == Int {
    /// Adds without a locked instruction: correct for one writer only. Releasing, so that who reads a zero sees
    /// everything that was counted before.
    @inline(__always)
    borrowing func addAsOnlyWriter(_ amount: Int) {
        store(load(ordering: .relaxed) &+ amount, ordering: .releasing)
    }
}

/// One `CounterBlock` per worker.
struct CounterBlocks: ~Copyable {
    private let blocks: UnsafeMutablePointer<CounterBlock>
    let workerCount: Int

    init(workerCount: Int) {
        self.workerCount = workerCount
        let alignment = 128
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: workerCount * MemoryLayout<CounterBlock>.stride,
            alignment: alignment
        )
        blocks = memory.bindMemory(to: CounterBlock.self, capacity: workerCount)
        for index in 0..<workerCount { (blocks + index).initialize(to: CounterBlock()) }
    }

    deinit {
        blocks.deinitialize(count: workerCount)
        UnsafeMutableRawPointer(blocks).deallocate()
    }

    @inline(__always)
    func block(of worker: Int) -> UnsafeMutablePointer<CounterBlock> {
        precondition(worker < workerCount)
        return blocks + worker
    }

    func sum(_ value: (borrowing CounterBlock) -> UInt64) -> UInt64 {
        var total: UInt64 = 0
        for index in 0..<workerCount { total &+= value(blocks[index]) }
        return total
    }

    /// Sessions on all workers, those that wait included.
    var active: Int {
        var total = 0
        for index in 0..<workerCount { total += blocks[index].active.load(ordering: .acquiring) }
        return total
    }

    /// Sessions on all workers that wait in the service's queue.
    var queued: Int {
        var total = 0
        for index in 0..<workerCount { total += blocks[index].queued.load(ordering: .acquiring) }
        return total
    }
}

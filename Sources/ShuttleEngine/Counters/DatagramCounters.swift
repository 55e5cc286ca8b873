// Owns what one worker counts of the datagrams of one service. Summing over workers is Statistics's.

import Synchronization

/// Counters with a single writer, its worker. Every datagram that a worker receives for a service is counted once: as sent
/// on, or as dropped.
///
/// Padded to two cache lines, as `CounterBlock`.
struct DatagramCounters: ~Copyable {
    /// Sent on to backends.
    let sent = Atomic<UInt64>(0)
    /// Sent on to clients.
    let received = Atomic<UInt64>(0)
    /// Not sent on, in either direction: no session could begin, a socket's buffer was full, or the path takes no datagram
    /// of that size.
    let dropped = Atomic<UInt64>(0)
    /// Sessions that ended since their backend's host refused what was sent to it.
    let refused = Atomic<UInt64>(0)
    /// Sessions that ended to make room for others.
    let evicted = Atomic<UInt64>(0)
    /// Of those dropped, the ones that a limit of bandwidth let not pass.
    let limited = Atomic<UInt64>(0)
    private let padding: InlineArray<10, UInt64> = .init(repeating: 0)
}

/// One `DatagramCounters` per worker.
struct DatagramCounterBlocks: ~Copyable {
    private let blocks: UnsafeMutablePointer<DatagramCounters>
    private let workerCount: Int

    init(workerCount: Int) {
        self.workerCount = workerCount
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: workerCount * MemoryLayout<DatagramCounters>.stride,
            alignment: 128
        )
        blocks = memory.bindMemory(to: DatagramCounters.self, capacity: workerCount)
        for index in 0..<workerCount { (blocks + index).initialize(to: DatagramCounters()) }
    }

    deinit {
        blocks.deinitialize(count: workerCount)
        UnsafeMutableRawPointer(blocks).deallocate()
    }

    @inline(__always)
    func block(of worker: Int) -> UnsafeMutablePointer<DatagramCounters> {
        precondition(worker < workerCount)
        return blocks + worker
    }

    func sum(_ value: (borrowing DatagramCounters) -> UInt64) -> UInt64 {
        var total: UInt64 = 0
        for index in 0..<workerCount { total &+= value(blocks[index]) }
        return total
    }
}

// Owns the counters' layout and sums.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct CounterBlockTests {
    /// Workers that count for the same backend must not take cache lines, or pairs of them, from one another.
    @Test func blocksDoNotShareLines() {
        #expect(MemoryLayout<CounterBlock>.stride % 128 == 0)
        let blocks = CounterBlocks(workerCount: 5)
        for worker in 0..<5 {
            #expect(UInt(bitPattern: blocks.block(of: worker)) % 128 == 0)
        }
        #expect(blocks.block(of: 1) - blocks.block(of: 0) == 1)
    }

    @Test func sumsOverWorkers() {
        let blocks = CounterBlocks(workerCount: 3)
        for worker in 0..<3 {
            let block = blocks.block(of: worker)
            block.pointee.sentBytes.addAsOnlyWriter(UInt64(worker + 1))
            block.pointee.receivedBytes.addAsOnlyWriter(10)
            block.pointee.errors.addAsOnlyWriter(100)
            block.pointee.connections.addAsOnlyWriter(UInt64.max / 4)
            block.pointee.active.addAsOnlyWriter(worker)
        }
        #expect(blocks.sum { $0.sentBytes.load(ordering: .relaxed) } == 6)
        #expect(blocks.sum { $0.receivedBytes.load(ordering: .relaxed) } == 30)
        #expect(blocks.sum { $0.errors.load(ordering: .relaxed) } == 300)
        #expect(blocks.sum { $0.connections.load(ordering: .relaxed) } == UInt64.max / 4 * 3)
        #expect(blocks.active == 3)
        blocks.block(of: 2).pointee.active.addAsOnlyWriter(-2)
        #expect(blocks.active == 1)
    }

    /// One writer per block needs no locked instruction: nothing is lost, and readers see whole values.
    @Test func oneWriterPerBlock() {
        let blocks = UnsafeMutablePointer<CounterBlocks>.allocate(capacity: 1)
        blocks.initialize(to: CounterBlocks(workerCount: 4))
        defer {
            blocks.deinitialize(count: 1)
            blocks.deallocate()
        }
        let next = UnsafeMutablePointer<Atomic<Int>>.allocate(capacity: 1)
        next.initialize(to: Atomic(0))
        defer {
            next.deinitialize(count: 1)
            next.deallocate()
        }
        inThreads(4) {
            let worker = next.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
            let block = blocks.pointee.block(of: worker)
            for _ in 0..<50_000 {
                block.pointee.sentBytes.addAsOnlyWriter(1 << 32 + 1)
                block.pointee.active.addAsOnlyWriter(1)
                block.pointee.active.addAsOnlyWriter(-1)
            }
        }
        #expect(blocks.pointee.sum { $0.sentBytes.load(ordering: .relaxed) } == 4 * 50_000 * (1 << 32 + 1))
        #expect(blocks.pointee.active == 0)
    }
}

// Owns the pool's accounts: buffers go out, into queues, and come back, each exactly once.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct BufferPoolTests {
    /// The pieces of a queue as lengths, and where each begins within its buffer.
    private static func pieces(_ pool: borrowing BufferPool, _ queue: BufferQueue, limit: Int = 64) -> [(Int, Int)] {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: limit) { vectors in
            let (count, bytes) = pool.pieces(of: queue, into: vectors.baseAddress!, limit: limit)
            let first = UInt(bitPattern: pool.address(of: 0))
            let pieces = vectors[0..<count].map { vector in
                (Int(UInt(bitPattern: vector.iov_base) - first) % pool.bufferSize, Int(vector.iov_len))
            }
            #expect(bytes == pieces.reduce(0) { $0 + $1.1 })
            return pieces
        }
    }

    @Test func takesAndGivesBack() {
        var pool = BufferPool(bufferCount: 3, bufferSize: 16)!
        #expect(pool.freeCount == 3 && pool.bufferCount == 3 && pool.bufferSize == 16)
        let taken = [pool.takeFree()!, pool.takeFree()!, pool.takeFree()!]
        #expect(Set(taken) == [0, 1, 2] && pool.takeFree() == nil && pool.freeCount == 0)
        pool.giveBack(taken[1])
        #expect(pool.freeCount == 1)
        #expect(pool.takeFree() == taken[1], "the one used last is the one the cache knows")
    }

    /// Pieces move together in order, as far as the first buffer holds them, and the buffers they leave come back.
    @Test func gathersPieces() {
        var random = SeededGenerator(11)
        for _ in 0..<500 {
            var pool = BufferPool(bufferCount: 12, bufferSize: 16)!
            var queue = BufferQueue()
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let buffer = pool.takeFree()!
                let piece = (0..<Int.random(in: 1...16, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                pool.address(of: buffer).copyMemory(from: piece, byteCount: piece.count)
                _ = pool.append(buffer, count: piece.count, to: &queue)
                bytes += piece
                if Bool.random(using: &random) { pool.gather(&queue) }
                if bytes.count > 1, Int.random(in: 0..<4, using: &random) == 0 {
                    let count = Int.random(in: 1..<bytes.count, using: &random)
                    pool.consume(count, from: &queue)
                    bytes.removeFirst(count)
                }
            }
            pool.gather(&queue)
            #expect(Array(pool.firstBytes(of: queue)) == Array(bytes.prefix(16)))
            #expect(pool.freeCount + Int(queue.count) == 12)
            let held = withUnsafeTemporaryAllocation(of: iovec.self, capacity: 16) { vectors in
                let (count, total) = pool.pieces(of: queue, into: vectors.baseAddress!, limit: 16)
                #expect(total == bytes.count)
                return vectors[0..<count].flatMap { UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len) }
            }
            #expect(held == bytes)
            pool.discard(&queue)
            #expect(pool.freeCount == 12 && pool.firstBytes(of: queue).isEmpty)
        }
    }

    @Test func buffersLieApart() {
        let pool = BufferPool(bufferCount: 4, bufferSize: 100)!
        for buffer in BufferID(0)..<4 {
            #expect(pool.address(of: buffer) == pool.address(of: 0) + Int(buffer) * 100)
            memset(pool.address(of: buffer), Int32(buffer) + 1, 100)
        }
        for buffer in BufferID(0)..<4 {
            let bytes = UnsafeRawBufferPointer(start: pool.address(of: buffer), count: 100)
            #expect(bytes.allSatisfy { $0 == UInt8(buffer) + 1 })
        }
    }

    @Test func consumesInOrder() {
        var pool = BufferPool(bufferCount: 4, bufferSize: 10)!
        var queue = BufferQueue()
        for count in [10, 3, 7] { _ = pool.append(pool.takeFree()!, count: count, to: &queue) }
        #expect(queue.count == 3 && pool.freeCount == 1)
        pool.consume(4, from: &queue)
        #expect(BufferPoolTests.pieces(pool, queue).map(\.0) == [4, 0, 0])
        #expect(BufferPoolTests.pieces(pool, queue).map(\.1) == [6, 3, 7])
        pool.consume(6, from: &queue)
        #expect(queue.count == 2 && pool.freeCount == 2)
        pool.consume(9, from: &queue)
        #expect(BufferPoolTests.pieces(pool, queue).map(\.1) == [1])
        pool.consume(1, from: &queue)
        #expect(queue.isEmpty && pool.freeCount == 4)
        _ = pool.append(pool.takeFree()!, count: 5, to: &queue)
        #expect(BufferPoolTests.pieces(pool, queue).map(\.1) == [5], "an emptied queue begins anew")
    }

    @Test func describesAtMostWhatFits() {
        var pool = BufferPool(bufferCount: 8, bufferSize: 10)!
        var queue = BufferQueue()
        for _ in 0..<8 { _ = pool.append(pool.takeFree()!, count: 10, to: &queue) }
        #expect(BufferPoolTests.pieces(pool, queue, limit: 3).count == 3)
        #expect(BufferPoolTests.pieces(pool, BufferQueue()).isEmpty)
    }

    @Test func discardsEverything() {
        var pool = BufferPool(bufferCount: 5, bufferSize: 10)!
        var queue = BufferQueue()
        for _ in 0..<5 { _ = pool.append(pool.takeFree()!, count: 1, to: &queue) }
        pool.discard(&queue)
        #expect(queue.isEmpty && pool.freeCount == 5)
        pool.discard(&queue)
        #expect(pool.freeCount == 5)
    }

    /// Many queues over one pool, at random: the bytes of each stay its own and in order, and the sum is right.
    @Test func agreesWithAModel() {
        for seed in UInt64(1)...8 {
            var generator = SeededGenerator(seed)
            var pool = BufferPool(bufferCount: 12, bufferSize: 9)!
            var queues = Array(repeating: BufferQueue(), count: 4)
            var models = Array(repeating: [UInt8](), count: 4)
            var nextByte = Array(repeating: UInt8(0), count: 4)
            for step in 0..<2000 {
                let index = Int.random(in: 0..<4, using: &generator)
                switch Int.random(in: 0..<10, using: &generator) {
                case 0..<5:
                    guard let buffer = pool.takeFree() else { continue }
                    let count = Int.random(in: 1...9, using: &generator)
                    for offset in 0..<count {
                        pool.address(of: buffer).storeBytes(of: nextByte[index], toByteOffset: offset, as: UInt8.self)
                        models[index].append(nextByte[index])
                        nextByte[index] &+= UInt8(2 * index + 1)
                    }
                    _ = pool.append(buffer, count: count, to: &queues[index])
                case 5..<9:
                    let count = Int.random(in: 0...models[index].count, using: &generator)
                    pool.consume(count, from: &queues[index])
                    models[index].removeFirst(count)
                default:
                    if Int.random(in: 0..<10, using: &generator) == 0 {
                        pool.discard(&queues[index])
                        models[index].removeAll()
                    }
                }
                #expect(BufferPoolTests.content(pool, queues[index]) == models[index], "seed \(seed), step \(step)")
                #expect(pool.freeCount + queues.reduce(0) { $0 + Int($1.count) } == 12)
            }
        }
    }

    private static func content(_ pool: borrowing BufferPool, _ queue: BufferQueue) -> [UInt8] {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: 16) { vectors in
            let (count, _) = pool.pieces(of: queue, into: vectors.baseAddress!, limit: 16)
            return vectors[0..<count].flatMap { UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len) }
        }
    }

    @Test func givingBackTooMuchTraps() async {
        await #expect(processExitsWith: .failure) {
            var pool = BufferPool(bufferCount: 1, bufferSize: 1)!
            pool.giveBack(0)
        }
    }

    @Test func consumingTooMuchTraps() async {
        await #expect(processExitsWith: .failure) {
            var pool = BufferPool(bufferCount: 2, bufferSize: 4)!
            var queue = BufferQueue()
            _ = pool.append(pool.takeFree()!, count: 4, to: &queue)
            pool.consume(5, from: &queue)
        }
    }
}

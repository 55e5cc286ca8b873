// Owns the memory that sessions' bytes pass through and the links that queue it.
// Leaves to others: handing free buffers to the kernel (LinuxRing), whose bytes are in them (SessionSlot).

import Glibc

/// Index of a buffer in its worker's pool.
typealias BufferID = UInt16

/// Buffers in a row: what one direction of a session has received and not yet sent on. Indices, no pointers.
struct BufferQueue {
    static let none = UInt32.max

    fileprivate(set) var head = BufferQueue.none
    fileprivate(set) var tail = BufferQueue.none
    /// Buffers held.
    fileprivate(set) var count: UInt32 = 0

    @inline(__always)
    var isEmpty: Bool { count == 0 }
}

/// A worker's receive buffers: a fixed number of one size, reserved at start and touched when first used.
///
/// Free buffers are a stack, so that the ones used last, which the cache still knows, are used next.
struct BufferPool: ~Copyable {
    let bufferSize: Int
    let bufferCount: Int
    private let memory: UnsafeMutableRawPointer
    // Per buffer: the next of its queue, where its bytes not yet sent begin, and how many they are.
    private let next: UnsafeMutablePointer<UInt32>
    private let offset: UnsafeMutablePointer<UInt32>
    private let length: UnsafeMutablePointer<UInt32>
    private let freeStack: UnsafeMutablePointer<BufferID>
    /// The buffer that was handed to the kernel after this one, and so follows it in a receive that fills several.
    private let following: UnsafeMutablePointer<BufferID>
    private var lastProvided: BufferID?
    /// Buffers nobody uses: neither queued nor handed to the kernel.
    private(set) var freeCount: Int

    /// `nil` when the memory cannot be reserved. At most 32,768 buffers, the kernel's limit for a group.
    init?(bufferCount: Int, bufferSize: Int) {
        precondition((1...32768).contains(bufferCount) && bufferSize > 0)
        let bytes = bufferCount * bufferSize
        let mapping = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let mapping, mapping != MAP_FAILED else { return nil }
        self.bufferSize = bufferSize
        self.bufferCount = bufferCount
        memory = mapping
        next = .allocate(capacity: bufferCount)
        offset = .allocate(capacity: bufferCount)
        length = .allocate(capacity: bufferCount)
        freeStack = .allocate(capacity: bufferCount)
        following = .allocate(capacity: bufferCount)
        following.initialize(repeating: 0, count: bufferCount)
        next.initialize(repeating: BufferQueue.none, count: bufferCount)
        offset.initialize(repeating: 0, count: bufferCount)
        length.initialize(repeating: 0, count: bufferCount)
        for index in 0..<bufferCount { freeStack[index] = BufferID(bufferCount - 1 - index) }
        freeCount = bufferCount
    }

    deinit {
        munmap(memory, bufferCount * bufferSize)
        next.deallocate()
        offset.deallocate()
        length.deallocate()
        freeStack.deallocate()
        following.deallocate()
    }

    /// Where a buffer's memory begins.
    @inline(__always)
    func address(of buffer: BufferID) -> UnsafeMutableRawPointer {
        assert(Int(buffer) < bufferCount)
        return memory + Int(buffer) &* bufferSize
    }

    @inline(__always)
    mutating func takeFree() -> BufferID? {
        guard freeCount > 0 else { return nil }
        freeCount &-= 1
        return freeStack[freeCount]
    }

    /// Takes a free buffer that the kernel is to get next.
    @inline(__always)
    mutating func provideNext() -> BufferID? {
        guard let buffer = takeFree() else { return nil }
        if let lastProvided { following[Int(lastProvided)] = buffer }
        lastProvided = buffer
        return buffer
    }

    @inline(__always)
    mutating func giveBack(_ buffer: BufferID) {
        precondition(freeCount < bufferCount)
        freeStack[freeCount] = buffer
        freeCount &+= 1
    }

    /// Queues the buffers that `count` received bytes are in, at least 1: `buffer` and, full ones first, those that
    /// follow it. Returns how many they are.
    @inline(__always)
    mutating func append(_ buffer: BufferID, count: Int, to queue: inout BufferQueue) -> Int {
        var (buffer, remaining, used) = (buffer, count, 0)
        while true {
            let follower = following[Int(buffer)]
            appendOne(buffer, count: min(remaining, bufferSize), to: &queue)
            used &+= 1
            remaining &-= bufferSize
            if remaining <= 0 { return used }
            buffer = follower
        }
    }

    /// Takes back the buffers that `count` received bytes are in; one when there are none. Returns how many they are.
    mutating func giveBackFilled(_ buffer: BufferID, count: Int) -> Int {
        var (buffer, remaining, used) = (buffer, count, 0)
        while true {
            giveBack(buffer)
            used &+= 1
            remaining &-= bufferSize
            if remaining <= 0 { return used }
            buffer = following[Int(buffer)]
        }
    }

    @inline(__always)
    private mutating func appendOne(_ buffer: BufferID, count: Int, to queue: inout BufferQueue) {
        let index = Int(buffer)
        next[index] = BufferQueue.none
        offset[index] = 0
        length[index] = UInt32(truncatingIfNeeded: count)
        if queue.tail == BufferQueue.none {
            queue.head = UInt32(buffer)
        } else {
            next[Int(queue.tail)] = UInt32(buffer)
        }
        queue.tail = UInt32(buffer)
        queue.count &+= 1
    }

    /// Drops the first `count` bytes of a queue and gives back the buffers that are empty then.
    @inline(__always)
    mutating func consume(_ count: Int, from queue: inout BufferQueue) {
        var remaining = UInt32(truncatingIfNeeded: count)
        while remaining > 0 {
            precondition(queue.head != BufferQueue.none)
            let index = Int(queue.head)
            if remaining < length[index] {
                offset[index] &+= remaining
                length[index] &-= remaining
                return
            }
            remaining &-= length[index]
            removeHead(of: &queue)
        }
    }

    /// Moves as much of a queue as it holds into its first buffer, and gives back the buffers that are empty then: small
    /// pieces that are waited with would hold a whole buffer each. Nothing of the queue may be in flight.
    mutating func gather(_ queue: inout BufferQueue) {
        guard queue.head != queue.tail else { return }
        let head = Int(queue.head)
        let start = address(of: BufferID(truncatingIfNeeded: head))
        if offset[head] > 0 {
            memmove(start, start + Int(offset[head]), Int(length[head]))
            offset[head] = 0
        }
        while next[head] != BufferQueue.none {
            let follower = Int(next[head])
            let count = min(UInt32(bufferSize) - length[head], length[follower])
            guard count > 0 else { return }
            let source = address(of: BufferID(truncatingIfNeeded: follower)) + Int(offset[follower])
            memcpy(start + Int(length[head]), source, Int(count))
            length[head] &+= count
            offset[follower] &+= count
            length[follower] &-= count
            guard length[follower] == 0 else { return }
            next[head] = next[follower]
            if queue.tail == UInt32(follower) { queue.tail = queue.head }
            queue.count &-= 1
            giveBack(BufferID(truncatingIfNeeded: follower))
        }
    }

    /// The bytes in the first buffer of a queue; valid until they are consumed.
    func firstBytes(of queue: BufferQueue) -> UnsafeRawBufferPointer {
        guard queue.head != BufferQueue.none else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        let head = Int(queue.head)
        let start = address(of: BufferID(truncatingIfNeeded: head)) + Int(offset[head])
        return UnsafeRawBufferPointer(start: start, count: Int(length[head]))
    }

    /// Gives back all buffers of a queue.
    mutating func discard(_ queue: inout BufferQueue) {
        while !queue.isEmpty { removeHead(of: &queue) }
    }

    @inline(__always)
    private mutating func removeHead(of queue: inout BufferQueue) {
        let index = Int(queue.head)
        let following = next[index]
        giveBack(BufferID(truncatingIfNeeded: index))
        queue.head = following
        if following == BufferQueue.none { queue.tail = BufferQueue.none }
        queue.count &-= 1
    }

    /// Describes the first bytes of a queue, at most `limit` pieces; returns the number of pieces and their bytes.
    @inline(__always)
    func pieces(
        of queue: BufferQueue,
        into vectors: UnsafeMutablePointer<iovec>,
        limit: Int
    ) -> (count: Int, bytes: Int) {
        var index = queue.head
        var count = 0
        var bytes = 0
        while index != BufferQueue.none, count < limit {
            let piece = Int(index)
            vectors[count] = iovec(
                iov_base: address(of: BufferID(truncatingIfNeeded: index)) + Int(offset[piece]),
                iov_len: Int(length[piece])
            )
            bytes &+= Int(length[piece])
            count &+= 1
            index = next[piece]
        }
        return (count, bytes)
    }
}

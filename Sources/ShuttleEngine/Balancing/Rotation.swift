// Owns the order of weighted round robin: a smooth sequence and the ticket that all rings draw from.

import Synchronization

/// Every backend as often in a cycle as its weight says, as evenly spread as whole turns allow.
///
/// Immutable but for the ticket. Rings draw tickets with one atomic addition, so a cycle is exact over all of them.
final class Rotation: Sendable {
    /// A backend's place in its service's list, and its weight.
    struct Share: Equatable {
        var backend: UInt32
        var weight: Int
    }

    /// Cycles longer than this are shortened by scaling the weights down, each staying at least 1.
    static let lengthMax = 65536

    nonisolated(unsafe) let sequence: UnsafeBufferPointer<UInt32>
    nonisolated(unsafe) let ticket: UnsafeMutablePointer<Atomic<UInt64>>

    /// `shares` of usable backends; those with weight 0 are left out. The first turn is where in its cycle `previous`
    /// stands, or the first of all.
    init(_ shares: [Share], after previous: Rotation? = nil) {
        let order = Rotation.order(Rotation.reduced(shares.filter { $0.weight > 0 }))
        let memory = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: order.count)
        _ = memory.initialize(from: order)
        sequence = UnsafeBufferPointer(memory)
        ticket = .allocate(capacity: 1)
        ticket.initialize(to: Atomic(previous?.turn(ofCycle: UInt64(order.count)) ?? 0))
    }

    deinit {
        sequence.deallocate()
        ticket.deinitialize(count: 1)
        ticket.deallocate()
    }

    /// The turn of a cycle of another length that is as far from its beginning as the next turn of this one.
    private func turn(ofCycle length: UInt64) -> UInt64 {
        guard !sequence.isEmpty else { return 0 }
        return ticket.pointee.load(ordering: .relaxed) % UInt64(sequence.count) * length / UInt64(sequence.count)
    }

    /// Divides by the greatest common divisor and keeps the cycle's length within `lengthMax`.
    static func reduced(_ shares: [Share]) -> [Share] {
        let divisor = shares.reduce(0) { greatestCommonDivisor($0, $1.weight) }
        guard divisor > 0 else { return [] }
        let divided = shares.map { Share(backend: $0.backend, weight: $0.weight / divisor) }
        let total = divided.reduce(0) { $0 + $1.weight }
        guard total > lengthMax else { return divided }
        // Rounding down leaves room for the shares that are lifted to 1.
        let room = lengthMax - divided.count
        return divided.map { Share(backend: $0.backend, weight: max(1, $0.weight * room / total)) }
    }

    /// Each backend's n-th turn is due at (n + ½) / weight of the cycle; turns are taken in the order they are due.
    /// Ties go to the backend that comes first in the list.
    static func order(_ shares: [Share]) -> [UInt32] {
        struct Turn {
            var numerator: Int  // of the due time: (2n + 1) / (2 · weight)
            var weight: Int
            var position: Int

            func isDue(before other: Turn) -> Bool {
                let left = numerator * other.weight
                let right = other.numerator * weight
                return left == right ? position < other.position : left < right
            }
        }
        // A binary heap: the cycle can have 65,536 turns of 4,096 backends.
        var heap: [Turn] = []
        heap.reserveCapacity(shares.count)
        for (position, share) in shares.enumerated() {
            heap.append(Turn(numerator: 1, weight: share.weight, position: position))
        }
        func sink(_ start: Int, in heap: inout [Turn]) {
            var parent = start
            while true {
                var first = parent
                for child in [2 * parent + 1, 2 * parent + 2]
                where child < heap.count && heap[child].isDue(before: heap[first]) {
                    first = child
                }
                if first == parent { return }
                heap.swapAt(first, parent)
                parent = first
            }
        }
        for start in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(start, in: &heap) }
        let length = shares.reduce(0) { $0 + $1.weight }
        var order: [UInt32] = []
        order.reserveCapacity(length)
        for _ in 0..<length {
            order.append(shares[heap[0].position].backend)
            heap[0].numerator += 2
            sink(0, in: &heap)
        }
        return order
    }

    private static func greatestCommonDivisor(_ left: Int, _ right: Int) -> Int {
        var (left, right) = (left, right)
        while right != 0 { (left, right) = (right, left % right) }
        return left
    }
}

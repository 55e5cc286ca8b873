// Owns the hand-over of a pointer from the control thread to a worker: a single slot, exchanged without locks.

import Synchronization

/// Whoever takes the pointer out owns what it points to; putting one in returns the one nobody took.
struct Mailbox<Value: ~Copyable>: ~Copyable {
    // A pointer's bits, 0 for none: the compiler's thread sanitizer breaks on atomic exchanges of pointers themselves.
    private let slot = Atomic<UInt>(0)

    /// One load: what a worker asks between batches.
    @inline(__always)
    var isEmpty: Bool { slot.load(ordering: .relaxed) == 0 }

    func put(_ value: UnsafeMutablePointer<Value>) -> UnsafeMutablePointer<Value>? {
        UnsafeMutablePointer(
            bitPattern: slot.exchange(UInt(bitPattern: value), ordering: .acquiringAndReleasing)
        )
    }

    func take() -> UnsafeMutablePointer<Value>? {
        UnsafeMutablePointer(bitPattern: slot.exchange(0, ordering: .acquiringAndReleasing))
    }
}

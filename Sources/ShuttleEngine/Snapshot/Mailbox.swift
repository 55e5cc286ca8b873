// Owns the hand-over of a pointer from the control thread to a worker: a single slot, exchanged without locks.

import Synchronization

/// Whoever takes the pointer out owns what it points to; putting one in returns the one nobody took.
struct Mailbox<Value>: ~Copyable {
    private let slot = Atomic<UnsafeMutableRawPointer?>(nil)

    /// One load: what a worker asks between batches.
    @inline(__always)
    var isEmpty: Bool { slot.load(ordering: .relaxed) == nil }

    func put(_ value: UnsafeMutablePointer<Value>) -> UnsafeMutablePointer<Value>? {
        slot.exchange(UnsafeMutableRawPointer(value), ordering: .acquiringAndReleasing)?
            .assumingMemoryBound(to: Value.self)
    }

    func take() -> UnsafeMutablePointer<Value>? {
        slot.exchange(nil, ordering: .acquiringAndReleasing)?.assumingMemoryBound(to: Value.self)
    }
}

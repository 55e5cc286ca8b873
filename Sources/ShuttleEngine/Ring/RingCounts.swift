// Owns reading how much a ring has done from the memory that it shares with the kernel: nothing is counted for it, and no
// ring is asked. Leaves to others: adding up (WorkerThread).

import Synchronization

/// The ends of a ring's queues, which count in 32 bits. Any thread may read them as long as the ring is there.
struct RingCounts {
    private let submissionTail: UnsafePointer<Atomic<UInt32>>
    private let completionHead: UnsafePointer<Atomic<UInt32>>

    init(submitted: UnsafeMutablePointer<UInt32>, completed: UnsafeMutablePointer<UInt32>) {
        submissionTail = UnsafeRawPointer(submitted).assumingMemoryBound(to: Atomic<UInt32>.self)
        completionHead = UnsafeRawPointer(completed).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// Operations that the kernel was given, modulo 2^32.
    var submitted: UInt32 { submissionTail.pointee.load(ordering: .relaxed) }
    /// Completions that were taken from it, likewise.
    var completed: UInt32 { completionHead.pointee.load(ordering: .relaxed) }
}

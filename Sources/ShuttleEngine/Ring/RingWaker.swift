// Owns how another thread makes a ring look at its mailbox.

import CURing
import Glibc

/// Wakes one ring: by a message where the kernel can send one without a ring (Linux 6.13), else by an eventfd.
struct RingWaker: Sendable {
    let ring: Int32
    /// -1 when messages are used.
    let event: Int32

    /// `false` when the ring could not be told; the caller tries again.
    func wake() -> Bool {
        if event >= 0 {
            var one: UInt64 = 1
            return write(event, &one, MemoryLayout<UInt64>.size) == MemoryLayout<UInt64>.size
        }
        return RingWaker.send(to: ring) == 0
    }

    /// Returns 0 or a negated errno; EINVAL where the kernel does not know the call.
    static func send(to ring: Int32) -> Int32 {
        var entry = io_uring_sqe()
        io_uring_prep_msg_ring(&entry, ring, 0, OperationTag.wake.rawValue, 0)
        return io_uring_register(UInt32.max, SHUTTLE_REGISTER_SEND_MSG_RING, &entry, 1)
    }
}

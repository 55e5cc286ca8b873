// Owns what a ring may ever be asked to do: an allow-list that the kernel holds it to.
// Leaves to others: what is asked of it (LinuxRing and its extensions).

import CURing
import Glibc

/// The operations of a ring, registered while it is disabled (io_uring_register(2), IORING_REGISTER_RESTRICTIONS).
///
/// seccomp sees only the three calls of io_uring, not what is asked by them. With this list a ring opens no file, makes no
/// folder and starts no program, whoever writes into its queue. It holds for the ring's life and cannot be taken back.
enum RingRestrictions {
    /// Every operation that LinuxRing submits, by each one's line in its sources.
    static let operations: [io_uring_op] = [
        IORING_OP_NOP, IORING_OP_ACCEPT, IORING_OP_CONNECT, IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SENDMSG,
        IORING_OP_RECVMSG, IORING_OP_POLL_ADD, IORING_OP_CLOSE, IORING_OP_ASYNC_CANCEL, IORING_OP_TIMEOUT,
        IORING_OP_TIMEOUT_REMOVE,
    ]

    /// Of rings that are woken by an eventfd.
    static let operationsOfEvents: [io_uring_op] = [IORING_OP_READ]

    static func count(wakesByEvent: Bool) -> Int { operations.count + (wakesByEvent ? operationsOfEvents.count : 0) }

    /// What may be registered once the ring is enabled: its own descriptor, for cheaper calls, and that it is let go of.
    static let registrations: [UInt32] = [SHUTTLE_REGISTER_RING_FDS, SHUTTLE_UNREGISTER_RING_FDS]

    /// What may stand beside an operation.
    static let flags = SHUTTLE_SQE_BUFFER_SELECT | SHUTTLE_SQE_CQE_SKIP_SUCCESS

    /// Registers the list with a ring that is disabled; it holds from the ring's enabling on.
    ///
    /// - Throws: the errno of the call; it exists since Linux 5.10.
    static func register(with ring: UnsafeMutablePointer<io_uring>, wakesByEvent: Bool) throws(SystemCallError) {
        let allowed = operations + (wakesByEvent ? operationsOfEvents : [])
        var list = allowed.map { entry(SHUTTLE_RESTRICTION_SQE_OP, UInt8(truncatingIfNeeded: $0.rawValue)) }
        list += registrations.map { entry(SHUTTLE_RESTRICTION_REGISTER_OP, UInt8(truncatingIfNeeded: $0)) }
        list.append(entry(SHUTTLE_RESTRICTION_SQE_FLAGS_ALLOWED, flags))
        // Debian's liburing 2.3 declares io_uring_register_restrictions and does not export it.
        let descriptor = UInt32(bitPattern: ring.pointee.ring_fd)
        let outcome = io_uring_register(descriptor, SHUTTLE_REGISTER_RESTRICTIONS, &list, UInt32(list.count))
        guard outcome == 0 else { throw SystemCallError(code: -outcome) }
    }

    private static func entry(_ kind: UInt16, _ value: UInt8) -> io_uring_restriction {
        var entry = io_uring_restriction()
        entry.opcode = kind
        // The three kinds share their place.
        entry.sqe_op = value
        return entry
    }
}

// Owns the setup that every ring has, workers' and those that features are tried on.
// Leaves to others: its memory and its use (LinuxRing).

import CURing
import Glibc

extension LinuxRing {
    /// The setup every ring has: one thread submits, completions are run when it asks for them.
    static func open(_ sizes: Sizes, disabled: Bool) throws(SystemCallError) -> UnsafeMutablePointer<io_uring> {
        let ring = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
        ring.initialize(to: io_uring())
        var parameters = io_uring_params()
        parameters.flags =
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE
            | IORING_SETUP_CLAMP
        if disabled { parameters.flags |= IORING_SETUP_R_DISABLED }
        parameters.cq_entries = sizes.completions
        let outcome = io_uring_queue_init_params(sizes.submissions, ring, &parameters)
        guard outcome == 0 else {
            ring.deallocate()
            throw SystemCallError(code: -outcome)
        }
        return ring
    }

    static func discard(_ ring: UnsafeMutablePointer<io_uring>) {
        io_uring_queue_exit(ring)
        ring.deallocate()
    }
}

// Owns finding out, once and by trying, what this kernel's io_uring can do. Version numbers are not asked: vendors
// backport, and sandboxes take away.

import CURing
import Glibc

enum RingProbe {
    /// Tries each feature on a small ring; throws the errno when not even that can be created.
    static func capabilities() throws(SystemCallError) -> RingCapabilities {
        let sizes = LinuxRing.Sizes(submissions: 8, completions: 16, buffers: 1, bufferSize: 4096, providedBuffers: 1)
        let ring = try LinuxRing.open(sizes, disabled: false)
        defer { LinuxRing.discard(ring) }
        return RingCapabilities(
            hasReceiveLimit: canLimitReceives(ring),
            hasMessageWithoutRing: RingWaker.send(to: ring.pointee.ring_fd) == 0
                && nextResult(ring, tag: OperationTag.wake.rawValue) != nil,
            hasBundles: ring.pointee.features & SHUTTLE_FEATURE_BUNDLE != 0 && BundleProbe.keepsOrder(),
            hasMinimumWait: ring.pointee.features & SHUTTLE_FEATURE_MINIMUM_WAIT != 0,
            hasSplice: true
        )
    }

    /// Kernels without the limit refuse the word it is in.
    private static func canLimitReceives(_ ring: UnsafeMutablePointer<io_uring>) -> Bool {
        var pair: (Int32, Int32) = (-1, -1)
        let opened = withUnsafeMutableBytes(of: &pair) {
            socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, $0.baseAddress!.assumingMemoryBound(to: Int32.self))
        }
        guard opened == 0 else { return false }
        defer {
            _ = close(pair.0)
            _ = close(pair.1)
        }
        // No buffers are registered: a kernel that knows the limit gets as far as missing them.
        var byte: UInt8 = 0
        guard write(pair.1, &byte, 1) == 1, let entry = io_uring_get_sqe(ring) else { return false }
        io_uring_prep_recv(entry, pair.0, nil, 0, 0)
        entry.pointee.ioprio = UInt16(truncatingIfNeeded: IORING_RECV_MULTISHOT)
        entry.pointee.flags |= SHUTTLE_SQE_BUFFER_SELECT
        shuttle_sqe_set_buffer_group(entry, 0)
        shuttle_sqe_set_receive_limit(entry, 4096)
        let tag: UInt64 = 1
        entry.pointee.user_data = tag
        return nextResult(ring, tag: tag) == -ENOBUFS
    }

    /// Waits up to a second for the completion with `tag`.
    private static func nextResult(_ ring: UnsafeMutablePointer<io_uring>, tag: UInt64) -> Int32? {
        nextCompletion(ring, tag: tag)?.result
    }

    /// Waits up to a second for the completion with `tag`.
    static func nextCompletion(_ ring: UnsafeMutablePointer<io_uring>, tag: UInt64) -> Completion? {
        var time = __kernel_timespec(tv_sec: 1, tv_nsec: 0)
        var entry: UnsafeMutablePointer<io_uring_cqe>?
        while io_uring_submit_and_wait_timeout(ring, &entry, 1, &time, nil) >= 0, let found = entry {
            let completion = Completion(
                tag: OperationTag(rawValue: found.pointee.user_data),
                result: found.pointee.res,
                flags: found.pointee.flags
            )
            io_uring_cq_advance(ring, 1)
            if completion.tag.rawValue == tag { return completion }
        }
        return nil
    }
}

// Owns that a ring does what LinuxRing asks of it, and that the kernel refuses it everything else.

import CURing
import Foundation
import Testing

@testable import ShuttleEngine

@Suite struct RingRestrictionsTests {
    /// A ring as the workers have it, enabled.
    private func withRing(_ body: (UnsafeMutablePointer<io_uring>) -> Void) throws {
        let sizes = LinuxRing.Sizes(submissions: 8, completions: 16, buffers: 1, bufferSize: 4096, providedBuffers: 1)
        let ring = try LinuxRing.open(sizes, disabled: true)
        defer { LinuxRing.discard(ring) }
        try RingRestrictions.register(with: ring, wakesByEvent: false)
        let descriptor = UInt32(bitPattern: ring.pointee.ring_fd)
        #expect(io_uring_register(descriptor, SHUTTLE_REGISTER_ENABLE_RINGS, nil, 0) == 0)
        body(ring)
    }

    private func result(
        _ ring: UnsafeMutablePointer<io_uring>, _ prepare: (UnsafeMutablePointer<io_uring_sqe>) -> Void
    ) -> Int32 {
        guard let entry = io_uring_get_sqe(ring) else {
            Issue.record("no place for a submission")
            return .max
        }
        prepare(entry)
        entry.pointee.user_data = 7
        guard let completion = RingProbe.nextCompletion(ring, tag: 7) else {
            Issue.record("it does not complete")
            return .max
        }
        return completion.result
    }

    @Test func doesWhatIsAllowed() throws {
        try withRing { ring in
            #expect(result(ring) { io_uring_prep_nop($0) } == 0)
            #expect(result(ring) { io_uring_prep_close($0, -1) } == -EBADF)
            #expect(io_uring_register_ring_fd(ring) == 1)
            #expect(io_uring_unregister_ring_fd(ring) == 1)
        }
    }

    @Test func refusesWhatNobodyAsksFor() throws {
        try withRing { ring in
            let path = strdup("/dev/null")
            defer { free(path) }
            #expect(result(ring) { io_uring_prep_openat($0, AT_FDCWD, path, O_RDONLY, 0) } == -EACCES)
            #expect(
                result(ring) { io_uring_prep_read($0, -1, nil, 0, 0) } == -EACCES, "it is for rings with an eventfd")
            #expect(result(ring) { io_uring_prep_socket($0, AF_INET, 1, 0, 0) } == -EACCES)
            #expect(
                result(ring) {
                    io_uring_prep_nop($0)
                    $0.pointee.flags |= UInt8(1 << 4)  // IOSQE_ASYNC
                } == -EACCES)
            var limits: (UInt32, UInt32) = (4, 4)
            let outcome = withUnsafeMutableBytes(of: &limits) {
                io_uring_register_iowq_max_workers(ring, $0.baseAddress!.assumingMemoryBound(to: UInt32.self))
            }
            #expect(outcome == -EACCES)
        }
    }

    @Test func ringsWithAnEventReadIt() throws {
        let sizes = LinuxRing.Sizes(submissions: 8, completions: 16, buffers: 1, bufferSize: 4096, providedBuffers: 1)
        let ring = try LinuxRing.open(sizes, disabled: true)
        defer { LinuxRing.discard(ring) }
        try RingRestrictions.register(with: ring, wakesByEvent: true)
        #expect(io_uring_register(UInt32(bitPattern: ring.pointee.ring_fd), SHUTTLE_REGISTER_ENABLE_RINGS, nil, 0) == 0)
        #expect(result(ring) { io_uring_prep_read($0, -1, nil, 0, 0) } == -EBADF)
    }

    @Test func refusesARingThatRuns() throws {
        let sizes = LinuxRing.Sizes(submissions: 8, completions: 16, buffers: 1, bufferSize: 4096, providedBuffers: 1)
        let ring = try LinuxRing.open(sizes, disabled: false)
        defer { LinuxRing.discard(ring) }
        #expect(throws: SystemCallError.self) { try RingRestrictions.register(with: ring, wakesByEvent: false) }
    }

    /// The list and the sources say the same: what is prepared is allowed, and what is allowed is prepared.
    @Test func isWhatTheSourcesPrepare() throws {
        let names: [String: io_uring_op] = [
            "nop": IORING_OP_NOP, "accept": IORING_OP_ACCEPT, "connect": IORING_OP_CONNECT, "recv": IORING_OP_RECV,
            "send": IORING_OP_SEND, "sendmsg": IORING_OP_SENDMSG, "recvmsg": IORING_OP_RECVMSG,
            "poll_add": IORING_OP_POLL_ADD, "close": IORING_OP_CLOSE, "cancel64": IORING_OP_ASYNC_CANCEL,
            "timeout": IORING_OP_TIMEOUT, "timeout_update": IORING_OP_TIMEOUT_REMOVE, "read": IORING_OP_READ,
        ]
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Sources/ShuttleEngine/Ring")
        var prepared: Set<String> = []
        for file in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        where file.lastPathComponent.hasPrefix("LinuxRing") {
            let text = try String(contentsOf: file, encoding: .utf8)
            for match in text.matches(of: #/(?:io_uring|shuttle)_prep_([a-z0-9_]+)\(/#) {
                prepared.insert(String(match.output.1))
            }
        }
        #expect(prepared == Set(names.keys))
        let allowed = RingRestrictions.operations + RingRestrictions.operationsOfEvents
        #expect(Set(allowed.map(\.rawValue)) == Set(names.values.map(\.rawValue)))
    }
}

// Owns the trial of receives that fill several buffers: some kernels that offer them got the order of the bytes wrong.

import CURing
import Glibc

/// Receives a known stream into small buffers, in bundles and in several portions, and compares it byte by byte.
enum BundleProbe {
    private static let bufferCount = 16
    private static let bufferSize = 8
    private static let group: UInt16 = 1
    private static let tag: UInt64 = 1

    /// The order in which the buffers are provided: the last first, so that a kernel that counts on from an identifier
    /// fails.
    static let order = (0..<bufferCount).reversed().map { UInt16($0) }

    /// `false` when anything was not as it must be. Buffers are expected to be filled in the order `expected`.
    static func keepsOrder(expected: [UInt16] = order) -> Bool {
        var sizes = LinuxRing.Sizes()
        sizes.submissions = 8
        sizes.completions = 64
        guard let ring = try? LinuxRing.open(sizes, disabled: false) else { return false }
        defer { LinuxRing.discard(ring) }
        guard let pair = connectedPair() else { return false }
        defer {
            _ = close(pair.0)
            _ = close(pair.1)
        }
        let bytes = bufferCount * MemoryLayout<io_uring_buf>.stride
        let mapping = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let mapping, mapping != MAP_FAILED else { return false }
        defer { munmap(mapping, bytes) }
        var registration = io_uring_buf_reg()
        registration.ring_addr = UInt64(UInt(bitPattern: mapping))
        registration.ring_entries = UInt32(bufferCount)
        registration.bgid = group
        guard io_uring_register_buf_ring(ring, &registration, 0) == 0 else { return false }
        let provided = mapping.bindMemory(to: io_uring_buf_ring.self, capacity: 1)
        io_uring_buf_ring_init(provided)
        return withUnsafeTemporaryAllocation(byteCount: bufferCount * bufferSize, alignment: 8) { memory in
            receives(ring, pair, into: memory, provided, expected)
        }
    }

    private static func receives(
        _ ring: UnsafeMutablePointer<io_uring>,
        _ pair: (Int32, Int32),
        into memory: UnsafeMutableRawBufferPointer,
        _ provided: UnsafeMutablePointer<io_uring_buf_ring>,
        _ expected: [UInt16]
    ) -> Bool {
        for (position, identifier) in order.enumerated() {
            io_uring_buf_ring_add(
                provided,
                memory.baseAddress! + Int(identifier) * bufferSize,
                UInt32(bufferSize),
                identifier,
                io_uring_buf_ring_mask(UInt32(bufferCount)),
                Int32(position)
            )
        }
        io_uring_buf_ring_advance(provided, Int32(bufferCount))
        guard let entry = io_uring_get_sqe(ring) else { return false }
        io_uring_prep_recv(entry, pair.0, nil, 0, 0)
        entry.pointee.ioprio = UInt16(truncatingIfNeeded: IORING_RECV_MULTISHOT) | SHUTTLE_RECEIVE_BUNDLE
        entry.pointee.flags |= SHUTTLE_SQE_BUFFER_SELECT
        shuttle_sqe_set_buffer_group(entry, group)
        entry.pointee.user_data = tag
        guard io_uring_submit(ring) == 1 else { return false }
        // Portions that end inside a buffer, at its end, and in the first one.
        var (sent, place): (UInt8, Int) = (0, 0)
        for portion in [37, 16, 3, 40] {
            let stream = (0..<portion).map { sent &+ UInt8($0) }
            guard write(pair.1, stream, portion) == portion else { return false }
            var remaining = portion
            while remaining > 0 {
                guard let received = RingProbe.nextCompletion(ring, tag: tag), received.result > 0,
                    let first = received.buffer, expected.indices.contains(place), first == expected[place]
                else { return false }
                var count = Int(received.result)
                while count > 0 {
                    guard expected.indices.contains(place) else { return false }
                    let piece = min(count, bufferSize)
                    for offset in 0..<piece {
                        guard memory[Int(expected[place]) * bufferSize + offset] == sent else { return false }
                        sent &+= 1
                    }
                    count -= piece
                    remaining -= piece
                    place += 1
                }
            }
        }
        return true
    }

    private static func connectedPair() -> (Int32, Int32)? {
        var pair: (Int32, Int32) = (-1, -1)
        let opened = withUnsafeMutableBytes(of: &pair) {
            socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, $0.baseAddress!.assumingMemoryBound(to: Int32.self))
        }
        return opened == 0 ? pair : nil
    }
}

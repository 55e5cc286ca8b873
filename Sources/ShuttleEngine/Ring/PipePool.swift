// Owns a worker's pipes, through which the kernel moves the bytes of spliced flows.
// Leaves to others: when a flow is spliced (SplicePolicy), whose bytes are in a pipe (Flow).

import CURing
import Glibc

/// Index of a pipe in its worker's pool.
struct PipeID: Equatable {
    let rawValue: UInt16

    @inline(__always) static var none: PipeID { PipeID(rawValue: .max) }
}

/// Pipes that are opened when first needed and kept until the ring ends. A flow holds one only while bytes are in it,
/// so a few do for many flows, and the pages of the one used last are still in the cache.
struct PipePool: ~Copyable {
    /// As large as the default of fs.pipe-max-size allows twice; larger ones were not faster.
    private static let capacityBytes: Int32 = 512 << 10
    /// A pipe that was given less than this is not worth its calls: pipe(7), pipe-user-pages-soft.
    private static let capacityMinBytes: Int32 = 64 << 10

    private struct Ends {
        var read: Int32
        var write: Int32
    }

    private let pipes: UnsafeMutablePointer<Ends>
    private let free: UnsafeMutablePointer<PipeID>
    private let limit: Int
    private var openedCount = 0
    private var freeCount = 0

    /// At most `limit` pipes, 65,534 at most.
    init(limit: Int) {
        precondition((0..<Int(UInt16.max)).contains(limit))
        self.limit = limit
        pipes = .allocate(capacity: max(1, limit))
        free = .allocate(capacity: max(1, limit))
    }

    deinit {
        pipes.deallocate()
        free.deallocate()
    }

    /// Closes every pipe; idempotent. None may be in use.
    mutating func closeAll() {
        for index in 0..<openedCount where pipes[index].read >= 0 { closeEnds(index) }
        openedCount = 0
        freeCount = 0
    }

    /// An empty pipe; `nil` when the limit is reached or the system has none.
    @inline(__always)
    mutating func take() -> PipeID? {
        if freeCount > 0 {
            freeCount &-= 1
            return free[freeCount]
        }
        return openOne()
    }

    private mutating func openOne() -> PipeID? {
        guard openedCount < limit, let ends = PipePool.open() else { return nil }
        pipes[openedCount] = ends
        openedCount += 1
        return PipeID(rawValue: UInt16(truncatingIfNeeded: openedCount - 1))
    }

    /// One that holds bytes is opened anew, since nothing else empties it in one step.
    @inline(__always)
    mutating func giveBack(_ pipe: PipeID, isEmpty: Bool) {
        if !isEmpty && !renew(Int(pipe.rawValue)) { return }
        free[freeCount] = pipe
        freeCount &+= 1
    }

    /// A place whose pipe cannot be opened again is lost: the pool goes on with fewer.
    private mutating func renew(_ index: Int) -> Bool {
        closeEnds(index)
        guard let ends = PipePool.open() else {
            pipes[index] = Ends(read: -1, write: -1)
            return false
        }
        pipes[index] = ends
        return true
    }

    @inline(__always)
    func readEnd(_ pipe: PipeID) -> Int32 { pipes[Int(pipe.rawValue)].read }
    @inline(__always)
    func writeEnd(_ pipe: PipeID) -> Int32 { pipes[Int(pipe.rawValue)].write }

    private func closeEnds(_ index: Int) {
        _ = Glibc.close(pipes[index].read)
        _ = Glibc.close(pipes[index].write)
    }

    private static func open() -> Ends? {
        var pair: (Int32, Int32) = (-1, -1)
        let opened = withUnsafeMutableBytes(of: &pair) {
            shuttle_pipe($0.baseAddress!.assumingMemoryBound(to: Int32.self))
        }
        guard opened == 0 else { return nil }
        let ends = Ends(read: pair.0, write: pair.1)
        // Refused without privilege beyond the user's share of pages; what there is may still do.
        _ = shuttle_set_pipe_capacity(ends.write, capacityBytes)
        guard shuttle_pipe_capacity(ends.write) >= capacityMinBytes else {
            _ = Glibc.close(ends.read)
            _ = Glibc.close(ends.write)
            return nil
        }
        return ends
    }
}

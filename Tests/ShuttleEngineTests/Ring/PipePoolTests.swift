// Owns the pool's accounts over real pipes: how many there are, that each is empty when it is taken, that none is left.
// What counts or limits descriptors runs in a process of its own.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct PipePoolTests {
    private static func write(_ count: Int, to pipe: PipeID, of pool: borrowing PipePool) -> Int {
        withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { bytes in
            bytes.initializeMemory(as: UInt8.self, repeating: 7)
            return Glibc.write(pool.writeEnd(pipe), bytes.baseAddress!, count)
        }
    }

    /// Bytes that can be read now; -1 and EAGAIN when there are none.
    private static func read(from pipe: PipeID, of pool: borrowing PipePool) -> Int {
        withUnsafeTemporaryAllocation(byteCount: 1 << 20, alignment: 1) { bytes in
            Glibc.read(pool.readEnd(pipe), bytes.baseAddress!, bytes.count)
        }
    }

    private static func isPipe(_ descriptor: Int32) -> Bool {
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
    }

    /// Ends of pipes; what else the process opens is its own business.
    private static func openDescriptors() -> Int { (0..<1024).count { isPipe(Int32($0)) } }

    @Test func takesUpToTheLimit() {
        var pool = PipePool(limit: 3)
        let pipes = [pool.take()!, pool.take()!, pool.take()!]
        #expect(Set(pipes.map(\.rawValue)) == [0, 1, 2] && !pipes.contains(.none))
        let beyond = pool.take()
        pool.giveBack(pipes[1], isEmpty: true)
        let again = [pool.take(), pool.take()]
        #expect(beyond == nil && again == [pipes[1], nil])
        for pipe in pipes { pool.giveBack(pipe, isEmpty: true) }
        let last = pool.take()
        #expect(last == pipes[2], "the one used last is the one the cache knows")
        pool.closeAll()
    }

    @Test func noneAtAll() {
        var pool = PipePool(limit: 0)
        let pipe = pool.take()
        #expect(pipe == nil)
        pool.closeAll()
    }

    /// What goes in comes out, and neither end ever waits.
    @Test func pipesCarryBytes() {
        var pool = PipePool(limit: 1)
        let pipe = pool.take()!
        let nothing = PipePoolTests.read(from: pipe, of: pool)
        #expect(nothing == -1)
        var written = 0
        while true {
            let count = PipePoolTests.write(65_536, to: pipe, of: pool)
            guard count > 0 else { break }
            written += count
        }
        #expect(written >= 65_536, "less is not worth a pipe")
        var read = 0
        while read < written {
            let count = PipePoolTests.read(from: pipe, of: pool)
            guard count > 0 else { break }
            read += count
        }
        #expect(read == written)
        pool.giveBack(pipe, isEmpty: true)
        pool.closeAll()
    }

    /// A pipe that was given back with bytes in it never shows them to the next flow.
    @Test func isRenewedWhenItHoldsBytes() {
        var pool = PipePool(limit: 1)
        let pipe = pool.take()!
        let written = PipePoolTests.write(100, to: pipe, of: pool)
        #expect(written == 100)
        pool.giveBack(pipe, isEmpty: false)
        let again = pool.take()!
        #expect(again == pipe)
        let counts = [
            PipePoolTests.read(from: again, of: pool), PipePoolTests.write(1, to: again, of: pool),
            PipePoolTests.read(from: again, of: pool),
        ]
        #expect(counts == [-1, 1, 1])
        pool.giveBack(again, isEmpty: true)
        pool.closeAll()
    }

    @Test func closingLeavesNoDescriptor() async {
        await #expect(processExitsWith: .success) {
            var pool = PipePool(limit: 8)
            var ends: [Int32] = []
            let pipes = (0..<8).map { _ in pool.take()! }
            for (index, pipe) in pipes.enumerated() {
                if index < 4 { precondition(PipePoolTests.write(1, to: pipe, of: pool) == 1) }
                pool.giveBack(pipe, isEmpty: index >= 4)
                ends += [pool.readEnd(pipe), pool.writeEnd(pipe)]
            }
            precondition(Set(ends).count == 16 && ends.allSatisfy(PipePoolTests.isPipe))
            precondition(ends.allSatisfy { fcntl($0, F_GETFD) & FD_CLOEXEC != 0 })
            pool.closeAll()
            precondition(!ends.contains(where: PipePoolTests.isPipe))
            // The numbers are somebody else's now: closing again must leave them alone.
            var other = PipePool(limit: 1)
            let pipe = other.take()!
            pool.closeAll()
            precondition(PipePoolTests.write(1, to: pipe, of: other) == 1)
            other.giveBack(pipe, isEmpty: false)
            other.closeAll()
        }
    }

    private static func limitDescriptors(to count: Int) {
        var limits = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
        limits.rlim_cur = rlim_t(count)
        precondition(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0)
    }

    /// No descriptors, no pipe, and nothing half open; later there is one.
    @Test func withoutDescriptorsThereIsNone() async {
        await #expect(processExitsWith: .success) {
            let before = PipePoolTests.openDescriptors()
            var pool = PipePool(limit: 4)
            PipePoolTests.limitDescriptors(to: 3)
            precondition(pool.take() == nil)
            PipePoolTests.limitDescriptors(to: 256)
            precondition(PipePoolTests.openDescriptors() == before)
            let pipe = pool.take()
            precondition(pipe != nil)
            pool.giveBack(pipe!, isEmpty: true)
            pool.closeAll()
        }
    }

    /// A place that cannot be opened again is lost; the others go on, and closing touches no descriptor twice.
    @Test func aPlaceThatCannotBeRenewedIsLost() async {
        await #expect(processExitsWith: .success) {
            let before = PipePoolTests.openDescriptors()
            var pool = PipePool(limit: 2)
            let (first, second) = (pool.take()!, pool.take()!)
            precondition(PipePoolTests.write(5, to: first, of: pool) == 5)
            PipePoolTests.limitDescriptors(to: 3)
            pool.giveBack(first, isEmpty: false)
            PipePoolTests.limitDescriptors(to: 256)
            pool.giveBack(second, isEmpty: true)
            precondition(pool.take() == second)
            precondition(pool.take() == nil, "one place is gone")
            pool.giveBack(second, isEmpty: true)
            pool.closeAll()
            precondition(PipePoolTests.openDescriptors() == before)
        }
    }

    /// Beyond its user's share of memory a process without privilege gets tiny pipes, which are refused; the ones
    /// before stay.
    @Test func tinyPipesAreRefused() async {
        await #expect(processExitsWith: .success) {
            PipePoolTests.dropPrivileges()
            guard let pages = PipePoolTests.pagesOfAUser(), pages > 0, pages <= 16_384 else { return }
            PipePoolTests.limitDescriptors(to: 1024)
            let limit = 400
            var pool = PipePool(limit: limit)
            var taken: [PipeID] = []
            while let pipe = pool.take() { taken.append(pipe) }
            let descriptors = PipePoolTests.openDescriptors()
            precondition(taken.count < limit, "the user's share was never used up")
            precondition(pool.take() == nil && PipePoolTests.openDescriptors() == descriptors)
            for pipe in taken {
                precondition(PipePoolTests.write(65_536, to: pipe, of: pool) == 65_536)
                pool.giveBack(pipe, isEmpty: false)
            }
            pool.closeAll()
        }
    }

    /// pipe(7): /proc/sys/fs/pipe-user-pages-soft; 0 is no limit.
    private static func pagesOfAUser() -> Int? {
        guard let file = fopen("/proc/sys/fs/pipe-user-pages-soft", "r") else { return nil }
        defer { fclose(file) }
        var text = [CChar](repeating: 0, count: 32)
        guard fgets(&text, 32, file) != nil else { return nil }
        return Int(strtol(text, nil, 10))
    }

    /// Of this process: its capabilities, capabilities(7). What is not there cannot be dropped.
    private static func dropPrivileges() {
        guard let symbol = dlsym(nil, "capset") else { return }
        typealias CapabilitySet = @convention(c) (UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> Int32
        let capset = unsafeBitCast(symbol, to: CapabilitySet.self)
        // Version 3 and this thread; then three words for each half.
        var header: [UInt32] = [0x2008_0522, 0]
        var sets = [UInt32](repeating: 0, count: 6)
        precondition(capset(&header, &sets) == 0)
    }
}

// Owns the benchmark of what a session leaves when it ends: its times and bytes in five histograms, and its record. Counted by
// scripts/check-instructions as the scenario `record`; with `--records` it says what one takes.

import Glibc

enum RecordBenchmark {
    private static let records = 2_000_000

    /// As many records as asked for, of one session.
    static func run(
        _ worker: inout Worker<BenchmarkRing>, _ table: UnsafePointer<ServiceTable>, warmUp: Int, measured: Int
    ) -> Int {
        let index = openSession(&worker, table)
        for _ in 0..<warmUp { worker.leaveRecord(index, worker.sessions[index]) }
        return measuredTurns(&worker, index, measured)
    }

    static func time(_ worker: inout Worker<BenchmarkRing>, _ table: UnsafePointer<ServiceTable>) {
        let index = openSession(&worker, table)
        _ = measuredTurns(&worker, index, records / 10)
        let start = nanoseconds()
        _ = measuredTurns(&worker, index, records)
        let tenths = Int((Double(nanoseconds() - start) / Double(records) * 10).rounded())
        print("\(tenths / 10).\(tenths % 10) ns for the record of a session and its places in five histograms")
    }

    private static func openSession(_ worker: inout Worker<BenchmarkRing>, _ table: UnsafePointer<ServiceTable>)
        -> UInt32
    {
        let index = worker.openSession(5, table, backend: nil, client: nil, draw: 0)
        let facts = worker.sessions.facts(index)
        facts.pointee.startedAt = worker.turnTime - 5_000_000
        facts.pointee.connectStartedAt = worker.turnTime - 4_900_000
        facts.pointee.connectedAt = worker.turnTime - 4_000_000
        facts.pointee.firstByteAt = worker.turnTime - 3_000_000
        facts.pointee.sentBytes = 1000
        facts.pointee.receivedBytes = 100_000
        facts.pointee.reason = TerminationReason.clientClosed.rawValue
        return index
    }

    /// The name is what callgrind begins to count at.
    @inline(never)
    private static func measuredTurns(_ worker: inout Worker<BenchmarkRing>, _ index: UInt32, _ count: Int) -> Int {
        let slot = worker.sessions[index]
        for _ in 0..<count { worker.leaveRecord(index, slot) }
        return count
    }

    private static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}

// Owns the histograms of a service's sessions: of each worker one set in memory that is touched by the first session that ends.
// Leaves to others: measuring (Worker+Record), summing over workers (Statistics).

import Synchronization

/// What is counted of every session that has ended.
enum SessionMeasure: Int, CaseIterable {
    /// Nanoseconds.
    case connect
    case firstByte
    case wait
    case duration
    /// Bytes.
    case sent
    case received

    /// Times up to 2^10 ns, a microsecond, are told apart no further.
    @inline(__always)
    var lowest: Int { rawValue < SessionMeasure.sent.rawValue ? 10 : 0 }
}

/// A set of histograms for each worker: 8 KiB each where there is something to be counted, address space elsewhere.
struct SessionHistograms: ~Copyable {
    private static let wordsOfSet = SessionMeasure.allCases.count * MagnitudeHistogram.wordCount
    /// Whole pages, so that workers share none.
    private static let bytesOfSet = (wordsOfSet * MemoryLayout<UInt64>.stride + 4095) / 4096 * 4096

    /// Nil where there is no address space left: then nothing is counted.
    private let base: UnsafeMutableRawPointer?
    private let memory: ReservedMemory?
    private let workerCount: Int

    init(workerCount: Int) {
        self.workerCount = workerCount
        guard let memory = ReservedMemory(byteCount: workerCount * SessionHistograms.bytesOfSet) else {
            base = nil
            self.memory = nil
            return
        }
        base = memory.base
        self.memory = consume memory
    }

    @inline(__always)
    func set(of worker: Int) -> Set? {
        guard let base else { return nil }
        let memory = base + worker &* SessionHistograms.bytesOfSet
        return Set(words: memory.assumingMemoryBound(to: Atomic<UInt64>.self))
    }

    /// One worker's.
    struct Set {
        let words: UnsafeMutablePointer<Atomic<UInt64>>

        @inline(__always)
        func histogram(_ measure: SessionMeasure) -> MagnitudeHistogram {
            MagnitudeHistogram(
                words + measure.rawValue &* MagnitudeHistogram.wordCount, lowest: measure.lowest)
        }
    }

    /// What all workers have counted of one measure.
    func summary(_ measure: SessionMeasure) -> MagnitudeSummary {
        var sum = MagnitudeSummary(lowest: measure.lowest)
        for worker in 0..<workerCount {
            if let set = set(of: worker) { sum.add(set.histogram(measure)) }
        }
        return sum
    }
}

// Owns how often something took how long on one worker: counts by duration, a quantile of them, and the longest.
// Leaves to others: measuring (Worker), and what is printed of it (Statistics).

import Synchronization

/// A histogram of durations in nanoseconds with a single writer, its worker; any thread may read.
///
/// Buckets are log-linear: one for each nanosecond below 8, then 8 of equal width for each power of two. A quantile is
/// the upper edge of its bucket, so it is never too small and at most an eighth too large. What takes longer than
/// `trackedMax` is counted in the last bucket, whose quantile is the longest duration seen.
///
/// Recording takes a few stores: no lock and no allocation.
struct DurationHistogram: ~Copyable {
    static let bucketCount = 256
    /// 17 s.
    static let trackedMax: UInt64 = (1 << 34) - 1

    private let buckets: UnsafeMutablePointer<Atomic<UInt64>>
    private let longest = Atomic<UInt64>(0)

    init() {
        buckets = .allocate(capacity: DurationHistogram.bucketCount)
        for index in 0..<DurationHistogram.bucketCount { (buckets + index).initialize(to: Atomic(0)) }
    }

    deinit {
        buckets.deinitialize(count: DurationHistogram.bucketCount)
        buckets.deallocate()
    }

    /// For the one writer.
    @inline(__always)
    func record(_ nanoseconds: UInt64) {
        // Before the bucket, so that who sees the count knows a maximum that is no smaller.
        if nanoseconds > longest.load(ordering: .relaxed) { longest.store(nanoseconds, ordering: .relaxed) }
        let bucket = buckets + DurationHistogram.bucket(of: nanoseconds)
        bucket.pointee.store(bucket.pointee.load(ordering: .relaxed) &+ 1, ordering: .releasing)
    }

    /// The bucket that counts `nanoseconds`.
    @inline(__always)
    static func bucket(of nanoseconds: UInt64) -> Int {
        guard nanoseconds >= 8 else { return Int(truncatingIfNeeded: nanoseconds) }
        let tracked = min(nanoseconds, trackedMax)
        // The three bits behind the highest choose among the 8 buckets of a power of two.
        let shift = 60 &- tracked.leadingZeroBitCount
        return (shift &+ 1) &* 8 &+ Int(truncatingIfNeeded: (tracked &>> UInt64(truncatingIfNeeded: shift)) & 7)
    }

    /// The longest duration that `bucket` counts.
    static func upperEdge(of bucket: Int) -> UInt64 {
        guard bucket >= 8 else { return UInt64(bucket) }
        guard bucket < bucketCount - 1 else { return .max }
        let shift = UInt64(bucket / 8 - 1)
        return (UInt64(8 + bucket % 8 + 1) << shift) - 1
    }

    /// What was recorded up to now, seen at one moment.
    func summary() -> Summary {
        var counts: [UInt64] = []
        counts.reserveCapacity(DurationHistogram.bucketCount)
        for index in 0..<DurationHistogram.bucketCount { counts.append(buckets[index].load(ordering: .acquiring)) }
        return Summary(counts: counts, longestNanoseconds: longest.load(ordering: .relaxed))
    }

    struct Summary: Equatable {
        /// By bucket.
        let counts: [UInt64]
        /// 0 when nothing was recorded.
        let longestNanoseconds: UInt64

        var count: UInt64 { counts.reduce(0, &+) }

        /// The duration that `perMille` of 1000 recorded ones do not exceed; 0 when nothing was recorded.
        func quantileNanoseconds(perMille: UInt64) -> UInt64 {
            precondition((1...1000).contains(perMille))
            // In two parts, because a product of the whole count could overflow.
            let count = count
            let rank = count / 1000 * perMille + (count % 1000 * perMille + 999) / 1000
            guard rank > 0 else { return 0 }
            var seen: UInt64 = 0
            for (bucket, number) in counts.enumerated() {
                seen &+= number
                if seen >= rank { return min(DurationHistogram.upperEdge(of: bucket), longestNanoseconds) }
            }
            return longestNanoseconds
        }
    }
}

// Owns how many values of which magnitude one worker has met, and their sum: for times and bytes of sessions.
// Leaves to others: what is measured (SessionHistograms), which bounds are shown (shuttled).

import Synchronization

/// A histogram with a single writer, its worker; any thread may read. Zeroed memory is an empty one.
///
/// Buckets are log-linear: one for all up to two to the power of `lowest`, then 4 of equal width for each power of two up to
/// `lowest` + 40, and one for all that is larger. A bucket counts what is larger than the bucket before counts, and no larger
/// than its upper edge, so that the number of values up to a power of two is exact.
struct MagnitudeHistogram: ~Copyable {
    /// Powers of two that have buckets.
    static let exponents = 40
    static let bucketCount = 2 + exponents * 4
    /// Of memory: the buckets and the sum.
    static let wordCount = bucketCount + 1

    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let lowest: Int

    /// Over `wordCount` words, which stay somebody else's.
    @inline(__always)
    init(_ words: UnsafeMutablePointer<Atomic<UInt64>>, lowest: Int) {
        self.words = words
        self.lowest = lowest
    }

    /// For the one writer. `value` is below 2^63.
    @inline(__always)
    func record(_ value: UInt64) {
        (words + MagnitudeHistogram.bucket(of: value, lowest: lowest)).pointee.addAsOnlyWriter(1)
        (words + MagnitudeHistogram.bucketCount).pointee.addAsOnlyWriter(value)
    }

    /// The bucket that counts `value`.
    @inline(__always)
    static func bucket(of value: UInt64, lowest: Int) -> Int {
        // A floating-point number has its sign, its exponent and then its highest bits at its beginning: just what tells the
        // buckets apart, of one less, so that an upper edge belongs to the bucket below it. From 2^53 on it may be rounded up,
        // which is beyond the last bucket.
        let below = Double(Int64(bitPattern: value) &- 1)
        let place = Int(Int64(bitPattern: below.bitPattern) &>> 50) &- ((1023 &+ lowest) &* 4 &- 1)
        return min(max(place, 0), bucketCount &- 1)
    }

    /// The largest value that `bucket` counts.
    static func upperEdge(of bucket: Int, lowest: Int) -> UInt64 {
        guard bucket < bucketCount - 1 else { return .max }
        guard bucket > 0 else { return 1 << UInt64(lowest) }
        let exponent = UInt64(lowest + (bucket - 1) / 4)
        // Rounded up where a bucket is less than a whole number wide.
        return ((UInt64(5 + (bucket - 1) % 4) << exponent) + 3) / 4
    }

    /// Values that a bucket has counted up to now.
    func count(in bucket: Int) -> UInt64 { words[bucket].load(ordering: .relaxed) }
    /// Of all values.
    var sum: UInt64 { words[MagnitudeHistogram.bucketCount].load(ordering: .relaxed) }

    /// What was recorded up to now.
    func summary() -> MagnitudeSummary {
        var summary = MagnitudeSummary(lowest: lowest)
        summary.add(self)
        return summary
    }
}

/// What histograms have counted, seen at one moment.
public struct MagnitudeSummary: Sendable, Equatable {
    var counts = [UInt64](repeating: 0, count: MagnitudeHistogram.bucketCount)
    /// Of all values, in their unit.
    public internal(set) var sum: UInt64 = 0
    private let lowest: Int

    init(lowest: Int) { self.lowest = lowest }

    /// Values that were counted.
    public var count: UInt64 { counts.reduce(0, &+) }

    /// How many of the values are no larger than two to the power of `exponent`. Exact for the exponents that the histogram
    /// has buckets for: those from `lowest` on, 41 of them.
    public func count(upToPowerOfTwo exponent: Int) -> UInt64 {
        precondition((lowest...(lowest + MagnitudeHistogram.exponents)).contains(exponent))
        return counts[...((exponent - lowest) * 4)].reduce(0, &+)
    }

    /// The value that `perMille` of 1000 do not exceed, at most a quarter too large; nil when nothing was counted.
    public func quantile(perMille: UInt64) -> UInt64? {
        precondition((1...1000).contains(perMille))
        let count = count
        guard count > 0 else { return nil }
        let rank = count / 1000 * perMille + (count % 1000 * perMille + 999) / 1000
        var seen: UInt64 = 0
        for (bucket, number) in counts.enumerated() {
            seen &+= number
            if seen >= rank { return MagnitudeHistogram.upperEdge(of: bucket, lowest: lowest) }
        }
        return .max
    }

    mutating func add(_ histogram: borrowing MagnitudeHistogram) {
        for bucket in counts.indices { counts[bucket] &+= histogram.count(in: bucket) }
        sum &+= histogram.sum
    }

    /// The same at some powers of two, and how many there are in all.
    func distribution(atPowersOfTwo exponents: [Int]) -> MagnitudeDistribution {
        var distribution = MagnitudeDistribution(sum: sum)
        var bucket = 0
        for exponent in exponents {
            while bucket <= (exponent - lowest) * 4 {
                distribution.count &+= counts[bucket]
                bucket += 1
            }
            distribution.cumulative.append(distribution.count)
        }
        distribution.count = counts[bucket...].reduce(distribution.count, &+)
        return distribution
    }
}

/// How many values were no larger than each of some bounds.
public struct MagnitudeDistribution: Sendable, Equatable {
    /// By bound, the smallest first.
    public var cumulative: [UInt64]
    /// Of all values.
    public var count: UInt64
    public var sum: UInt64

    public init(cumulative: [UInt64] = [], count: UInt64 = 0, sum: UInt64 = 0) {
        self.cumulative = cumulative
        self.count = count
        self.sum = sum
    }
}

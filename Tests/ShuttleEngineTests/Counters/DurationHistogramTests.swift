// Owns the histogram of durations: where buckets begin and end, quantiles, and values beyond the last bucket.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct DurationHistogramTests {
    @Test(
        arguments: [
            (0, 0), (1, 1), (7, 7), (8, 8), (9, 9), (15, 15), (16, 16), (17, 16), (18, 17), (31, 23), (32, 24),
            (35, 24), (36, 25), (1 << 33, 248), ((1 << 34) - 1, 255), (1 << 34, 255), (.max, 255),
        ] as [(UInt64, Int)])
    func durationsHaveTheirBucket(nanoseconds: UInt64, bucket: Int) {
        #expect(DurationHistogram.bucket(of: nanoseconds) == bucket)
    }

    /// No gap, no overlap, and no bucket wider than an eighth of what it begins with.
    @Test func bucketsFollowOnOneAnother() {
        var lower: UInt64 = 0
        for bucket in 0..<DurationHistogram.bucketCount - 1 {
            let upper = DurationHistogram.upperEdge(of: bucket)
            #expect(DurationHistogram.bucket(of: lower) == bucket)
            #expect(DurationHistogram.bucket(of: upper) == bucket)
            #expect(upper - lower <= lower / 8, "bucket \(bucket) is \(lower)...\(upper)")
            lower = upper + 1
        }
        #expect(DurationHistogram.bucket(of: lower) == DurationHistogram.bucketCount - 1)
        #expect(DurationHistogram.upperEdge(of: DurationHistogram.bucketCount - 1) == .max)
    }

    @Test func nothingRecordedIsZero() {
        let summary = DurationHistogram().summary()
        #expect(summary.count == 0 && summary.longestNanoseconds == 0)
        #expect(summary.quantileNanoseconds(perMille: 999) == 0)
        #expect(summary.quantileNanoseconds(perMille: 1) == 0)
    }

    @Test func durationsOfZeroAreCounted() {
        let histogram = DurationHistogram()
        for _ in 0..<3 { histogram.record(0) }
        let summary = histogram.summary()
        #expect(summary.count == 3 && summary.longestNanoseconds == 0)
        #expect(summary.quantileNanoseconds(perMille: 999) == 0)
    }

    @Test func aQuantileIsTheUpperEdgeOfItsBucket() {
        let histogram = DurationHistogram()
        for _ in 0..<999 { histogram.record(1000) }
        histogram.record(90_000)
        let summary = histogram.summary()
        #expect(summary.count == 1000 && summary.longestNanoseconds == 90_000)
        // 960...1023
        #expect(summary.quantileNanoseconds(perMille: 1) == 1023)
        #expect(summary.quantileNanoseconds(perMille: 999) == 1023)
        #expect(summary.quantileNanoseconds(perMille: 1000) == 90_000)
    }

    /// One of 999 is more than 0.1 %.
    @Test func amongFewTheQuantileIsTheLongest() {
        let histogram = DurationHistogram()
        for _ in 0..<998 { histogram.record(1000) }
        histogram.record(90_000)
        #expect(histogram.summary().quantileNanoseconds(perMille: 999) == 90_000)
        #expect(histogram.summary().quantileNanoseconds(perMille: 500) == 1023)
    }

    @Test func aQuantileIsNeverAboveTheLongest() {
        let histogram = DurationHistogram()
        histogram.record(1000)
        #expect(histogram.summary().quantileNanoseconds(perMille: 999) == 1000)
    }

    @Test func whatIsBeyondTheLastBucketIsCountedInIt() {
        let histogram = DurationHistogram()
        histogram.record(5)
        histogram.record(DurationHistogram.trackedMax + 1)
        histogram.record(.max)
        let summary = histogram.summary()
        #expect(summary.count == 3)
        #expect(summary.counts.last == 2)
        #expect(summary.quantileNanoseconds(perMille: 300) == 5)
        #expect(summary.quantileNanoseconds(perMille: 999) == .max)
    }

    /// One writer needs no locked instruction: whoever reads meanwhile sees no more than was recorded, at the end all.
    @Test func readersSeeWholeValues() {
        let histogram = UnsafeMutablePointer<DurationHistogram>.allocate(capacity: 1)
        histogram.initialize(to: DurationHistogram())
        let next = UnsafeMutablePointer<Atomic<Int>>.allocate(capacity: 1)
        next.initialize(to: Atomic(0))
        defer {
            histogram.deinitialize(count: 1)
            histogram.deallocate()
            next.deinitialize(count: 1)
            next.deallocate()
        }
        inThreads(2) {
            // The first that comes writes.
            if next.pointee.wrappingAdd(1, ordering: .relaxed).oldValue == 0 {
                for duration in 1...100_000 { histogram.pointee.record(UInt64(duration)) }
            } else {
                var last: UInt64 = 0
                while last < 100_000 {
                    let summary = histogram.pointee.summary()
                    precondition(summary.count >= last && summary.count <= 100_000)
                    // The durations grow: so many were recorded, so long was the longest at least.
                    precondition(summary.longestNanoseconds >= summary.count)
                    last = summary.count
                }
            }
        }
        #expect(histogram.pointee.summary().count == 100_000)
        #expect(histogram.pointee.summary().longestNanoseconds == 100_000)
    }
}

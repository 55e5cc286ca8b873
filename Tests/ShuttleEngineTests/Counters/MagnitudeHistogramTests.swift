// Owns the histograms of times and bytes: which bucket counts what, that counts up to powers of two are exact, sums and
// quantiles; and the sets of a service.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct MagnitudeHistogramTests {
    /// A histogram with memory of its own.
    private static func withHistogram<R>(lowest: Int, _ body: (borrowing MagnitudeHistogram) -> R) -> R {
        let words = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: MagnitudeHistogram.wordCount)
        for index in 0..<MagnitudeHistogram.wordCount { (words + index).initialize(to: Atomic(0)) }
        defer {
            words.deinitialize(count: MagnitudeHistogram.wordCount)
            words.deallocate()
        }
        return body(MagnitudeHistogram(words, lowest: lowest))
    }

    @Test(
        arguments: [
            (0, 0), (1, 0), (2, 1), (3, 5), (4, 7), (5, 9), (6, 10), (8, 12), (9, 13), (1 << 39, 156), (1 << 40, 160),
            ((1 << 40) + 1, 161), (1 << 62, 161),
        ] as [(UInt64, Int)])
    func bytesHaveTheirBucket(bytes: UInt64, bucket: Int) {
        #expect(MagnitudeHistogram.bucket(of: bytes, lowest: 0) == bucket)
    }

    @Test(arguments: [(0, 0), (1024, 0), (1025, 1), (1280, 1), (1281, 2), (2048, 4), (2049, 5)] as [(UInt64, Int)])
    func timesHaveTheirBucket(nanoseconds: UInt64, bucket: Int) {
        #expect(MagnitudeHistogram.bucket(of: nanoseconds, lowest: 10) == bucket)
    }

    /// No gap and no overlap: what a bucket's upper edge says is the last that it counts.
    @Test(arguments: [0, 10])
    func bucketsFollowOnOneAnother(lowest: Int) {
        var edge = MagnitudeHistogram.upperEdge(of: 0, lowest: lowest)
        #expect(MagnitudeHistogram.bucket(of: edge, lowest: lowest) == 0)
        for bucket in 1..<MagnitudeHistogram.bucketCount - 1 {
            let upper = MagnitudeHistogram.upperEdge(of: bucket, lowest: lowest)
            // Of small whole numbers there are fewer than buckets.
            guard upper > edge else { continue }
            #expect(MagnitudeHistogram.bucket(of: edge + 1, lowest: lowest) == bucket)
            #expect(MagnitudeHistogram.bucket(of: upper, lowest: lowest) == bucket)
            #expect(upper - edge <= edge / 4 + 1, "bucket \(bucket) is \(edge + 1)...\(upper)")
            edge = upper
        }
        #expect(edge == 1 << UInt64(lowest + 40))
        #expect(MagnitudeHistogram.bucket(of: edge + 1, lowest: lowest) == MagnitudeHistogram.bucketCount - 1)
    }

    /// What is shown as `le` must be true of every value, also of those at the bound.
    @Test func countsUpToPowersOfTwoAreExact() {
        let values: [UInt64] = (0...40).flatMap { exponent -> [UInt64] in
            let power: UInt64 = 1 << UInt64(exponent)
            return [power - 1, power, power + 1, power + power / 3]
        }
        let summary = MagnitudeHistogramTests.withHistogram(lowest: 0) { histogram in
            for value in values { histogram.record(value) }
            return histogram.summary()
        }
        #expect(summary.count == UInt64(values.count))
        #expect(summary.sum == values.reduce(0, +))
        for exponent in 0...40 {
            let bound: UInt64 = 1 << UInt64(exponent)
            #expect(summary.count(upToPowerOfTwo: exponent) == UInt64(values.count { $0 <= bound }), "2^\(exponent)")
        }
    }

    @Test func quantiles() {
        let summary = MagnitudeHistogramTests.withHistogram(lowest: 10) { histogram in
            for _ in 0..<999 { histogram.record(5000) }
            histogram.record(90_000)
            return histogram.summary()
        }
        #expect(summary.quantile(perMille: 500) == 5120)
        #expect(summary.quantile(perMille: 999) == 5120)
        #expect(summary.quantile(perMille: 1000) == 98_304)
        #expect(MagnitudeSummary(lowest: 10).quantile(perMille: 500) == nil)
    }

    /// Workers' sets are apart, and their sum is what is told.
    @Test func aServiceSumsItsWorkers() {
        let histograms = SessionHistograms(workerCount: 3)
        for worker in 0..<3 {
            for measure in SessionMeasure.allCases {
                let value = UInt64(worker + 1) << UInt64(measure.rawValue + 11)
                histograms.set(of: worker)?.histogram(measure).record(value)
            }
        }
        for measure in SessionMeasure.allCases {
            let summary = histograms.summary(measure)
            #expect(summary.count == 3)
            #expect(summary.sum == 6 << UInt64(measure.rawValue + 11), "\(measure)")
        }
    }
}

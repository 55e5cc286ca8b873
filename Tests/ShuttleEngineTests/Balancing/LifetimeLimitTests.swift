// Owns how long a session may live, in numbers, and the sequence that its jitter is drawn from.

import Testing

@testable import ShuttleEngine

@Suite struct LifetimeLimitTests {
    @Test func noneIsForEver() {
        var random = SplitMix(seed: 1)
        let limit = LifetimeLimit(milliseconds: 0, jitterPercent: 50)
        #expect(limit.deadline(now: 5000, &random) == .max)
    }

    @Test func withoutJitterItIsExact() {
        var random = SplitMix(seed: 1)
        let limit = LifetimeLimit(milliseconds: 700, jitterPercent: 0)
        for _ in 0..<100 { #expect(limit.deadline(now: 5000, &random) == 5700) }
    }

    /// Never shorter, longer by the whole percentage at most, and evenly in between.
    @Test(arguments: [UInt8(1), 10, 50, 100])
    func jitterLengthens(percent: UInt8) {
        var random = SplitMix(seed: UInt64(percent))
        let limit = LifetimeLimit(milliseconds: 10_000, jitterPercent: percent)
        let longest = 10_000 + 100 * UInt64(percent)
        var sum: UInt64 = 0
        var seen: (least: UInt64, most: UInt64) = (.max, 0)
        for _ in 0..<20_000 {
            let life = limit.deadline(now: 1000, &random) - 1000
            sum += life
            seen = (min(seen.least, life), max(seen.most, life))
        }
        let spread = Double(longest - 10_000)
        #expect(seen.least >= 10_000 && Double(seen.least) < 10_000 + max(1, spread / 100))
        #expect(seen.most <= longest && Double(seen.most) > Double(longest) - max(1, spread / 100))
        let mean = Double(sum) / 20_000 - 10_000
        #expect(abs(mean / spread - 0.5) < 0.02)
    }

    /// A percentage of so short a life is less than the clock can tell.
    @Test func shortLivesHaveNoJitter() {
        var random = SplitMix(seed: 3)
        let limit = LifetimeLimit(milliseconds: 9, jitterPercent: 10)
        for _ in 0..<100 { #expect(limit.deadline(now: 0, &random) == 9) }
    }

    @Test func theLongestFits() {
        var random = SplitMix(seed: 4)
        let limit = LifetimeLimit(milliseconds: .max, jitterPercent: 100)
        for _ in 0..<100 {
            let life = limit.deadline(now: 0, &random)
            #expect(life >= UInt64(UInt32.max) && life <= 2 * UInt64(UInt32.max))
        }
    }

    @Test func theSameSeedDrawsTheSame() {
        var (first, second, other) = (SplitMix(seed: 7), SplitMix(seed: 7), SplitMix(seed: 8))
        let drawn = (0..<20).map { _ in first.next() }
        #expect(drawn == (0..<20).map { _ in second.next() })
        #expect(drawn != (0..<20).map { _ in other.next() })
        // The published sequence of SplitMix64.
        var published = SplitMix(seed: 1_234_567)
        #expect(published.next() == 6_457_827_717_110_365_317)
        #expect(published.next() == 3_203_168_211_198_807_973)
    }
}

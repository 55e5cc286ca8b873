// Owns when connections are in time: against a bucket that counts tokens, at every pace; on the clock's edges.

import Testing

@testable import ShuttleEngine

/// A bucket that counts in nanoseconds of refill, as one would explain it.
private struct Bucket {
    let interval: UInt64
    let burst: UInt64
    /// Nanoseconds of refill that are there.
    var saved: UInt64
    var last: UInt64 = 0

    init(_ rule: RateRule, burst: Int) {
        interval = rule.interval
        self.burst = UInt64(burst)
        saved = self.burst * interval
    }

    mutating func take(at now: UInt64) -> Bool {
        saved = min(burst * interval, saved + (now - last))
        last = now
        guard saved >= interval else { return false }
        saved -= interval
        return true
    }
}

@Suite struct RateRuleTests {
    private static let second: UInt64 = 1_000_000_000

    private static func rule(_ perSecond: Int, _ burst: Int, delays: Bool = false) -> RateRule {
        RateRule(perSecond: perSecond, burst: burst, delays: delays)
    }

    @Test(arguments: [1, 2, 3, 7, 100, 999, 1000, 7001, 1_000_000], [1, 2, 5, 1000])
    func agreesWithABucketThatCounts(perSecond: Int, burst: Int) {
        let rule = RateRuleTests.rule(perSecond, burst)
        for seed in UInt64(1)...5 {
            var random = SplitMix(seed: seed)
            var bucket = Bucket(rule, burst: burst)
            var full: UInt64 = 0
            var now: UInt64 = 0
            for step in 0..<2000 {
                // At one moment, about as fast as the rate, and after long silence.
                let pace = [0, rule.interval / 2, rule.interval * 2, rule.interval * UInt64(burst) * 2]
                if step > 0 { now += random.next(through: pace[Int(random.next(through: 3))]) }
                let answer = rule.take(from: &full, at: now)
                #expect((answer == .isInTime) == bucket.take(at: now), "step \(step) of seed \(seed) at \(now)")
            }
        }
    }

    /// Greedy clients get the burst and then the rate: exactly so many, and never one more.
    @Test(arguments: [(1, 1), (10, 3), (1000, 50), (333, 1), (1_000_000, 1)])
    func greedyClientsGetTheRate(perSecond: Int, burst: Int) {
        let rule = RateRuleTests.rule(perSecond, burst)
        var full: UInt64 = 0
        var passed = 0
        let steps: UInt64 = 20_000
        for step in 0...steps where rule.take(from: &full, at: step * 2 * RateRuleTests.second / steps) == .isInTime {
            passed += 1
        }
        // Two seconds; the tries are 100 µs apart, and a token may have to wait for the next of them.
        let most = min(burst + 2 * perSecond, Int(steps) + 1)
        let least = min(burst + Int(2 * RateRuleTests.second / (rule.interval + 100_000)), Int(steps)) - 1
        #expect((least...most).contains(passed), "\(passed) of \(least) to \(most)")
    }

    @Test func aTokenIsThereAtItsNanosecond() {
        let rule = RateRuleTests.rule(10, 2)
        var full: UInt64 = 0
        #expect((0..<3).map { _ in rule.take(from: &full, at: 0) } == [.isInTime, .isInTime, .isTooEarly])
        #expect(rule.take(from: &full, at: 99_999_999) == .isTooEarly)
        #expect(rule.take(from: &full, at: 100_000_000) == .isInTime)
        #expect(rule.take(from: &full, at: 100_000_000) == .isTooEarly)
    }

    /// Another ring's clock may be behind the one that took last: that gives no token twice, and loses none.
    @Test func clocksThatAreBehindTakeNothingTwice() {
        let rule = RateRuleTests.rule(10, 1)
        var full: UInt64 = 0
        #expect(rule.take(from: &full, at: 500_000_000) == .isInTime)
        #expect(rule.take(from: &full, at: 499_000_000) == .isTooEarly)
        #expect(rule.take(from: &full, at: 600_000_000) == .isInTime)
    }

    @Test func whoWaitsGetsTheTokensInTurn() {
        let rule = RateRuleTests.rule(10, 2, delays: true)
        var full: UInt64 = 0
        let tenth: UInt64 = 100_000_000
        let answers = (0..<5).map { _ in rule.take(from: &full, at: 0) }
        #expect(answers == [.isInTime, .isInTime, .isInTimeAt(tenth), .isInTimeAt(2 * tenth), .isInTimeAt(3 * tenth)])
        // The tokens up to there are taken: whoever comes later is later.
        #expect(rule.take(from: &full, at: 2 * tenth) == .isInTimeAt(4 * tenth))
        #expect(rule.take(from: &full, at: 2 * tenth, mayWait: false) == .isTooEarly)
        #expect(rule.take(from: &full, at: 2 * tenth) == .isInTimeAt(5 * tenth))
    }

    @Test func nobodyWaitsTooLong() {
        let rule = RateRuleTests.rule(10, 1, delays: true)
        var full: UInt64 = 0
        var waiting = 0
        while true {
            let answer = rule.take(from: &full, at: 0)
            if answer == .isTooEarly { break }
            waiting += answer == .isInTime ? 0 : 1
            guard case .isInTimeAt(let due) = answer else { continue }
            #expect(due <= RateRule.waitMaxOfDelays)
        }
        #expect(waiting == 100, "ten seconds of tokens")
        #expect(rule.take(from: &full, at: 100_000_000) == .isInTimeAt(100_000_000 + RateRule.waitMaxOfDelays))
    }

    /// No more than the rate, and at most a thousandth less.
    @Test func intervalsAreRoundedUp() {
        for perSecond in [1, 3, 7, 999, 7001, 999_999, 1_000_000] {
            let interval = RateRuleTests.rule(perSecond, 1).interval
            #expect(interval * UInt64(perSecond) >= RateRuleTests.second)
            #expect(interval * UInt64(perSecond) < RateRuleTests.second + RateRuleTests.second / 1000 + 1)
        }
    }

    @Test func theLargestValuesDoNotOverflow() {
        let rule = RateRuleTests.rule(1, 1_000_000, delays: true)
        // 292 years after the start of the clock.
        var full: UInt64 = 1 << 63
        #expect(rule.take(from: &full, at: 1 << 63) == .isInTime)
        #expect(full == 1 << 63 + RateRuleTests.second)
    }
}

// Owns how bytes are paced: over a long run exactly, at each moment within a window, at every rate, however they come.

import Testing

@testable import ShuttleEngine

@Suite struct ByteRateTests {
    private static let second: UInt64 = 1_000_000_000
    static let rates: [UInt64] = [1024, 1500, 10_000, 102_400, 1_000_000, 125_000_000, 100_000_000_000]

    /// A source that always has more, received from in pieces as a ring receives: up to a buffer beyond what was asked for.
    private struct Run {
        let rate: ByteRate
        var random: SplitMix
        var overshootMax: Int
        /// What other bounds let it receive at a time.
        var creditMax = Int.max
        var now: UInt64 = 5 * ByteRateTests.second
        var paidAt: UInt64 = 0
        var received = 0
        var holds = 0
        /// At the end of each receive.
        var course: [(time: UInt64, bytes: Int)] = []

        mutating func receive(for nanoseconds: UInt64, pauses: UInt64 = 0) {
            let end = now + nanoseconds
            while now < end {
                switch rate.verdict(paidAt: paidAt, now: now) {
                case .notBefore(let time):
                    #expect(time > now)
                    // Timers come a little late.
                    now = time + random.next(through: 1_000_000)
                    holds += 1
                case .bytes(let most):
                    #expect(most >= 1)
                    let count = min(most, creditMax) + Int(random.next(through: UInt64(overshootMax)))
                    received += count
                    paidAt = rate.paid(count, paidAt: paidAt, now: now)
                    course.append((now, received))
                    now += random.next(through: 20_000 + pauses)
                }
            }
        }
    }

    private static func run(_ bytesPerSecond: UInt64, seed: UInt64, overshootMax: Int = 0) -> Run {
        Run(
            rate: ByteRate(bytesPerSecond: bytesPerSecond), random: SplitMix(seed: seed), overshootMax: overshootMax)
    }

    /// In a minute as many bytes as the rate says, but for a window at the begin and what timers are late by.
    @Test(arguments: rates, [0, 16_384])
    func overALongRunTheRateIsKept(bytesPerSecond: UInt64, overshootMax: Int) {
        for seed in UInt64(1)...3 {
            var run = ByteRateTests.run(bytesPerSecond, seed: seed, overshootMax: overshootMax)
            run.receive(for: 60 * ByteRateTests.second)
            let expected = Double(bytesPerSecond) * 60
            let window = Double(bytesPerSecond) * Double(run.rate.windowNanoseconds) / 1e9
            let most = expected + window + Double(overshootMax) + Double(bytesPerSecond) / 100
            #expect(Double(run.received) <= most, "\(run.received) of \(expected)")
            // A timer of a step may be a millisecond late; what is missed by that is made up by the window.
            let least = expected * 0.985 - Double(overshootMax)
            #expect(Double(run.received) >= least, "\(run.received) of \(expected)")
        }
    }

    /// Between any two moments: no more than the time between them is worth, a window, and what a receive overshoots.
    @Test(arguments: [UInt64(10_000), 1_000_000], [0, 16_384])
    func atNoTimeMoreThanAWindowAhead(bytesPerSecond: UInt64, overshootMax: Int) {
        var run = ByteRateTests.run(bytesPerSecond, seed: 7, overshootMax: overshootMax)
        run.receive(for: 5 * ByteRateTests.second, pauses: 30_000_000)
        let window = Double(bytesPerSecond) * Double(run.rate.windowNanoseconds) / 1e9
        for (index, begin) in run.course.enumerated() {
            let before = index == 0 ? 0 : run.course[index - 1].bytes
            for end in run.course[index...] {
                let worth = Double(end.time - begin.time) / 1e9 * Double(bytesPerSecond)
                let bytes = Double(end.bytes - before)
                #expect(bytes <= worth + window + Double(overshootMax) + 2, "\(begin) to \(end)")
                if bytes > worth + window + Double(overshootMax) + 2 { return }
            }
        }
    }

    /// Held back a few dozen times a second at most, whatever the size of the pieces.
    @Test(arguments: rates)
    func holdsAreFew(bytesPerSecond: UInt64) {
        var run = ByteRateTests.run(bytesPerSecond, seed: 1, overshootMax: 0)
        run.receive(for: 10 * ByteRateTests.second)
        #expect(run.holds <= 10 * 50 + 2, "\(run.holds) in ten seconds")
        // In small pieces that come fast, as a ring receives: not held back after each of them.
        run = ByteRateTests.run(bytesPerSecond, seed: 2)
        run.creditMax = max(1, Int(bytesPerSecond / 1000))
        run.receive(for: 10 * ByteRateTests.second)
        #expect(run.holds <= 10 * 50 + 2 && run.course.count > 1000, "\(run.holds) holds, \(run.course.count) receives")
    }

    /// Who has been silent may receive a window at once, not what it could have had.
    @Test func silenceSavesNoMoreThanAWindow() {
        let rate = ByteRate(bytesPerSecond: 1_000_000)
        #expect(rate.windowNanoseconds == 40_000_000)
        #expect(rate.verdict(paidAt: 0, now: 3600 * ByteRateTests.second) == .bytes(40_000))
        let now = 3600 * ByteRateTests.second
        let paid = rate.paid(40_000, paidAt: 0, now: now)
        #expect(paid == now + 40_000_001)
        #expect(rate.verdict(paidAt: paid, now: now) == .notBefore(paid - 10_000_000))
        #expect(rate.verdict(paidAt: paid, now: paid - 10_000_000) == .bytes(30_000))
        #expect(rate.verdict(paidAt: paid, now: paid - 30_000_000) == .bytes(10_000), "not held back yet")
        #expect(rate.verdict(paidAt: paid, now: paid - 30_000_001) == .notBefore(paid - 10_000_000))
    }

    /// At slow rates a step is longer, and not a handful of bytes.
    @Test func stepsAreWorthTheirWhile() {
        for bytesPerSecond in ByteRateTests.rates {
            let rate = ByteRate(bytesPerSecond: bytesPerSecond)
            #expect(rate.stepBytes >= Int(ByteRate.stepBytesMin))
            #expect(rate.stepNanoseconds >= ByteRate.stepNanosecondsMin)
            #expect(
                rate.stepNanoseconds == ByteRate.stepNanosecondsMin || rate.stepBytes <= Int(ByteRate.stepBytesMin) + 1)
        }
    }

    @Test func theLargestValuesDoNotOverflow() {
        let rate = ByteRate(bytesPerSecond: 1)
        #expect(rate.nanoseconds(for: 1 << 30) == (1 << 30) * ByteRateTests.second + 1)
        let fast = ByteRate(bytesPerSecond: 100_000_000_000)
        #expect(fast.stepBytes == 2_000_000_000)
        #expect(fast.verdict(paidAt: 1 << 62, now: 1 << 62) == .bytes(4_000_000_000))
    }

    // MARK: Datagrams

    /// Of three times as much as the rate lets pass, a third passes in the long run, whatever the sizes.
    @Test(arguments: [1024, 100_000, 12_500_000] as [UInt64], [UInt64(1), 2, 3])
    func datagramsPassAtTheirRate(bytesPerSecond: UInt64, seed: UInt64) {
        let rate = ByteRate(bytesPerSecond: bytesPerSecond)
        var random = SplitMix(seed: seed)
        var (now, paidAt, passed) = (7 * ByteRateTests.second, UInt64(0), UInt64(0))
        let duration = 40 * ByteRateTests.second
        let end = now + duration
        while now < end {
            let bytes = Int(random.next() % 1400) + 1
            if rate.admitsDatagram(paidAt: paidAt, now: now) {
                passed += UInt64(bytes)
                paidAt = rate.paid(bytes, paidAt: paidAt, now: now)
            }
            now += rate.nanoseconds(for: bytes) / 3
        }
        let due = bytesPerSecond * 40
        let ahead = max(UInt64(ByteRate.datagramWindowBytesMin), bytesPerSecond / 10) + 1400
        #expect(passed <= due + ahead && passed + 1400 >= due, "\(passed) of \(due)")
    }

    /// Who has been silent may send a flight at once, and a datagram of any size now and then.
    @Test func aFlightPasses() {
        let rate = ByteRate(bytesPerSecond: 1024)
        let now = 100 * ByteRateTests.second
        var paidAt: UInt64 = 0
        var passed = 0
        for _ in 0..<100 where rate.admitsDatagram(paidAt: paidAt, now: now) {
            passed += 1
            paidAt = rate.paid(1200, paidAt: paidAt, now: now)
        }
        #expect(passed == 14, "16 KiB, and the one that goes beyond")
        #expect(rate.admitsDatagram(paidAt: 0, now: now))
        let afterLongest = rate.paid(65_507, paidAt: 0, now: now)
        #expect(!rate.admitsDatagram(paidAt: afterLongest, now: now + 40 * ByteRateTests.second))
        #expect(rate.admitsDatagram(paidAt: afterLongest, now: now + 64 * ByteRateTests.second))
    }

    /// What the service's rate refuses is not paid for by the session, nor the other way round.
    @Test func onlyWhatPassesIsPaid() {
        let bandwidth = DirectionBandwidth()
        let now = 9 * ByteRateTests.second
        var (first, second) = (UInt64(0), UInt64(0))
        bandwidth.set(session: 0, service: 0)
        #expect(!bandwidth.isLimited && bandwidth.admitsDatagram(50_000, paidAt: &first, now: now) && first == 0)
        bandwidth.set(session: 1024, service: 4096)
        #expect(bandwidth.admitsDatagram(50_000, paidAt: &first, now: now) && first > now)
        #expect(!bandwidth.admitsDatagram(1, paidAt: &second, now: now) && second == 0, "the service's is spent")
        bandwidth.set(session: 1024, service: 0)
        let before = first
        #expect(!bandwidth.admitsDatagram(1, paidAt: &first, now: now) && first == before, "the session's is spent")
        #expect(bandwidth.admitsDatagram(1, paidAt: &second, now: now))
    }
}

// Counting failures within a time that slides.

import Testing

@testable import ShuttleEngine

@Suite struct FailureWindowTests {
    @Test func failuresLeaveTheWindowOneByOne() {
        var window = FailureWindow()
        for now in [0, 1000, 2000] as [UInt64] { window.add(1, at: now, windowMilliseconds: 10_000) }
        #expect(window.count(at: 2000, windowMilliseconds: 10_000) == 3)
        #expect(window.count(at: 9999, windowMilliseconds: 10_000) == 3)
        #expect(window.count(at: 10_000, windowMilliseconds: 10_000) == 2)
        #expect(window.count(at: 11_999, windowMilliseconds: 10_000) == 1)
        #expect(window.last == 2000)
        #expect(window.count(at: 12_000, windowMilliseconds: 10_000) == 0)
        #expect(window.last == 0)
    }

    @Test func shorterAndLongerWindows() {
        var window = FailureWindow()
        window.add(4, at: 1000, windowMilliseconds: 10_000)
        #expect(window.count(at: 3000, windowMilliseconds: 60_000) == 4)
        #expect(window.count(at: 3000, windowMilliseconds: 1000) == 0)
        #expect(window.count(at: 3000, windowMilliseconds: 60_000) == 0, "what has left it does not come back")
    }

    /// Against a list of every failure: none is forgotten early, none is kept for more than a 64th longer.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func isExactToA64th(seed: UInt64) {
        var random = SeededGenerator(seed)
        let length = [1, 10, 64, 1000, 10_000, 3_600_000].randomElement(using: &random)!
        var window = FailureWindow()
        var failures: [(time: UInt64, count: Int)] = []
        var now: UInt64 = 0
        for _ in 0..<2000 {
            now += UInt64.random(in: 0...UInt64(max(1, length / 20)), using: &random)
            if Bool.random(using: &random) {
                let count = Int.random(in: 1...100, using: &random)
                failures.append((now, count))
                window.add(count, at: now, windowMilliseconds: length)
            }
            func sum(_ length: Int) -> Int {
                failures.reduce(0) { $0 + ($1.time + UInt64(length) > now ? $1.count : 0) }
            }
            let count = window.count(at: now, windowMilliseconds: length)
            guard (sum(length)...sum(length + length / 64 + 1)).contains(count) else {
                Issue.record("seed \(seed): \(count) of \(sum(length)) failures at \(now), window \(length)")
                return
            }
        }
    }

    @Test func aWindowThatGrowsStaysSmall() {
        var window = FailureWindow()
        for now in 0..<100_000 as Range<UInt64> { window.add(1, at: now, windowMilliseconds: 50) }
        for now in 100_000..<100_050 as Range<UInt64> { window.add(1, at: now, windowMilliseconds: 1_000_000) }
        #expect(window.count(at: 100_050, windowMilliseconds: 1_000_000) >= 50)
        for now in 100_050..<300_000 as Range<UInt64> { window.add(1, at: now, windowMilliseconds: 1_000_000) }
        #expect(window.count(at: 300_000, windowMilliseconds: 1_000_000) >= 200_000)
        #expect(MemoryLayout.size(ofValue: window) == MemoryLayout<Int>.size)
    }
}

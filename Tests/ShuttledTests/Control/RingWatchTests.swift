// Owns that a ring which is stuck is told from one that is idle, by counts alone.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct RingWatchTests {
    private func look(
        _ stalled: [(ring: Int, milliseconds: UInt64)] = [], _ resumed: [(ring: Int, milliseconds: UInt64)] = [],
        isAllWell: Bool = false
    ) -> RingWatch.Look {
        var look = RingWatch.Look()
        (look.stalled, look.resumed, look.isAllWell) = (stalled, resumed, isAllWell)
        return look
    }

    /// The first look compares with nothing; from then on each ring must have made a turn.
    @Test func allIsWell() {
        var watch = RingWatch(count: 2, limitMilliseconds: 1000)
        #expect(watch.look(at: [5, 7], milliseconds: 10_000) == look())
        #expect(watch.look(at: [6, 8], milliseconds: 10_250) == look(isAllWell: true))
        // Nothing since: not yet, and nothing is wrong.
        #expect(watch.look(at: [6, 8], milliseconds: 10_500) == look())
        // One after the other will do.
        #expect(watch.look(at: [7, 8], milliseconds: 10_750) == look())
        #expect(watch.look(at: [7, 9], milliseconds: 11_000) == look(isAllWell: true))
    }

    @Test func oneIsStuck() {
        var watch = RingWatch(count: 3, limitMilliseconds: 1000)
        _ = watch.look(at: [1, 1, 1], milliseconds: 0)
        _ = watch.look(at: [2, 2, 2], milliseconds: 100)
        #expect(watch.look(at: [3, 2, 3], milliseconds: 600) == look())
        #expect(watch.look(at: [4, 2, 4], milliseconds: 1099) == look())
        #expect(watch.look(at: [5, 2, 5], milliseconds: 1100) == look([(1, 1000)]))
        #expect(watch.stalledRings == [1])
        // Told once.
        #expect(watch.look(at: [6, 2, 6], milliseconds: 5000) == look())
        #expect(watch.look(at: [7, 3, 7], milliseconds: 6100) == look([], [(1, 6000)], isAllWell: true))
        #expect(watch.stalledRings.isEmpty)
    }

    /// A ring that never made a turn is as stuck as one that did.
    @Test func oneNeverBegan() {
        var watch = RingWatch(count: 1, limitMilliseconds: 100)
        #expect(watch.look(at: [0], milliseconds: 1_000_000) == look())
        #expect(watch.look(at: [0], milliseconds: 1_000_099) == look())
        #expect(watch.look(at: [0], milliseconds: 1_000_100) == look([(0, 100)]))
    }

    /// The process, or the machine, stood still for a minute: no ring is to blame for it.
    @Test func everythingStoodStill() {
        var watch = RingWatch(count: 2, limitMilliseconds: 1000)
        _ = watch.look(at: [1, 1], milliseconds: 0)
        _ = watch.look(at: [2, 2], milliseconds: 250)
        #expect(watch.look(at: [2, 2], milliseconds: 60_250) == look())
        #expect(watch.look(at: [3, 2], milliseconds: 60_500) == look([(1, 60_250)]), "that one has had its chance")
    }

    /// Counts that wrap are counts that changed.
    @Test func anyChangeIsProgress() {
        var watch = RingWatch(count: 1, limitMilliseconds: 100)
        _ = watch.look(at: [.max], milliseconds: 0)
        #expect(watch.look(at: [0], milliseconds: 500) == look(isAllWell: true))
    }
}

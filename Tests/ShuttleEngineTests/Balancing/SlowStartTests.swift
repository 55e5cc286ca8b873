// When a ramp begins, how it climbs and when it ends, at every moment and over every short history.

import Testing

@testable import ShuttleEngine

@Suite struct SlowStartTests {
    private static let full = SlowStart.steps

    private static func ramping(_ milliseconds: Int, since start: UInt64) -> SlowStart {
        var slowStart = SlowStart()
        slowStart.update(isUsable: false, isServiceRunning: true, milliseconds: milliseconds, at: start)
        slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: milliseconds, at: start)
        return slowStart
    }

    /// Every millisecond of ramps that are shorter than their steps, that divide well and that do not.
    @Test(arguments: [1, 2, 7, 19, 20, 21, 39, 100, 999, 1000, 4001])
    func everyMomentOfARamp(milliseconds: Int) {
        let start: UInt64 = 123
        var shares: Set<Int> = []
        var last = 0
        for elapsed in 0...UInt64(milliseconds + 3) {
            var slowStart = Self.ramping(milliseconds, since: start)
            slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: milliseconds, at: start + elapsed)
            let share = slowStart.share
            shares.insert(share)
            #expect(share >= last, "it never falls")
            last = share
            guard elapsed < milliseconds else {
                #expect(share == Self.full && slowStart.nextStep == nil && slowStart.percent == 100)
                continue
            }
            #expect(share >= 1 && slowStart.percent == share * 5)
            #expect(share == 1 || share * milliseconds <= Int(elapsed) * Self.full, "never ahead of the time")
            #expect((share + 1) * milliseconds > Int(elapsed) * Self.full, "never behind by more than a step")
            guard let next = slowStart.nextStep, next > start + elapsed else {
                Issue.record("a ramp that is under way has a next step, and it is to come")
                return
            }
            var before = slowStart
            before.update(isUsable: true, isServiceRunning: true, milliseconds: milliseconds, at: next - 1)
            #expect(before.share == share, "not a moment earlier")
            slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: milliseconds, at: next)
            #expect(slowStart.share > share, "and not a moment later")
        }
        #expect(shares.count <= Self.full)
    }

    /// What is looked at now and then: whether the backend can be used, and the time that is configured.
    private struct Look: Equatable {
        var time: UInt64
        var isUsable: Bool
        var milliseconds: Int
    }

    /// What the share is by everything that was seen, said in another way: the ramp is that of the last time that it came
    /// up, unless a look since then found it over.
    private static func expected(_ looks: [Look], isServiceRunning: Bool) -> Int {
        guard let last = looks.last else { return full }
        guard last.isUsable else { return last.milliseconds > 0 ? 1 : full }
        let first = (looks.lastIndex { !$0.isUsable } ?? -1) + 1
        if first == 0, !isServiceRunning { return full }
        let start = looks[first].time
        for look in looks[first...] where look.time - start >= look.milliseconds { return full }
        return max(1, full * Int(last.time - start) / last.milliseconds)
    }

    /// Every history of four looks, of which each comes after a while, finds it usable or not, and the time as it was,
    /// another one, or none.
    @Test(arguments: [true, false])
    func everyShortHistory(isServiceRunning: Bool) {
        let waits: [UInt64] = [1, 40, 100]
        let times = [0, 100, 250]
        func explore(_ looks: [Look], _ slowStart: SlowStart) {
            guard looks.count < 4 else { return }
            for wait in waits {
                for milliseconds in times {
                    for isUsable in [true, false] {
                        let look = Look(
                            time: (looks.last?.time ?? 1000) + wait, isUsable: isUsable, milliseconds: milliseconds)
                        var next = slowStart
                        next.update(
                            isUsable: isUsable, isServiceRunning: isServiceRunning, milliseconds: milliseconds,
                            at: look.time)
                        let expected = Self.expected(looks + [look], isServiceRunning: isServiceRunning)
                        if next.share != expected {
                            Issue.record("\(looks + [look]): \(next.share) instead of \(expected)")
                            return
                        }
                        explore(looks + [look], next)
                    }
                }
            }
        }
        explore([], SlowStart())
    }

    @Test func nobodyRampsWhereAServiceBegins() {
        var slowStart = SlowStart()
        #expect(slowStart.share == Self.full && slowStart.percent == 100)
        slowStart.update(isUsable: true, isServiceRunning: false, milliseconds: 1000, at: 0)
        #expect(slowStart.share == Self.full && slowStart.nextStep == nil)
    }

    @Test func whoIsAddedRamps() {
        var slowStart = SlowStart()
        slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: 1000, at: 5000)
        #expect(slowStart.share == 1 && slowStart.percent == 5 && slowStart.nextStep == 5100)
    }

    /// Rings see that it is up before they see its new share: so it has the first one already. It is no ramp yet.
    @Test func whoIsOutHasTheShareThatItWillBeginWith() {
        var slowStart = SlowStart()
        slowStart.update(isUsable: true, isServiceRunning: false, milliseconds: 1000, at: 0)
        slowStart.update(isUsable: false, isServiceRunning: true, milliseconds: 1000, at: 10)
        #expect(slowStart.share == 1 && slowStart.percent == 100 && slowStart.nextStep == nil)
    }

    @Test func aFailureDuringTheRampBeginsItAnew() {
        var slowStart = Self.ramping(1000, since: 0)
        slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: 1000, at: 500)
        #expect(slowStart.percent == 50)
        slowStart.update(isUsable: false, isServiceRunning: true, milliseconds: 1000, at: 510)
        slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: 1000, at: 900)
        #expect(slowStart.percent == 5)
        slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: 1000, at: 1899)
        #expect(slowStart.percent == 95)
        slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: 1000, at: 1900)
        #expect(slowStart.percent == 100)
    }

    /// Another time bends the ramp at once; none ends it, and one that is set later begins none.
    @Test func itsTimeChangesLive() {
        var slowStart = Self.ramping(1000, since: 0)
        slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: 1000, at: 500)
        slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: 2000, at: 500)
        #expect(slowStart.percent == 25)
        slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: 600, at: 500)
        #expect(slowStart.percent == 80)
        slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: 0, at: 510)
        #expect(slowStart.percent == 100)
        slowStart.update(isUsable: true, isServiceRunning: true, milliseconds: 60_000, at: 520)
        #expect(slowStart.percent == 100 && slowStart.nextStep == nil)
    }
}

// Owns the rule of how long newcomers may wait: when it tightens, when it lets go, and that it does neither without cause.

import Testing

@testable import ShuttleEngine

@Suite struct QueueDelayTests {
    private static let wait: UInt64 = 8000
    private static let target: UInt64 = 1000
    private static let interval: UInt64 = 4000

    /// A queue that stands: somebody is served every 100 ms, after `waited`, and somebody joins; the patience of each.
    private func run(
        _ delay: inout QueueDelay, from start: UInt64, until end: UInt64, waited: UInt64
    ) -> [UInt64] {
        stride(from: start, to: end, by: 100).map { now in
            delay.served(after: waited, now: now, wait: QueueDelayTests.wait, isQueueEmpty: false)
            return delay.patience(now: now, wait: QueueDelayTests.wait, isQueueEmpty: false)
        }
    }

    @Test func targetAndIntervalFollowTheConfiguredWait() {
        #expect(QueueDelay.target(of: 8000) == 1000 && QueueDelay.interval(of: 8000) == 4000)
        #expect(QueueDelay.target(of: 1) == 1 && QueueDelay.interval(of: 1) == 1)
    }

    @Test func withoutALimitThereIsNone() {
        var delay = QueueDelay()
        for now in stride(from: UInt64(0), to: 100_000, by: 100) {
            delay.served(after: 50_000, now: now, wait: 0, isQueueEmpty: false)
            #expect(delay.patience(now: now, wait: 0, isQueueEmpty: false) == 0)
        }
        #expect(delay.level == 0)
    }

    /// One interval of slow service changes nothing yet for those who joined in it; each further one halves the time.
    @Test func eachSlowIntervalHalvesTheTimeOfNewcomers() {
        var delay = QueueDelay()
        #expect(delay.patience(now: 1000, wait: QueueDelayTests.wait, isQueueEmpty: true) == 8000)
        // The first interval began with an empty queue.
        #expect(Set(run(&delay, from: 1000, until: 5000, waited: 3000)) == [8000])
        #expect(Set(run(&delay, from: 5000, until: 9000, waited: 3000)) == [8000])
        #expect(Set(run(&delay, from: 9000, until: 13_000, waited: 3000)) == [4000])
        #expect(Set(run(&delay, from: 13_000, until: 17_000, waited: 3000)) == [2000])
        #expect(Set(run(&delay, from: 17_000, until: 21_000, waited: 3000)) == [1000])
        #expect(Set(run(&delay, from: 21_000, until: 90_000, waited: 3000)) == [1000], "never below the target")
    }

    /// The shortest wait of an interval counts: one client served in time is enough.
    @Test func oneQuickServiceInAnIntervalIsEnough() {
        var delay = QueueDelay()
        _ = delay.patience(now: 1000, wait: QueueDelayTests.wait, isQueueEmpty: true)
        for start in stride(from: UInt64(1000), to: 41_000, by: Int(QueueDelayTests.interval)) {
            #expect(Set(run(&delay, from: start, until: start + 2000, waited: 7000)) == [8000])
            delay.served(
                after: QueueDelayTests.target, now: start + 2000, wait: QueueDelayTests.wait, isQueueEmpty: false)
            #expect(Set(run(&delay, from: start + 2000, until: start + 4000, waited: 7000)) == [8000])
        }
    }

    @Test func theTargetItselfIsInTimeAndOneMillisecondMoreIsNot() {
        for (waited, level) in [(QueueDelayTests.target, 0), (QueueDelayTests.target + 1, 3)] as [(UInt64, UInt8)] {
            var delay = QueueDelay()
            _ = delay.patience(now: 1000, wait: QueueDelayTests.wait, isQueueEmpty: true)
            _ = run(&delay, from: 1000, until: 40_000, waited: waited)
            #expect(delay.level == level)
        }
    }

    /// Nobody is served at all: slow as well.
    @Test func aStandstillIsSlow() {
        var delay = QueueDelay()
        _ = delay.patience(now: 1000, wait: QueueDelayTests.wait, isQueueEmpty: true)
        let patience = stride(from: UInt64(1100), to: 40_000, by: 100).map {
            delay.patience(now: $0, wait: QueueDelayTests.wait, isQueueEmpty: false)
        }
        #expect(patience.first == 8000 && patience.last == 1000)
        #expect(zip(patience, patience.dropFirst()).allSatisfy { $0 >= $1 })
    }

    @Test func quickIntervalsGiveTheTimeBackStepByStep() {
        var delay = QueueDelay()
        _ = delay.patience(now: 1000, wait: QueueDelayTests.wait, isQueueEmpty: true)
        _ = run(&delay, from: 1000, until: 21_000, waited: 3000)
        #expect(delay.level == 3)
        var seen: [UInt64] = []
        for value in run(&delay, from: 21_000, until: 41_000, waited: 500) where seen.last != value {
            seen.append(value)
        }
        #expect(seen == [1000, 2000, 4000, 8000])
    }

    /// Who joins an empty queue has all of the time, whatever came before: nobody else would take the place.
    @Test func theFirstInLineHasAllOfTheTime() {
        var delay = QueueDelay()
        _ = delay.patience(now: 1000, wait: QueueDelayTests.wait, isQueueEmpty: true)
        _ = run(&delay, from: 1000, until: 30_000, waited: 3000)
        #expect(delay.patience(now: 30_000, wait: QueueDelayTests.wait, isQueueEmpty: false) == 1000)
        delay.emptied()
        #expect(delay.patience(now: 30_001, wait: QueueDelayTests.wait, isQueueEmpty: true) == 8000)
        #expect(delay.patience(now: 30_002, wait: QueueDelayTests.wait, isQueueEmpty: false) == 1000)
    }

    /// A pause in which nobody waited forgets what was before it, an interval at a time.
    @Test(arguments: [(1, 2), (2, 1), (3, 0), (30, 0)] as [(UInt64, UInt8)])
    func anEmptyQueueForgets(intervals: UInt64, level: UInt8) {
        var delay = QueueDelay()
        _ = delay.patience(now: 1000, wait: QueueDelayTests.wait, isQueueEmpty: true)
        _ = run(&delay, from: 1000, until: 21_000, waited: 3000)
        // Ends the interval in which the queue stood, with the queue empty from here on.
        delay.served(after: 3000, now: 21_000, wait: QueueDelayTests.wait, isQueueEmpty: true)
        #expect(delay.level == 3)
        _ = delay.patience(
            now: 21_000 + intervals * QueueDelayTests.interval, wait: QueueDelayTests.wait, isQueueEmpty: true)
        #expect(delay.level == level)
    }

    /// Bursts that are served before the next one comes are no reason, however long a single one waits.
    @Test func burstsAreNoReason() {
        var delay = QueueDelay()
        for burst in UInt64(0)..<20 {
            let start = 1000 + burst * 5000
            #expect(delay.patience(now: start, wait: QueueDelayTests.wait, isQueueEmpty: true) == 8000)
            for client in UInt64(1)..<30 {
                #expect(delay.patience(now: start + client, wait: QueueDelayTests.wait, isQueueEmpty: false) == 8000)
            }
            for client in UInt64(0)..<30 {
                let waited = 100 + client * 100
                delay.served(after: waited, now: start + waited, wait: QueueDelayTests.wait, isQueueEmpty: client == 29)
            }
            delay.emptied()
        }
    }

    /// A queue under twice the load it can serve, as clients live it: those who are served wait for about a quarter of
    /// the time, where without the rule they would wait for all of it; and no place stays free.
    @Test func anOverloadedQueueServesAsManyAndSooner() {
        struct Client { var since: UInt64, deadline: UInt64 }
        for isRuled in [false, true] {
            var delay = QueueDelay()
            var line: [Client] = []
            var waits: [UInt64] = []
            var idle = 0
            for now in stride(from: UInt64(10), to: 200_000, by: 10) {
                line.removeAll { $0.deadline <= now }
                if line.isEmpty { delay.emptied() }
                if now % 20 == 0 {
                    if line.isEmpty {
                        idle += 1
                    } else {
                        let waited = now - line.removeFirst().since
                        delay.served(
                            after: waited, now: now, wait: QueueDelayTests.wait, isQueueEmpty: line.isEmpty)
                        if now > 100_000 { waits.append(waited) }
                    }
                }
                let patience = delay.patience(now: now, wait: QueueDelayTests.wait, isQueueEmpty: line.isEmpty)
                line.append(Client(since: now, deadline: now + (isRuled ? patience : QueueDelayTests.wait)))
            }
            let average = waits.reduce(0, +) / UInt64(waits.count)
            #expect(idle <= 2 && waits.count > 4990)
            #expect(
                isRuled ? average < QueueDelayTests.wait / 3 : average > QueueDelayTests.wait * 9 / 10, "\(average)")
        }
    }

    /// Whatever happens, patience stays between the target and the configured time.
    @Test(arguments: [1, 2, 7, 8, 100, 86_400_000] as [UInt64])
    func staysWithinItsBounds(wait: UInt64) {
        var random = SeededGenerator(wait)
        var delay = QueueDelay()
        var now: UInt64 = 1
        for _ in 0..<5000 {
            now += UInt64.random(in: 0...max(1, wait / 3), using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: delay.emptied()
            case 1:
                let waited = UInt64.random(in: 0...wait, using: &random)
                delay.served(after: waited, now: now, wait: wait, isQueueEmpty: .random(using: &random))
            default:
                let isEmpty = Bool.random(using: &random)
                let patience = delay.patience(now: now, wait: wait, isQueueEmpty: isEmpty)
                #expect((QueueDelay.target(of: wait)...wait).contains(patience) && (!isEmpty || patience == wait))
            }
        }
    }
}

// Owns the rule of inactivity, spelled out case by case; times in milliseconds, the timeout is 1000.

import Testing

@testable import ShuttleEngine

@Suite struct IdleClockTests {
    private func look(
        _ clock: inout IdleClock,
        at now: UInt64,
        pending: Bool = false,
        acknowledged: UInt64 = 0,
        sentAge: UInt64 = 0
    ) -> IdleClock.Verdict {
        clock.evaluate(
            now: now,
            timeout: 1000,
            pendingOutput: pending,
            acknowledgedNow: acknowledged,
            sentAge: sentAge
        )
    }

    @Test func nothingHappens() {
        var clock = IdleClock(now: 5000)
        #expect(look(&clock, at: 5000) == .checkAgain(at: 6000))
        #expect(look(&clock, at: 5999) == .checkAgain(at: 6000))
        #expect(look(&clock, at: 6000) == .expired)
    }

    @Test func bytesInEitherDirectionCount() {
        var clock = IdleClock(now: 5000)
        clock.received(now: 5700)
        #expect(look(&clock, at: 6000) == .checkAgain(at: 6700))
        clock.sent(now: 6600)
        #expect(look(&clock, at: 6700) == .checkAgain(at: 7600))
        #expect(look(&clock, at: 7600) == .expired)
    }

    /// It talks, and takes nothing of what is sent to it.
    @Test func pendingOutputMakesReceivesMoot() {
        var clock = IdleClock(now: 5000)
        clock.sent(now: 5000)
        #expect(look(&clock, at: 5000, pending: true) == .checkAgain(at: 5250))
        clock.received(now: 5200)
        #expect(look(&clock, at: 5250, pending: true) == .checkAgain(at: 5500))
        clock.received(now: 5990)
        #expect(look(&clock, at: 6000, pending: true) == .expired)
    }

    /// What the kernel takes into its queue is no progress while nothing of it is acknowledged.
    @Test func furtherSendsAreNoProgress() {
        var clock = IdleClock(now: 5000)
        clock.sent(now: 5000)
        _ = look(&clock, at: 5000, pending: true)
        clock.sent(now: 5500)
        #expect(look(&clock, at: 5600, pending: true) == .checkAgain(at: 5850))
        clock.sent(now: 5900)
        #expect(look(&clock, at: 6000, pending: true) == .expired)
    }

    @Test func acknowledgementsAreProgress() {
        var clock = IdleClock(now: 5000)
        clock.sent(now: 5000)
        _ = look(&clock, at: 5000, pending: true)
        #expect(look(&clock, at: 5500, pending: true, acknowledged: 10) == .checkAgain(at: 5750))
        #expect(look(&clock, at: 6400, pending: true, acknowledged: 10) == .checkAgain(at: 6500))
        #expect(look(&clock, at: 6500, pending: true, acknowledged: 10) == .expired)
    }

    /// One burst into the kernel's queue, which the peer empties slowly: first seen pending when the timeout of the
    /// burst is all but over.
    @Test func slowProgressBeforeTheFirstLook() {
        var clock = IdleClock(now: 5000)
        clock.sent(now: 5010)
        #expect(look(&clock, at: 6000, pending: true, acknowledged: 700, sentAge: 30) == .checkAgain(at: 6250))
        #expect(look(&clock, at: 6250, pending: true, acknowledged: 700, sentAge: 280) == .checkAgain(at: 6500))
        #expect(look(&clock, at: 6970, pending: true, acknowledged: 700, sentAge: 1000) == .expired)
    }

    /// The same, seen when the last of it has just been acknowledged.
    @Test func progressThatEndedBeforeTheLook() {
        var clock = IdleClock(now: 5000)
        clock.sent(now: 5010)
        #expect(look(&clock, at: 6000, acknowledged: 700, sentAge: 100) == .checkAgain(at: 6900))
        #expect(look(&clock, at: 6900, acknowledged: 700, sentAge: 1000) == .expired)
    }

    /// Retransmissions to a peer that is gone are sent and never acknowledged.
    @Test func sendingWithoutAcknowledgementIsNoProgress() {
        var clock = IdleClock(now: 5000)
        clock.sent(now: 5000)
        _ = look(&clock, at: 5000, pending: true, acknowledged: 3)
        #expect(look(&clock, at: 5900, pending: true, acknowledged: 3, sentAge: 1) == .checkAgain(at: 6000))
        #expect(look(&clock, at: 6000, pending: true, acknowledged: 3, sentAge: 1) == .expired)
    }

    /// Output that begins to be pending after a long rest has its own time.
    @Test func outputAfterARest() {
        var clock = IdleClock(now: 5000)
        clock.received(now: 8000)
        #expect(look(&clock, at: 8000) == .checkAgain(at: 9000))
        clock.sent(now: 8990)
        #expect(look(&clock, at: 9000, pending: true) == .checkAgain(at: 9250))
        #expect(look(&clock, at: 9990, pending: true) == .expired)
    }

    /// Whatever the order of looks: never before the timeout, and at the latest a quarter of it after.
    @Test func looksAreOftenEnough() {
        var clock = IdleClock(now: 0)
        clock.sent(now: 0)
        var now: UInt64 = 0
        var looks = 0
        let stalledAt: UInt64 = 4321
        while true {
            // One byte is acknowledged each millisecond until the stall.
            let acknowledged = min(now, stalledAt)
            let verdict = look(
                &clock,
                at: now,
                pending: true,
                acknowledged: acknowledged,
                sentAge: now - acknowledged
            )
            guard case .checkAgain(let next) = verdict else { break }
            #expect(next > now)
            now = next
            looks += 1
        }
        #expect(now >= stalledAt + 1000 && now <= stalledAt + 1250)
        #expect(looks <= 4 * 6)
    }

    /// A timeout that began later than the last activity counts from its beginning, activity after that from itself.
    @Test func aTimeoutThatBeganLater() {
        var clock = IdleClock(now: 5000)
        clock.look(now: 5400, pendingOutput: false, acknowledgedNow: 0, sentAge: 0)
        #expect(clock.verdict(now: 5400, timeout: 1000, from: 5400) == .checkAgain(at: 6400))
        #expect(clock.verdict(now: 6000, timeout: 1000) == .expired)
        #expect(clock.verdict(now: 6000, timeout: 1000, from: 5400) == .checkAgain(at: 6400))
        clock.sent(now: 6200)
        clock.look(now: 6400, pendingOutput: false, acknowledgedNow: 0, sentAge: 0)
        #expect(clock.verdict(now: 6400, timeout: 1000, from: 5400) == .checkAgain(at: 7200))
        #expect(clock.verdict(now: 7200, timeout: 1000, from: 5400) == .expired)
    }

    /// Judging it against two timeouts is one look.
    @Test func severalVerdictsOfOneLook() {
        var clock = IdleClock(now: 5000)
        clock.sent(now: 5500)
        clock.look(now: 5600, pendingOutput: true, acknowledgedNow: 0, sentAge: 0)
        #expect(clock.verdict(now: 5600, timeout: 1000) == .checkAgain(at: 5850))
        #expect(clock.verdict(now: 5600, timeout: 400) == .checkAgain(at: 5700))
        #expect(clock.verdict(now: 6500, timeout: 1000) == .expired)
    }

    /// A unix socket's kernel tells how much its peer has not read, not when it read: that counts while output is pending, by
    /// the time of the look, and looks are never further apart than a quarter of the timeout.
    @Test func whereNobodyKnowsWhenThePeerTookSomething() {
        func look(_ clock: inout IdleClock, at now: UInt64, pending: Bool, unread: UInt64) -> IdleClock.Verdict {
            clock.evaluate(
                now: now, timeout: 1000, pendingOutput: pending, acknowledgedNow: unread, sentAge: nil)
        }
        var clock = IdleClock(now: 5000)
        clock.sent(now: 5100)
        #expect(look(&clock, at: 5100, pending: false, unread: 900) == .checkAgain(at: 5350))
        // It reads what its kernel has; nothing is sent, and that is what it has been told.
        #expect(look(&clock, at: 5350, pending: false, unread: 500) == .checkAgain(at: 5600))
        #expect(look(&clock, at: 6100, pending: false, unread: 0) == .expired)
        clock = IdleClock(now: 5000)
        clock.sent(now: 5000)
        #expect(look(&clock, at: 5200, pending: true, unread: 900) == .checkAgain(at: 5450))
        #expect(look(&clock, at: 5450, pending: true, unread: 800) == .checkAgain(at: 5700))
        #expect(look(&clock, at: 6400, pending: true, unread: 800) == .checkAgain(at: 6450))
        #expect(look(&clock, at: 6450, pending: true, unread: 800) == .expired)
    }
}

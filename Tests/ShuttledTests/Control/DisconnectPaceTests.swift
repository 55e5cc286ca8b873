// When each of many connections is ended: never earlier than the rate allows, whoever is late.

import Testing

@testable import shuttled

@Suite struct DisconnectPaceTests {
    private static let second: UInt64 = 1_000_000_000

    /// Asks whenever one is due, and says when each was taken.
    private func ends(_ pace: DisconnectPace, count: Int, draw: @escaping () -> UInt64) -> [UInt64] {
        var pace = pace
        var times: [UInt64] = []
        while times.count < count {
            let now = pace.due
            let taken = pace.take(at: now, limit: count - times.count, draw: draw)
            #expect(taken >= 1, "what is due is given")
            times += Array(repeating: now, count: taken)
        }
        return times
    }

    @Test func evenlyWithoutJitter() {
        let pace = DisconnectPace(interval: 100, jitterPercent: 0, start: 5000, draw: .max)
        #expect(ends(pace, count: 5) { .max } == [5000, 5100, 5200, 5300, 5400])
    }

    @Test(arguments: [1, 50, 100])
    func eachInItsOwnSlot(jitterPercent: Int) {
        var generator = SystemRandomNumberGenerator()
        let interval: UInt64 = 1000
        let pace = DisconnectPace(
            interval: interval, jitterPercent: jitterPercent, start: 0, draw: generator.next())
        let times = ends(pace, count: 500) { generator.next() }
        for (index, time) in times.enumerated() {
            let slot = UInt64(index) * interval
            #expect(time >= slot && time <= slot + interval * UInt64(jitterPercent) / 100, "\(index) at \(time)")
        }
        #expect(jitterPercent < 50 || Set(times.map { $0 % interval }).count > 100, "nobody can foresee them")
    }

    @Test func nothingIsDueBefore() {
        var pace = DisconnectPace(interval: 100, jitterPercent: 0, start: 1000, draw: 0)
        let taken = [999, 1000, 1099, 1250].map { pace.take(at: $0, limit: 10) { 0 } }
        #expect(taken == [0, 1, 0, 2])
        #expect(pace.due == 1300)
    }

    /// Who could not keep up does not make up for it, but for one moment's worth.
    @Test(arguments: [0, 70])
    func noBurstAfterAStall(jitterPercent: Int) {
        let interval = Self.second / 1000
        var pace = DisconnectPace(interval: interval, jitterPercent: jitterPercent, start: 0, draw: 0)
        let taken = pace.take(at: 60 * Self.second, limit: 1_000_000) { .max / 2 }
        #expect((1...12).contains(taken), "\(taken) at once, of 60,000 that would have been due")
        #expect(pace.due > 60 * Self.second && pace.due <= 60 * Self.second + 2 * interval)
    }

    /// One that is due with a long time between is not lost when it is looked at late.
    @Test func aSlowRateThatIsLookedAtLate() {
        var pace = DisconnectPace(interval: 10 * Self.second, jitterPercent: 100, start: 0, draw: .max / 2)
        let due = pace.due
        let taken = pace.take(at: due + Self.second, limit: 10) { .max / 2 }
        #expect(taken == 1)
        #expect(pace.due > due + 5 * Self.second)
    }

    @Test func noMoreThanThereAre() {
        var pace = DisconnectPace(interval: 1, jitterPercent: 0, start: 0, draw: 0)
        let taken = pace.take(at: 1000, limit: 3) { 0 }
        #expect(taken == 3)
    }

    @Test(
        arguments: [
            (DisconnectRate(count: 100, unit: .second), 10_000_000),
            (DisconnectRate(count: 3, unit: .second), 333_333_334),
            (DisconnectRate(count: 1, unit: .hour), 3_600_000_000_000),
            (DisconnectRate(count: 100_000, unit: .minute), 600_000),
        ] as [(DisconnectRate, UInt64)])
    func intervalsAreRoundedUp(_ rate: DisconnectRate, _ interval: UInt64) {
        #expect(rate.interval == interval)
    }

    @Test func jobsAreRememberedWhileThereIsRoom() {
        let jobs = Disconnects()
        let request = DisconnectRequest(filter: .init())
        for _ in 0..<100 {
            let job = jobs.begin(request, matched: 3, peer: "p", token: nil, milliseconds: 1)
            jobs.progressed(job.id, ended: 2, gone: 1)
            if job.id != 7 { jobs.end(job.id, as: .finished, milliseconds: 2) }
        }
        #expect(jobs.reports.count == Disconnects.keptMax && jobs.runningCount == 1)
        #expect(jobs.report(7)?.remaining == 0, "one that runs is not forgotten")
        #expect(jobs.report(8) == nil && jobs.report(100)?.endedMilliseconds == 2)
        jobs.end(100, as: .cancelled, milliseconds: 9)
        #expect(jobs.report(100)?.state == .finished, "one that is over stays as it is")
        #expect(jobs.remove(7, milliseconds: 9)?.state == .cancelled && jobs.report(7) == nil && jobs.runningCount == 0)
        #expect(jobs.remove(7, milliseconds: 9) == nil)
    }
}

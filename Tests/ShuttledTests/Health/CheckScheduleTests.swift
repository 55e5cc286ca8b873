// When checks begin: a thousand backends over virtual time, by the schedule alone and by the whole monitor.

import Logging
import NIOCore
import NIOEmbedded
import ShuttleEngine
import Testing

@testable import shuttled

/// Draws the middle of every range that has one: no jitter.
struct SteadyGenerator: RandomNumberGenerator {
    mutating func next() -> UInt64 { 1 << 63 }
}

/// The same numbers for the same seed (splitmix64).
struct CheckGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct CheckScheduleTests {
    private static let zero = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    /// The most of `times` that fall into the same 100 ms, in any of them that begins with one.
    private static func mostIn100Milliseconds(_ times: [NIODeadline]) -> Int {
        let times = times.sorted()
        var most = 0
        var first = 0
        for last in times.indices {
            while times[last] - times[first] >= .milliseconds(100) {
                first += 1
            }
            most = max(most, last - first + 1)
        }
        return most
    }

    @Test func theFirstChecksAreSpreadOverTheInterval() {
        let delays = (0..<1000).map { CheckSchedule.firstDelay(of: $0, among: 1000, intervalMilliseconds: 2000) }
        #expect(delays.first == .nanoseconds(0), "a new backend is checked at once")
        #expect(delays.last == .milliseconds(1998), "over all of the interval")
        #expect(zip(delays, delays.dropFirst()).allSatisfy { $1 - $0 == .milliseconds(2) })
        let alone = CheckSchedule.firstDelay(of: 0, among: 1, intervalMilliseconds: 2000)
        #expect(alone == .nanoseconds(0))
        let few = (0..<3).map { CheckSchedule.firstDelay(of: $0, among: 3, intervalMilliseconds: 86_400_000) }
        #expect(few.last == .milliseconds(20), "a long interval does not keep the third waiting for a day")
    }

    @Test func theJitterIsWithinItsBoundsAndEven() {
        var schedule = CheckSchedule(generator: CheckGenerator(state: 1))
        let steps = (0..<10_000).map { _ in
            (schedule.next(after: Self.zero, now: Self.zero, intervalMilliseconds: 2000) - Self.zero).nanoseconds
        }
        #expect(steps.min()! >= 1_900_000_000 && steps.min()! < 1_902_000_000)
        #expect(steps.max()! <= 2_100_000_000 && steps.max()! > 2_098_000_000)
        let mean = Double(steps.reduce(0, +)) / Double(steps.count)
        #expect(abs(mean - 2_000_000_000) < 3_000_000, "on average the interval is what was configured: \(mean)")
    }

    @Test func theSameGeneratorGivesTheSameTimes() {
        func times(_ seed: UInt64) -> [NIODeadline] {
            var schedule = CheckSchedule(generator: CheckGenerator(state: seed))
            return (0..<10).map { _ in
                schedule.next(after: Self.zero, now: Self.zero, intervalMilliseconds: 2000)
            }
        }
        #expect(times(7) == times(7))
        #expect(times(7) != times(8))
    }

    @Test func beatsThatHavePassedAreLeftOut() {
        var schedule = CheckSchedule(generator: SteadyGenerator())
        func next(_ late: TimeAmount) -> TimeAmount {
            schedule.next(after: Self.zero, now: Self.zero + late, intervalMilliseconds: 1000) - Self.zero
        }
        #expect(next(.nanoseconds(0)) == .milliseconds(1000))
        #expect(next(.milliseconds(999)) == .milliseconds(1000))
        #expect(next(.milliseconds(1000)) == .milliseconds(2000))
        #expect(next(.milliseconds(5500)) == .milliseconds(6000))
        #expect(schedule.next(after: Self.zero + .seconds(9), now: Self.zero, intervalMilliseconds: 1) > Self.zero)
    }

    @Test func noTimeIsInThePast() {
        var schedule = CheckSchedule(generator: CheckGenerator(state: 3))
        for milliseconds in 0..<3000 {
            let now = Self.zero + .milliseconds(Int64(milliseconds))
            #expect(schedule.next(after: Self.zero, now: now, intervalMilliseconds: 1000) >= now)
        }
    }

    /// A monitor of a thousand backends on a loop whose clock the test moves.
    private static func begun(during time: TimeAmount) -> [NIODeadline] {
        let loop = EmbeddedEventLoop()
        var begun: [NIODeadline] = []
        let monitor = HealthMonitor(
            loop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            check: { _ in
                begun.append(loop.now)
                return loop.makeSucceededFuture(.succeeded)
            },
            observer: .init(checked: { _, _ in }, changed: { _, _ in }),
            schedule: CheckSchedule(generator: CheckGenerator(state: 42)), timeOfDayMilliseconds: { 0 }
        )
        monitor.update(
            (1...1000).map { number in
                HealthTarget(
                    identity: BackendIdentity(
                        service: "web", backend: "b\(number)", address: .loopbackIPv4(port: UInt16(number))
                    ),
                    checkAddress: .loopbackIPv4(port: UInt16(number)), intervalMilliseconds: 2000,
                    connectTimeoutMilliseconds: 5000, probe: .connect, probeTimeoutMilliseconds: 5000, fall: 2, rise: 2
                )
            })
        loop.advanceTime(by: time)
        monitor.stop()
        return begun
    }

    @Test func aThousandBackendsAreNotCheckedInTheSame100Milliseconds() {
        let begun = Self.begun(during: .seconds(60))
        // One check for each backend and interval; the last of them is under way or just not due.
        #expect((29_000...31_000).contains(begun.count), "\(begun.count)")
        // 50 would be perfectly even.
        let most = Self.mostIn100Milliseconds(begun)
        #expect(most <= 100, "\(most) in the same 100 ms")
        // Before the first ones come again.
        let first = begun.filter { $0 < begun[0] + .milliseconds(1900) }
        #expect(Self.mostIn100Milliseconds(first) <= 51, "even at the start")
    }
}

// Owns the benchmark of the timing wheel: a million sessions that are idle, each with one deadline, and a clock that goes
// on by a millisecond at a time. Says what a tick takes; the bound that must hold is in TimerWheelTests.

import Glibc

enum TimerBenchmark {
    private static let timers: UInt32 = 1_000_000
    /// Each timer comes once in so many ticks and is set anew, as that of an idle session is.
    private static let timeoutMilliseconds: UInt64 = 60_000

    static func run() {
        var wheel = TimerWheel(capacity: Int(timers), now: 0)
        var random = SplitMix(seed: 1)
        for slot in 0..<timers {
            wheel.register(slot)
            wheel.set(slot, deadline: 1 + random.next(through: timeoutMilliseconds - 1))
        }
        var now: UInt64 = 0
        // Once around, so that the timers lie as they come to lie.
        _ = ticks(timeoutMilliseconds, &wheel, &now)
        let start = nanoseconds()
        let expired = ticks(timeoutMilliseconds, &wheel, &now)
        let elapsed = Double(nanoseconds() - start)
        let perTick = Int(elapsed / Double(timeoutMilliseconds))
        let perTimer = Int(elapsed / Double(expired))
        print("\(timers) timers of \(timeoutMilliseconds / 1000) s: \(perTick) ns a tick, \(perTimer) ns a timer")
    }

    @inline(never)
    private static func ticks(_ count: UInt64, _ wheel: inout TimerWheel, _ now: inout UInt64) -> Int {
        var expired = 0
        for _ in 0..<count {
            now &+= 1
            while let slot = wheel.expire(at: now) {
                wheel.set(slot, deadline: now &+ timeoutMilliseconds)
                expired &+= 1
            }
        }
        return expired
    }

    private static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}

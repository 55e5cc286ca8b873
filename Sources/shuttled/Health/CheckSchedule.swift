// Owns when checks begin: the first ones of backends that arrive together, and the one after each. Pure but for the
// generator that it is given.
// Leaves to others: timers, and how many checks run at once (HealthMonitor).

import NIOCore

/// The times of checks, such that those of a thousand backends do not fall together, at the start or ever after.
struct CheckSchedule {
    /// Between the first checks of backends that arrive together, at most: the last of a hundred is checked a second
    /// after the first, however long the interval.
    static let spreadMax: TimeAmount = .milliseconds(10)
    /// How much longer or shorter than configured an interval may be. Beats that have fallen together, because the loop
    /// was busy or backends answer in step, drift apart by it.
    static let jitterPercentMax = 5

    private var generator: any RandomNumberGenerator

    init(generator: any RandomNumberGenerator) {
        self.generator = generator
    }

    /// How long the `index`th of `count` newcomers waits for its first check: the first not at all, the others spread
    /// over the interval.
    static func firstDelay(of index: Int, among count: Int, intervalMilliseconds: Int) -> TimeAmount {
        let interval = Int64(intervalMilliseconds) * 1_000_000
        let step = min(spreadMax.nanoseconds, interval / Int64(max(count, 1)))
        return .nanoseconds(step * Int64(index))
    }

    /// When the check after that of `due` is made. Beats that have passed are left out: after a busy time everyone keeps
    /// a time of their own, and nobody is checked twice in a row.
    mutating func next(after due: NIODeadline, now: NIODeadline, intervalMilliseconds: Int) -> NIODeadline {
        let interval = Int64(intervalMilliseconds) * 1_000_000
        let behind = max(0, (now - due).nanoseconds)
        let beat = due + .nanoseconds(behind / interval * interval)
        let jitterMax = interval * Int64(CheckSchedule.jitterPercentMax) / 100
        let jitter = Int64.random(in: -jitterMax...jitterMax, using: &generator)
        return max(now, beat + .nanoseconds(interval + jitter))
    }
}

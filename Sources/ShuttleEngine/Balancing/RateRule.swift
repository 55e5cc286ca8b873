// Owns when a connection is in time: tokens that come at a steady rate, of which some can be saved up. Pure: time is given.
// Leaves to others: where the times are kept (RateLimiter, ClientTimes), what becomes of who is late (Worker).

/// The generic cell rate algorithm (ITU-T I.371, annex A): a bucket of tokens as a single time. The bucket is full when
/// that time has passed; each token taken moves it on by what a token takes to come.
struct RateRule: Equatable {
    /// Nanoseconds in which a token comes; rounded up, so that no more come than the rate says.
    let interval: UInt64
    /// Nanoseconds that the bucket's time may lie ahead for a token to be there: all but one of the burst.
    let tolerance: UInt64
    /// Nanoseconds that a connection may wait for a token that has not come yet; 0 where nobody waits.
    let waitMax: UInt64

    /// Nobody waits longer than this, in nanoseconds: clients give up, and their request is not wanted any more.
    static let waitMaxOfDelays: UInt64 = 10_000_000_000

    enum Answer: Equatable {
        /// A token was there.
        case isInTime
        /// One that comes at this time, in nanoseconds, was taken in advance.
        case isInTimeAt(UInt64)
        /// None was taken.
        case isTooEarly
    }

    /// `perSecond` and `burst` from 1 on.
    init(perSecond: Int, burst: Int, delays: Bool) {
        let second: UInt64 = 1_000_000_000
        interval = (second + UInt64(perSecond) - 1) / UInt64(perSecond)
        tolerance = UInt64(burst - 1) * interval
        waitMax = delays ? RateRule.waitMaxOfDelays : 0
    }

    /// Takes a token at `now`, in nanoseconds. `full` is when the bucket is full again, and moves on.
    @inline(__always)
    func take(from full: inout UInt64, at now: UInt64, mayWait: Bool = true) -> Answer {
        let start = max(full, now)
        guard start > now &+ tolerance else {
            full = start &+ interval
            return .isInTime
        }
        let due = start &- tolerance
        guard mayWait, due &- now <= waitMax else { return .isTooEarly }
        full = start &+ interval
        return .isInTimeAt(due)
    }
}

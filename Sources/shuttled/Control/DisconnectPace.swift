// Owns when each of many connections is ended: at a rate that is never exceeded, at moments that nobody can foresee.
// Pure: time and chance are given. Leaves to others: ending them (ControlPlane+Connections).

/// Time in slots of one over the rate. In each slot one connection is ended, somewhere in the part of it that the jitter
/// leaves to chance.
///
/// However late it is asked, no more are due at once than come in `catchUpNanoseconds`: who could not keep up for a while
/// goes on at the rate, not faster. So none is ever ended before its slot has begun, and from the start on never more than
/// the rate allows.
struct DisconnectPace: Equatable, Sendable {
    static let catchUpNanoseconds: UInt64 = 10_000_000

    /// Nanoseconds from one to the next, rounded up.
    let interval: UInt64
    let jitterPercent: Int
    /// When the present slot began.
    private var slot: UInt64
    private var offset: UInt64 = 0

    /// `interval` from 1 on; `jitterPercent` from 0 to 100.
    init(interval: UInt64, jitterPercent: Int, start: UInt64, draw: UInt64) {
        self.interval = interval
        self.jitterPercent = jitterPercent
        slot = start
        offset = offset(draw)
    }

    /// When the next one may be ended.
    var due: UInt64 { slot + offset }

    /// How many may be ended at `now`, `limit` at most; they count as ended. `draw` gives a random number.
    mutating func take(at now: UInt64, limit: Int, draw: () -> UInt64) -> Int {
        if due + DisconnectPace.catchUpNanoseconds < now { slot += now - DisconnectPace.catchUpNanoseconds - due }
        var count = 0
        while count < limit, due <= now {
            count += 1
            slot += interval
            offset = offset(draw())
        }
        return count
    }

    private func offset(_ draw: UInt64) -> UInt64 {
        let part = interval.multipliedFullWidth(by: UInt64(jitterPercent)).low / 100
        return draw.multipliedFullWidth(by: part).high
    }
}

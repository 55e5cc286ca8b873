// Owns the gradual end of the sessions that a backend has left: how it is told to the rings, and when each session's
// time comes. Leaves to others: which backends drain (Engine), ending sessions (Worker).

import Synchronization

/// Whether and until when the sessions of a backend are to end, spread evenly over a period.
///
/// Set by the control thread. Rings read it whenever they judge a session's time, so that a drain that is taken back
/// ends nothing more. It lives in the backend's record: a backend that is removed drains as well.
struct Drain: ~Copyable {
    private let start = Atomic<UInt64>(0)
    /// 0 while sessions run on.
    private let period = Atomic<UInt64>(0)

    /// Milliseconds over which the sessions end; 0 while they run on.
    var periodMilliseconds: UInt64 { period.load(ordering: .relaxed) }

    @inline(__always) var isActive: Bool { period.load(ordering: .relaxed) > 0 }

    /// Lets the sessions that there are end over `wanted` milliseconds from now on, or run on (0). A drain whose
    /// period is another begins anew with those that remain: a shorter one would end many at once otherwise. Returns
    /// whether anything changed.
    func set(periodMilliseconds wanted: UInt64, now: UInt64) -> Bool {
        guard wanted != periodMilliseconds else { return false }
        // Whoever reads in between sees none, or the new beginning with the new period.
        period.store(0, ordering: .releasing)
        start.store(now, ordering: .releasing)
        period.store(wanted, ordering: .releasing)
        return true
    }

    /// When the session of this key must have ended, `.max` for never. The same key has the same time for as long as the
    /// drain lasts, and another in the next one; keys are spread evenly.
    func deadline(of key: UInt64) -> UInt64 {
        let period = period.load(ordering: .acquiring)
        guard period > 0 else { return .max }
        let start = start.load(ordering: .acquiring)
        return start &+ SplitMix.mixed(key ^ SplitMix.mixed(start)).multipliedFullWidth(by: period).high
    }
}

// Owns whether a backend rests after a connect to it has failed, so that those who wait for places are not spent on it.
// Leaves to others: taking it out for longer (PassiveEjection, checks), and asking for rests (ServiceLimits, BackendChoice).

import Synchronization

/// A backend that refuses connects has places free while the others are full, and until it is taken out every waiter
/// would be sent there. So its places do not count for those who wait: for a moment none of them, then one at a time,
/// until a connect succeeds.
///
/// Written by every ring, on failures and on the first success after them.
struct BackendRest: ~Copyable {
    /// How long nobody who waits is sent there after a failure, and then how long the one who tries it keeps others away.
    static var milliseconds: UInt64 { 100 }

    enum State: Equatable {
        /// Its last connect succeeded, or it has had none.
        case none
        /// Nobody who waits is sent there.
        case resting(until: UInt64)
        /// One who waits may try it.
        case trial
    }

    /// By the clock of the rings; 0 for `State.none`.
    private let until = Atomic<UInt64>(0)

    @inline(__always)
    var isOn: Bool { until.load(ordering: .sequentiallyConsistent) != 0 }

    func state(now: UInt64) -> State {
        let until = until.load(ordering: .sequentiallyConsistent)
        if until == 0 { return .none }
        return now < until ? .resting(until: until) : .trial
    }

    /// A connect has failed.
    func begin(now: UInt64) {
        until.store(now &+ BackendRest.milliseconds, ordering: .sequentiallyConsistent)
    }

    /// A connect has succeeded.
    func end() {
        until.store(0, ordering: .sequentiallyConsistent)
    }

    /// Makes the caller the one who tries it; false when another was faster, or it is no time for that.
    func takeTrial(now: UInt64) -> Bool {
        let ended = until.load(ordering: .sequentiallyConsistent)
        guard ended != 0, ended <= now else { return false }
        return until.compareExchange(
            expected: ended, desired: now &+ BackendRest.milliseconds, ordering: .sequentiallyConsistent
        ).exchanged
    }
}

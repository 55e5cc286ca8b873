// Owns the values of time that a session takes from its service's configuration when it is accepted: it keeps no
// pointer to a snapshot. Leaves to others: judging time (Worker+Timers).

/// Values a session copies when it is accepted; 0 means no limit.
struct SessionTimeouts: Equatable {
    var clientMilliseconds: UInt32
    var serverMilliseconds: UInt32
    var connectMilliseconds: UInt32
    /// For all connects of the session together.
    var retryMilliseconds: UInt32
    /// Inactivity of the direction that remains when the other has ended.
    var halfCloseMilliseconds: UInt32
    /// How long bytes may wait for an acknowledgement; 0 leaves it to the system.
    var userMilliseconds: UInt32
    var keepalive: Keepalive

    /// A client has been led to another service: what is the backends' business is that one's.
    mutating func takeBackendSide(of other: SessionTimeouts) {
        serverMilliseconds = other.serverMilliseconds
        connectMilliseconds = other.connectMilliseconds
        retryMilliseconds = other.retryMilliseconds
    }
    /// Its client is on a unix socket, of which none of the questions and settings of TCP make sense.
    var hasUnixClient = false
}

/// How long a session may live, whatever it does.
struct LifetimeLimit: Equatable {
    /// 0 means no limit.
    var milliseconds: UInt32
    /// Each session's own limit is longer than the common one by up to so many percent, so that sessions that began
    /// together do not end together. Longer, never shorter: the limit is a time that clients can rely on.
    var jitterPercent: UInt8

    /// When a session that begins now must end; `.max` for never.
    @inline(__always)
    func deadline(now: UInt64, _ random: inout SplitMix) -> UInt64 {
        guard milliseconds > 0 else { return .max }
        return now &+ drawn(&random)
    }

    private func drawn(_ random: inout SplitMix) -> UInt64 {
        let common = UInt64(milliseconds)
        // A hundredth of it may be less than a millisecond.
        let spread = common &* UInt64(jitterPercent) / 100
        return common &+ random.next(through: spread)
    }
}

// Owns the rule of when a side of a session has been inactive for too long. Knows no clock: `now` is given.

/// Activity of one socket of a session, in milliseconds of the worker's clock.
///
/// The rule: bytes in either direction count; while output is pending only its progress does, so that a peer that
/// talks and never reads, and one large send that looks still from outside, are both judged rightly.
struct IdleClock {
    private(set) var lastReceive: UInt64
    private var lastSend: UInt64
    private var lastProgress: UInt64
    private var acknowledged: UInt64 = 0
    /// Output was pending when last looked at.
    private var wasPending = false
    /// The next look does not wait for the deadline.
    private var looksOften = false

    enum Verdict: Equatable {
        case expired
        case checkAgain(at: UInt64)
    }

    /// Output is looked at this often within one timeout; it bounds how late a stall is noticed.
    private static let looksPerTimeout: UInt64 = 4

    /// Between two looks of a timeout.
    static func pause(_ timeout: UInt64) -> UInt64 { max(1, timeout / looksPerTimeout) }

    init(now: UInt64) {
        lastReceive = now
        lastSend = now
        lastProgress = now
    }

    @inline(__always)
    mutating func received(now: UInt64) {
        lastReceive = now
    }

    /// When bytes last went either way.
    var lastActivity: UInt64 { max(lastReceive, lastSend) }

    /// A send was submitted or has completed. What the kernel takes is no progress while the peer takes nothing:
    /// it counts only for when output began to be pending.
    @inline(__always)
    mutating func sent(now: UInt64) {
        lastSend = now
    }

    /// `pendingOutput`: bytes are on their way to this side and not acknowledged; `acknowledgedNow`: a count that
    /// grows when it acknowledges some; `sentAge`: milliseconds since the kernel last sent it some, nil where nobody knows:
    /// then the count tells something only while output is pending, and not when that was.
    mutating func evaluate(
        now: UInt64,
        timeout: UInt64,
        pendingOutput: Bool,
        acknowledgedNow: UInt64,
        sentAge: UInt64?
    ) -> Verdict {
        look(now: now, pendingOutput: pendingOutput, acknowledgedNow: acknowledgedNow, sentAge: sentAge)
        return verdict(now: now, timeout: timeout)
    }

    /// Takes note of what the kernel says of the output, with the parameters of `evaluate`.
    mutating func look(now: UInt64, pendingOutput: Bool, acknowledgedNow: UInt64, sentAge: UInt64?) {
        if acknowledgedNow != acknowledged {
            acknowledged = acknowledgedNow
            if let sentAge {
                // Acknowledgements let the kernel send on, which may have been long before this look.
                lastProgress = max(lastProgress, now &- min(now, sentAge))
            } else if pendingOutput {
                lastProgress = now
            }
        }
        if !pendingOutput || !wasPending { lastProgress = max(lastProgress, lastSend) }
        wasPending = pendingOutput
        // Else what was before output began to be pending would be taken for progress when the deadline comes.
        looksOften = pendingOutput || sentAge == nil
    }

    /// What the last look says of a timeout that counts from `start` at the earliest.
    func verdict(now: UInt64, timeout: UInt64, from start: UInt64 = 0) -> Verdict {
        let lastActivity = max(start, wasPending ? lastProgress : max(lastReceive, lastProgress))
        let deadline = lastActivity &+ timeout
        if now >= deadline { return .expired }
        let nextLook = now &+ IdleClock.pause(timeout)
        return .checkAgain(at: looksOften ? min(deadline, nextLook) : deadline)
    }
}

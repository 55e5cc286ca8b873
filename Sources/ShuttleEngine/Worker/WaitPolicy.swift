// Owns how long a ring waits for company: whether the next completions are worth waiting for, from how fast they came.
// Knows no clock: times are given. Leaves to others: waiting (the ring).

/// Completions to collect before a turn begins.
struct WaitBatch: Equatable {
    /// 0 does not wait, 1 waits for the first. More ask to wait for so many, but no longer than `microseconds`.
    var completions: UInt32
    var microseconds: UInt32

    /// What there is.
    @inline(__always) static var none: WaitBatch { WaitBatch(completions: 0, microseconds: 0) }
    @inline(__always) static var first: WaitBatch { WaitBatch(completions: 1, microseconds: 0) }
}

/// When completions come fast, a turn that waits a moment for more of them costs less for each: one system call, one
/// wake-up and warm caches for all. When they come slowly it would only add latency, so it does not wait at all.
///
/// The rate is the sum of completions over the sum of time, both with the same exponential forgetting. The average of
/// rates of single turns would overestimate it, since most turns are short.
struct WaitPolicy {
    /// The longest wait, and the time for which completions are expected.
    static var windowMicroseconds: UInt64 { 100 }
    /// Fewer expected completions are not waited for.
    static var completionsMin: UInt64 { 8 }
    static var completionsMax: UInt64 { 32 }
    /// A turn's weight is 1 / 2^shift.
    private static var shift: UInt64 { 4 }
    /// So that small counts survive the division by the weight.
    private static var scale: UInt64 { 256 }
    /// A pause longer than this says no more than this: whatever came before it is forgotten after a few turns.
    private static var turnMaxNanoseconds: UInt64 { 1_000_000 }

    private var completions: UInt64 = 0
    private var nanoseconds: UInt64 = 0

    /// Counts a turn: `count` completions, `elapsed` nanoseconds after the turn before.
    @inline(__always)
    mutating func record(_ count: Int, elapsed: UInt64) {
        completions &+= (UInt64(count) &* WaitPolicy.scale) >> WaitPolicy.shift
        completions &-= completions >> WaitPolicy.shift
        nanoseconds &+= min(elapsed, WaitPolicy.turnMaxNanoseconds) &* WaitPolicy.scale >> WaitPolicy.shift
        nanoseconds &-= nanoseconds >> WaitPolicy.shift
    }

    @inline(__always)
    var batch: WaitBatch {
        guard nanoseconds > 0 else { return .first }
        let expected = completions &* (WaitPolicy.windowMicroseconds &* 1000) / nanoseconds
        guard expected >= WaitPolicy.completionsMin else { return .first }
        return WaitBatch(
            completions: UInt32(truncatingIfNeeded: min(expected, WaitPolicy.completionsMax)),
            microseconds: UInt32(truncatingIfNeeded: WaitPolicy.windowMicroseconds)
        )
    }
}

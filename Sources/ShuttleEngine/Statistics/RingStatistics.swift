// Owns the values in which the rings' own counts are reported; gathering them is Engine+Statistics's.

/// What one ring has done since it was started.
public struct RingStatistics: Sendable, Equatable {
    public var index: Int
    /// Sessions now.
    public var sessions: Int
    /// Rounds of its loop: waits for completions that have come to an end.
    public var turns: UInt64
    /// Operations that it was given.
    public var submissions: UInt64
    /// Completions that it gave back.
    public var completions: UInt64
    /// Turns in which completions waited in the kernel for a place in the queue.
    public var completionOverflows: UInt64
    /// Receives that found no buffer.
    public var starvations: UInt64
    /// Times that accepting paused for want of descriptors or slots.
    public var acceptPauses: UInt64
    /// Completions that came after their slot was given away.
    public var staleCompletions: UInt64
    /// Bytes that the kernel moved without their passing through this process.
    public var splicedBytes: UInt64
    /// Snapshots adopted.
    public var adoptions: UInt64
    /// The time that 99.9 % of the adoptions did not exceed: rounded up, and at most an eighth too large. With fewer
    /// than 1000 adoptions it is that of the longest.
    public var adoptionMicrosecondsP999: UInt64
    /// The longest adoption, rounded up.
    public var adoptionMicrosecondsMax: UInt64
    /// Turns in which sessions were looked through for those who list or end them.
    public var inspectionTurns: UInt64
    /// The time that 99.9 % of them did not exceed, as of adoptions.
    public var inspectionMicrosecondsP999: UInt64
    /// The longest that sessions were looked through within one turn, rounded up: so long nothing else was done.
    public var inspectionMicrosecondsMax: UInt64
    /// How many adoptions took how long, the shortest first, without what never occurred. What is counted between two looks
    /// is the difference of both.
    public var adoptionDurations: [DurationCount]

    /// Adoptions that took no longer than this, and longer than the bucket before counts.
    public struct DurationCount: Sendable, Equatable {
        public var nanosecondsMax: UInt64
        public var count: UInt64
    }
}

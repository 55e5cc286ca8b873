// Owns what a worker notes of a session for the record that it leaves. Leaves to others: making the record (Worker+Record).

/// Notes about a session that lives. Trivial, as its slot. Times are nanoseconds of the worker's turns, 0 while they have not come.
struct SessionFacts {
    var startedAt: UInt64
    /// When it began to wait for a place or for a rate limit, as long as it does.
    var waitingSince: UInt64 = 0
    /// Nanoseconds that it has waited, the present wait not included.
    var waited: UInt64 = 0
    /// Of the newest connect.
    var connectStartedAt: UInt64 = 0
    var connectedAt: UInt64 = 0
    var firstByteAt: UInt64 = 0
    /// Bytes sent on to the backend, and to the client.
    var sentBytes: UInt64 = 0
    var receivedBytes: UInt64 = 0
    /// Where the client's connection comes from.
    var client: RawAddress
    /// The last backend that was tried.
    var backend: UInt32 = 0
    var retries: UInt8 = 0
    /// The `TerminationReason`, once it is known; 0 before.
    var reason: UInt8 = 0
    /// The side whose stream was seen to end last; downstream before the first.
    var lastEnd = Side.downstream
    /// The side that counts as the one that reset its connection is gone without a word.
    var isLost = false

    @inline(__always)
    init(startedAt: UInt64, client: RawAddress) {
        self.startedAt = startedAt
        self.client = client
    }
}

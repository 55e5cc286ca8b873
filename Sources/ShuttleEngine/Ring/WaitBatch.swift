// Owns the form in which a ring is told how many completions are worth waiting for.
// Leaves to others: how many that are (Worker/WaitPolicy).

/// Completions to collect before a turn begins.
struct WaitBatch: Equatable {
    /// 0 does not wait, 1 waits for the first. More ask to wait for so many, but no longer than `microseconds`.
    var completions: UInt32
    /// 0 waits as long as it takes.
    var microseconds: UInt32

    /// What there is.
    @inline(__always) static var none: WaitBatch { WaitBatch(completions: 0, microseconds: 0) }
    @inline(__always) static var first: WaitBatch { WaitBatch(completions: 1, microseconds: 0) }
    /// The first besides those of so many operations that complete while they are submitted.
    @inline(__always) static func first(beside count: UInt32) -> WaitBatch {
        WaitBatch(completions: count &+ 1, microseconds: 0)
    }
}

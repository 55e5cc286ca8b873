// Owns the numbers that a worker leaves to chance. Leaves to others: what is drawn with them.

/// SplitMix64: numbers that are even enough to spread sessions over time, from a state of one word. Not for secrets.
struct SplitMix {
    /// What the state grows by: 2^64 divided by the golden ratio.
    static let step: UInt64 = 0x9e37_79b9_7f4a_7c15

    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    @inline(__always)
    mutating func next() -> UInt64 {
        state &+= SplitMix.step
        return SplitMix.mixed(state)
    }

    /// A number from 0 to `limit`.
    mutating func next(through limit: UInt64) -> UInt64 {
        limit == .max ? next() : next().multipliedFullWidth(by: limit &+ 1).high
    }

    /// The same for the same word, and like a drawn one otherwise.
    @inline(__always)
    static func mixed(_ word: UInt64) -> UInt64 {
        var word = word
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}

// Owns what a session remembers of the backends it has tried. Leaves to others: what to try next (BackendChoice).

/// Backends a session has tried, by identifier; each is tried at most once for the same client.
struct TriedBackends {
    /// The first try and the most `retries` that a configuration allows.
    static let triesMax = 8

    // A vector, since every session begins with an empty one: clearing it takes one instruction.
    private var identifiers = SIMD8<UInt32>.zero
    private var storedCount: UInt32 = 0

    @inline(__always)
    init() {}

    @inline(__always) var count: Int { Int(storedCount) }

    @inline(__always)
    func contains(_ identifier: UInt32) -> Bool {
        for index in 0..<count where identifiers[index] == identifier { return true }
        return false
    }

    mutating func insert(_ identifier: UInt32) {
        precondition(count < TriedBackends.triesMax)
        identifiers[count] = identifier
        storedCount &+= 1
    }
}

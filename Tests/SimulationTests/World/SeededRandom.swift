// Owns the only source of chance in a simulation: the same seed draws the same numbers on every machine.

/// SplitMix64. A class, since everybody in one simulation draws from the same sequence.
final class SeededRandom {
    // Behind a pointer: a property would be checked for overlapping accesses at every draw.
    private let state: UnsafeMutablePointer<UInt64>

    init(seed: UInt64) {
        // Scattered once: the sequences of neighbouring seeds would otherwise be one sequence, a step apart.
        state = .allocate(capacity: 1)
        state.initialize(to: SeededRandom.scatter(seed &+ 0x1234_5678_9abc_def1))
    }

    deinit {
        state.deallocate()
    }

    func next() -> UInt64 {
        state.pointee &+= 0x9e37_79b9_7f4a_7c15
        return SeededRandom.scatter(state.pointee)
    }

    private static func scatter(_ input: UInt64) -> UInt64 {
        var value = input
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    /// 0..<count; `count` is at least 1 and below 2³².
    func below(_ count: Int) -> Int {
        Int(truncatingIfNeeded: ((next() >> 32) &* UInt64(truncatingIfNeeded: count)) >> 32)
    }

    func within(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + below(range.upperBound - range.lowerBound + 1)
    }

    /// True in `percent` of 100 cases.
    func chance(_ percent: Int) -> Bool {
        percent > 0 && below(100) < percent
    }

    func pick<T>(_ choices: [T]) -> T {
        choices[below(choices.count)]
    }

    func shuffle<T>(_ values: inout [T]) {
        guard values.count > 1 else { return }
        for index in stride(from: values.count - 1, to: 0, by: -1) { values.swapAt(index, below(index + 1)) }
    }
}

// Owns a set of workers by their indices, as bits.

/// Which of the workers; as many as an engine may have.
struct WorkerSet {
    /// 256, the bound of `Engine.Options.ringCounts`.
    static let workersMax = 256

    private var words: InlineArray<4, UInt64> = .init(repeating: 0)

    @inline(__always)
    var isEmpty: Bool { words[0] | words[1] | words[2] | words[3] == 0 }

    mutating func insert(_ worker: Int) {
        words[worker >> 6] |= 1 << UInt64(worker & 63)
    }

    mutating func remove(_ worker: Int) {
        words[worker >> 6] &= ~(1 << UInt64(worker & 63))
    }

    /// The first at or after `start`; `nil` when there is none.
    func first(from start: Int) -> Int? {
        var index = start >> 6
        var mask = UInt64.max << UInt64(start & 63)
        while index < 4 {
            let word = words[index] & mask
            if word != 0 { return index << 6 + word.trailingZeroBitCount }
            index += 1
            mask = .max
        }
        return nil
    }
}

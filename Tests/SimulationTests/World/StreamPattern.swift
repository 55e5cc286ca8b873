// Owns what travels in simulated streams: bytes that say which stream they belong to and where in it they stand, so
// that a byte lost, doubled, moved or crossed over from another session is seen where it arrives.

import Glibc

/// The bytes of a stream are a piece of one long random table; every stream begins at a place of its own in it.
enum StreamPattern {
    /// A prime, so that no round number of lost bytes falls onto the same content.
    static let period = 65_521

    // Twice the period, so that every piece up to a period lies in a row.
    nonisolated(unsafe) private static let table: UnsafeMutablePointer<UInt8> = {
        let random = SeededRandom(seed: 0x5eed)
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: 2 * period)
        for index in 0..<period {
            let value = UInt8(truncatingIfNeeded: random.next())
            (bytes + index).initialize(to: value)
            (bytes + index + period).initialize(to: value)
        }
        return bytes
    }()

    private static func place(_ stream: Int, _ offset: Int) -> Int {
        (stream * 40_503 + 977 + offset) % period
    }

    /// Writes `count` bytes of `stream`, from `offset` on.
    static func fill(_ memory: UnsafeMutableRawPointer, count: Int, stream: Int, offset: Int) {
        var done = 0
        while done < count {
            let piece = min(count - done, period)
            memcpy(memory + done, table + place(stream, offset + done), piece)
            done += piece
        }
    }

    /// The index of the first byte that is not what `stream` holds from `offset` on.
    static func firstMismatch(_ memory: UnsafeRawPointer, count: Int, stream: Int, offset: Int) -> Int? {
        var done = 0
        while done < count {
            let piece = min(count - done, period)
            let expected = table + place(stream, offset + done)
            if memcmp(memory + done, expected, piece) != 0 {
                let actual = (memory + done).assumingMemoryBound(to: UInt8.self)
                return done + (0..<piece).first { actual[$0] != expected[$0] }!
            }
            done += piece
        }
        return nil
    }
}

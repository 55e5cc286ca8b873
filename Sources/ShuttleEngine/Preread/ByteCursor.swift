// Owns a place in borrowed bytes that only moves forward and never past their end.

/// Reads text byte by byte. Valid as long as the bytes are.
struct ByteCursor {
    private let bytes: UnsafeRawBufferPointer
    private let end: Int
    private(set) var position: Int

    /// `end` is at most the count of `bytes`.
    @inline(__always)
    init(_ bytes: UnsafeRawBufferPointer, from position: Int = 0, end: Int) {
        assert(position <= end && end <= bytes.count)
        self.bytes = bytes
        self.position = position
        self.end = end
    }

    @inline(__always) var isAtEnd: Bool { position == end }
    /// The byte that comes next, nil at the end.
    @inline(__always) var next: UInt8? { position < end ? bytes[position] : nil }

    @inline(__always)
    mutating func skip() { position &+= 1 }

    /// Moves behind `byte` if it stands here.
    @inline(__always)
    mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        skip()
        return true
    }

    /// Moves behind `text` if it stands here; otherwise as far as it does.
    mutating func take(_ text: StaticString) -> Bool {
        // By its pointer: with a closure the type of what it takes is looked up at run time.
        for index in 0..<text.utf8CodeUnitCount where !take(text.utf8Start[index]) { return false }
        return true
    }

    /// Where the first CR LF from here on begins, nil when there is none.
    func lineEnd() -> Int? {
        var index = position
        while index + 1 < end {
            if bytes[index] == 0x0D, bytes[index + 1] == 0x0A { return index }
            index += 1
        }
        return nil
    }
}

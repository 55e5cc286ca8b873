// Owns the small facts of JSON text that reading and taking apart share: characters, strings, escapes.
// Leaves to others: checking that a text is well formed (JSONParser). Only strings that were checked come in here.

/// Helpers over the bytes of a JSON text that has been parsed.
enum JSONText {
    static func isWhitespace(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"): return true
        default: return false
        }
    }

    static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    static func isNumberCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): return true
        default: return isDigit(byte)
        }
    }

    /// The value of a hexadecimal digit.
    static func hexadecimal(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return UInt32(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): return UInt32(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): return UInt32(byte - UInt8(ascii: "A") + 10)
        default: return nil
        }
    }

    /// Where the string that opens at `start` closes, and whether there are escapes on the way.
    static func closingQuote(in bytes: [UInt8], from start: Int) -> (offset: Int, hasEscapes: Bool) {
        var offset = start + 1
        var hasEscapes = false
        while bytes[offset] != UInt8(ascii: "\"") {
            if bytes[offset] == UInt8(ascii: "\\") {
                hasEscapes = true
                offset += 1
            }
            offset += 1
        }
        return (offset, hasEscapes)
    }

    /// The content of a string with its escapes resolved.
    static func unescaped(_ content: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var result: [UInt8] = []
        result.reserveCapacity(content.count)
        var offset = content.startIndex
        func codeUnit(_ start: Int) -> UInt32 {
            content[start..<start + 4].reduce(0) { $0 << 4 | (hexadecimal($1) ?? 0) }
        }
        while offset < content.endIndex {
            let byte = content[offset]
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                offset += 1
                continue
            }
            let escape = content[offset + 1]
            offset += 2
            switch escape {
            case UInt8(ascii: "b"): result.append(0x08)
            case UInt8(ascii: "f"): result.append(0x0C)
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "u"):
                var value = codeUnit(offset)
                offset += 4
                if (0xD800..<0xDC00).contains(value) {
                    // The parser has seen to it that the other half follows.
                    value = 0x10000 + (value - 0xD800) << 10 + (codeUnit(offset + 2) - 0xDC00)
                    offset += 6
                }
                if let scalar = Unicode.Scalar(value) {
                    result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
                }
            default: result.append(escape)
            }
        }
        return result[...]
    }

    /// Whether two strings, given by their opening quotes, are the same once escapes are resolved.
    static func areEqual(_ first: Int, _ second: Int, in bytes: [UInt8]) -> Bool {
        var distance = 1
        while true {
            let a = bytes[first + distance]
            let b = bytes[second + distance]
            if a == UInt8(ascii: "\\") || b == UInt8(ascii: "\\") {
                return content(at: first, in: bytes) == content(at: second, in: bytes)
            }
            if a != b {
                return false
            }
            if a == UInt8(ascii: "\"") {
                return true
            }
            distance += 1
        }
    }

    /// The bytes of the string that opens at `start`, escapes resolved. Names are compared as bytes: Swift's strings
    /// take differently composed characters for equal, JSON does not.
    static func content(at start: Int, in bytes: [UInt8]) -> ArraySlice<UInt8> {
        let end = closingQuote(in: bytes, from: start)
        let content = bytes[start + 1..<end.offset]
        return end.hasEscapes ? unescaped(content) : content
    }
}

// Owns reading the parts of JSON text that hold no others: strings in valid UTF-8, numbers, true, false and null.
// Leaves to others: taking values out of them (JSONText.swift, JSONValue).

import ShuttleEngine

extension JSONParser {
    // MARK: Strings

    /// Passes the string that opens at the offset.
    mutating func scanString() throws(JSONSyntaxError) {
        let start = offset
        offset += 1
        while offset < bytes.count {
            let byte = bytes[offset]
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                return
            case UInt8(ascii: "\\"):
                try scanEscape()
            case 0x00..<0x20:
                throw failure(
                    "\(found()) stands in a string; write control characters as escapes, such as \\n or \\u0000"
                )
            case 0x20..<0x80:
                offset += 1
            default:
                guard let length = validSequence(at: offset) else {
                    throw failure("\(found()) is not valid UTF-8 here; save the document as UTF-8")
                }
                offset += length
            }
        }
        throw failure(
            "the document ends inside the string that opens at \(JSONPosition(of: start, in: bytes)); "
                + "its closing double quote is missing"
        )
    }

    /// Passes the escape at the offset; of a surrogate pair, both halves.
    private mutating func scanEscape() throws(JSONSyntaxError) {
        let start = offset
        offset += 1
        guard let escape = current else {
            throw failure("the document ends inside a string", at: start)
        }
        switch escape {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            offset += 1
        case UInt8(ascii: "u"):
            offset += 1
            let unit = try scanCodeUnit(escapeStart: start)
            if (0xDC00..<0xE000).contains(unit) {
                throw loneSurrogate(at: start)
            }
            guard (0xD800..<0xDC00).contains(unit) else {
                return
            }
            let second = offset
            guard current == UInt8(ascii: "\\"), offset + 1 < bytes.count, bytes[offset + 1] == UInt8(ascii: "u") else {
                throw loneSurrogate(at: start)
            }
            offset += 2
            guard (0xDC00..<0xE000).contains(try scanCodeUnit(escapeStart: second)) else {
                throw loneSurrogate(at: start)
            }
        default:
            let what = found()
            throw failure(
                "\(what) after a backslash is not an escape; write \\\\ for a backslash, "
                    + "or one of \\\" \\/ \\b \\f \\n \\r \\t \\u0000",
                at: start
            )
        }
    }

    private func loneSurrogate(at start: Int) -> JSONSyntaxError {
        let escape = String(decoding: bytes[start..<start + 6], as: UTF8.self)
        return failure("\(escape) is half of a surrogate pair and stands alone; write both halves", at: start)
    }

    /// Passes four hexadecimal digits.
    private mutating func scanCodeUnit(escapeStart: Int) throws(JSONSyntaxError) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = JSONText.hexadecimal(byte) else {
                throw failure("\\u is not followed by four hexadecimal digits", at: escapeStart)
            }
            unit = unit << 4 | digit
            offset += 1
        }
        return unit
    }

    /// Length of the well-formed UTF-8 sequence of two bytes or more at `start`, or nil when there is none: overlong
    /// forms, surrogates and values over U+10FFFF are not well formed (RFC 3629).
    func validSequence(at start: Int) -> Int? {
        let length: Int
        let second: ClosedRange<UInt8>
        switch bytes[start] {
        case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return nil
        }
        guard bytes.count - start >= length, second.contains(bytes[start + 1]),
            bytes[start + 2..<start + length].allSatisfy({ $0 & 0xC0 == 0x80 })
        else {
            return nil
        }
        return length
    }

    // MARK: Numbers

    /// Passes a number. Its value is not looked at: its text is kept.
    mutating func scanNumber() throws(JSONSyntaxError) {
        let start = offset
        if current == UInt8(ascii: "-") {
            offset += 1
        }
        let integerStart = offset
        try scanDigits(of: start)
        if bytes[integerStart] == UInt8(ascii: "0"), offset - integerStart > 1 {
            throw failure("a number starts with a needless 0; remove it", at: start)
        }
        if current == UInt8(ascii: ".") {
            offset += 1
            try scanDigits(of: start)
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            offset += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") {
                offset += 1
            }
            try scanDigits(of: start)
        }
    }

    private mutating func scanDigits(of number: Int) throws(JSONSyntaxError) {
        let start = offset
        while offset < bytes.count, JSONText.isDigit(bytes[offset]) {
            offset += 1
        }
        if offset == start {
            let text = Quoted(String(decoding: bytes[number..<offset], as: UTF8.self))
            throw failure("a number breaks off after \(text); digits are needed there", at: number)
        }
    }

    // MARK: Words

    /// Passes `true`, `false` or `null`.
    mutating func scanWord() throws(JSONSyntaxError) -> JSONValue.Kind {
        let start = offset
        // Taken whole, so that a message can show what was meant as a value, such as True, NaN or bare text.
        let word = bytes[start...].prefix { byte in
            JSONText.isNumberCharacter(byte) || byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
                || byte == UInt8(ascii: "_")
        }
        offset += word.count
        if word.elementsEqual("null".utf8) {
            return .null
        }
        if word.elementsEqual("true".utf8) || word.elementsEqual("false".utf8) {
            return .bool
        }
        if !word.isEmpty {
            let text = Quoted(String(decoding: word, as: UTF8.self))
            throw failure(
                "\(text) is not a JSON value; write text in double quotes, and otherwise a number, "
                    + "true, false, null, a list or an object",
                at: start
            )
        }
        switch current {
        case UInt8(ascii: "'"):
            throw failure("a single quote starts a value; write text in double quotes")
        case UInt8(ascii: "/"), UInt8(ascii: "#"):
            throw failure("\(found()) stands where a value is needed; JSON has no comments, remove them")
        default:
            throw failure("\(found()) stands where a value is needed")
        }
    }
}

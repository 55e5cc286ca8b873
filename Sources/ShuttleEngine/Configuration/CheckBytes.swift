// Owns how the bytes that a check sends and expects are written in a configuration: as text, or in hexadecimal.
// Leaves to others: sending and comparing them (shuttled/Health).

/// Bytes written as text, or as `hex:` and pairs of hexadecimal digits.
public enum CheckBytes {
    /// What hexadecimal digits follow. Text that begins like this is written in hexadecimal itself.
    static let hexadecimalPrefix = "hex:"

    /// The bytes that a text stands for; nil where it is none.
    public static func bytes(of text: String) -> [UInt8]? {
        let bytes: [UInt8]
        if text.utf8.starts(with: hexadecimalPrefix.utf8) {
            guard let pairs = pairs(text.utf8.dropFirst(hexadecimalPrefix.utf8.count)) else {
                return nil
            }
            bytes = pairs
        } else {
            bytes = Array(text.utf8)
        }
        return bytes.count <= ConfigurationRanges.checkBytes.upperBound ? bytes : nil
    }

    /// What is wrong with a text, as the end of a sentence; nil where nothing is.
    static func fault(in text: String) -> String? {
        if bytes(of: text) != nil {
            return nil
        }
        return "it must be text or \"\(hexadecimalPrefix)\" and pairs of hexadecimal digits, "
            + "such as \"\(hexadecimalPrefix)0d0a\", of at most \(ConfigurationRanges.checkBytes.upperBound) bytes"
    }

    private static func pairs(_ digits: Substring.UTF8View) -> [UInt8]? {
        guard !digits.isEmpty, digits.count.isMultiple(of: 2) else {
            return nil
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        var high: UInt8?
        for digit in digits {
            guard let value = value(ofDigit: digit) else {
                return nil
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return bytes
    }

    private static func value(ofDigit digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

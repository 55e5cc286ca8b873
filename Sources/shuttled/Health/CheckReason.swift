// Owns the words in which a check says why it failed: short, on one line, and printable whatever a backend has sent.
// Leaves to others: finding out why (the conversations).

import NIOCore

/// Parts of reasons.
enum CheckReason {
    /// Bytes of an answer that a reason shows.
    static let shownMax = 48
    /// Characters of a reason; what exceeds them is cut off.
    static let lengthMax = 256

    static func noAnswer(within limit: TimeAmount) -> String {
        "no answer within \(milliseconds(limit))"
    }

    static func milliseconds(_ amount: TimeAmount) -> String {
        "\(amount.nanoseconds / 1_000_000) ms"
    }

    /// Bytes in quotes: printable ASCII as it is, everything else escaped, and no more than can be read at a glance.
    static func quoted(_ bytes: some Collection<UInt8>) -> String {
        var text = "\""
        for byte in bytes.prefix(shownMax) {
            switch byte {
            case UInt8(ascii: "\r"): text += "\\r"
            case UInt8(ascii: "\n"): text += "\\n"
            case UInt8(ascii: "\t"): text += "\\t"
            case UInt8(ascii: "\""): text += "\\\""
            case UInt8(ascii: "\\"): text += "\\\\"
            case 0x20..<0x7F: text.unicodeScalars.append(Unicode.Scalar(byte))
            default: text += (byte < 0x10 ? "\\x0" : "\\x") + String(byte, radix: 16)
            }
        }
        return text + (bytes.count > shownMax ? "…\"" : "\"")
    }

    /// A text that was not made here, such as a library's error.
    static func bounded(_ text: String) -> String {
        var result = ""
        var count = 0
        for scalar in text.unicodeScalars {
            guard count < lengthMax else {
                return result + "…"
            }
            count += 1
            result.unicodeScalars.append((0x20..<0x7F).contains(scalar.value) ? scalar : "?")
        }
        return result
    }
}

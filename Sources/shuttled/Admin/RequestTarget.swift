// Owns taking a request target apart: path, query, percent-encoding.
// Leaves to others: what paths and parameters mean (AdminRoute, the resources).

/// The request target, taken apart.
struct RequestTarget {
    var path: Substring
    /// Names and values of the query, decoded where they can be, in their order.
    var parameters: [(name: String, value: String)]

    init(_ target: String) {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = parts[0]
        parameters = []
        guard parts.count == 2 else {
            return
        }
        for item in parts[1].split(separator: "&") {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            parameters.append(
                (
                    name: PercentEncoding.decode(pair[0]) ?? String(pair[0]),
                    value: pair.count == 2 ? PercentEncoding.decode(pair[1]) ?? String(pair[1]) : ""
                )
            )
        }
    }
}

/// Percent-encoding of paths and queries, decoded strictly.
enum PercentEncoding {
    /// A value as it can stand in a query: everything but letters, digits, `-`, `.`, `_` and `~` is encoded.
    static func encode(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
            }
        }
        return result
    }

    /// The decoded text; `nil` when `%` is not followed by two digits or the result is not UTF-8. `+` is a plus.
    static func decode(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(JSONText.hexadecimal),
                let low = rest.popFirst().flatMap(JSONText.hexadecimal)
            else {
                return nil
            }
            bytes.append(UInt8(high << 4 | low))
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

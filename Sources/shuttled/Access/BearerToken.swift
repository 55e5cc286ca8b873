// Owns what a token is made of, and keeping it from being printed.
// Leaves to others: which tokens there are (AccessList), comparing them (TokenTable).

/// What a caller shows to be let in. It never prints itself: what is logged by mistake says nothing.
struct BearerToken: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    /// For comparing only.
    let bytes: [UInt8]

    /// Bytes of one that may be configured: 128 bits in hexadecimal, and what a header has room for.
    static let lengths = 32...512

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    var description: String { "(a token)" }
    var customMirror: Mirror { Mirror(self, children: []) }

    /// Whether these can be sent as a token (b64token of RFC 6750, 2.1).
    static func isWellFormed(_ bytes: [UInt8]) -> Bool {
        let body = bytes[..<(bytes.lastIndex { $0 != UInt8(ascii: "=") }.map { $0 + 1 } ?? 0)]
        return !body.isEmpty && body.allSatisfy { isDigitOrLetter($0) || "-._~+/".utf8.contains($0) }
    }

    private static func isDigitOrLetter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }
}

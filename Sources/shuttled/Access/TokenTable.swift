// Owns finding a token among those that are known, in a time that says nothing about them.
// Leaves to others: whose they are (AccessList).

/// Known tokens, laid out for comparison.
///
/// Whoever may try tokens and can measure how long the answer takes must not learn how much of one was right, nor of
/// which. So every byte of every known token is compared, whatever was shown, and no step depends on what came of it.
struct TokenTable: Sendable, CustomReflectable {
    /// Of the longest. Shorter ones are filled up with zeros, which no token has.
    private let width: Int
    private let lengths: [Int]
    private let bytes: [UInt8]

    var customMirror: Mirror { Mirror(self, children: []) }

    init(_ tokens: [BearerToken]) {
        let width = tokens.map(\.bytes.count).max() ?? 0
        self.width = width
        lengths = tokens.map(\.bytes.count)
        bytes = tokens.flatMap { $0.bytes + [UInt8](repeating: 0, count: width - $0.bytes.count) }
    }

    /// The place of the token that was shown.
    func index(of shown: [UInt8]) -> Int? { search(shown).index }

    /// The same, with the number of bytes that were compared for it.
    func search(_ shown: [UInt8]) -> (index: Int?, compared: Int) {
        let padded = shown.prefix(width) + [UInt8](repeating: 0, count: max(0, width - shown.count))
        var found = 0
        var compared = 0
        for (place, length) in lengths.enumerated() {
            var difference = length ^ shown.count
            for column in 0..<width {
                difference |= Int(bytes[place * width + column] ^ padded[column])
                compared += 1
            }
            // All bits where nothing differs, none else. No two are the same, so one of them counts at most.
            let isSame = ~((difference | -difference) >> (Int.bitWidth - 1))
            found |= isSame & (place + 1)
        }
        return (found == 0 ? nil : found - 1, compared)
    }
}

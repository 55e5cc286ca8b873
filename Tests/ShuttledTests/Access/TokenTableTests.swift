// Finding a token: the right one, and with the same work whatever was shown.

import Testing

@testable import shuttled

@Suite struct TokenTableTests {
    private static func token(_ text: String) -> BearerToken { BearerToken(bytes: Array(text.utf8)) }

    private static let known = ["aaaaaaaa", "aaaaaaab", "baaaaaaa", "aaaaaaaaaaaa", "a"].map(token)

    @Test func eachIsFoundAtItsPlace() {
        let table = TokenTable(Self.known)
        for (place, token) in Self.known.enumerated() {
            #expect(table.index(of: token.bytes) == place)
        }
    }

    @Test(arguments: [
        "", "b", "aa", "aaaaaaa", "aaaaaaaaa", "aaaaaaac", "caaaaaaa", "aaaaaaaaaaa", "aaaaaaaaaaaaa", "AAAAAAAA",
        "a\u{0}", "aaaaaaaa\u{0}\u{0}\u{0}\u{0}", "aaaaaaaa\u{0}",
    ])
    func othersAreNot(_ shown: String) {
        #expect(TokenTable(Self.known).index(of: Array(shown.utf8)) == nil)
    }

    @Test func nothingIsFoundAmongNone() {
        #expect(TokenTable([]).index(of: []) == nil)
        #expect(TokenTable([]).index(of: Array("a".utf8)) == nil)
    }

    /// Not the time, which depends on the machine, but what it comes from: every byte of every token, be the first or the last
    /// byte wrong, be it the first token or the last one, or none.
    @Test func theWorkIsTheSameWhateverIsShown() {
        let table = TokenTable(Self.known)
        let all = Self.known.count * 12
        var shown = Self.known.map(\.bytes)
        for length in [0, 1, 8, 12, 13, 5000] {
            shown.append([UInt8](repeating: UInt8(ascii: "a"), count: length))
            shown.append([UInt8](repeating: UInt8(ascii: "z"), count: length))
        }
        for place in 0..<8 {
            var bytes = Self.known[0].bytes
            bytes[place] ^= 1
            shown.append(bytes)
        }
        for bytes in shown {
            #expect(table.search(bytes).compared == all, "\(bytes)")
        }
    }

    /// Every byte counts, and every bit of it.
    @Test func noBitIsPassedOver() {
        let known = Array("0123456789abcdefghijklmnopqrstuv".utf8)
        let table = TokenTable([Self.token("another one of another length"), BearerToken(bytes: known)])
        for place in known.indices {
            for bit in 0..<8 {
                var bytes = known
                bytes[place] ^= 1 << UInt8(bit)
                #expect(table.index(of: bytes) == nil)
            }
        }
        #expect(table.index(of: known) == 1)
    }
}

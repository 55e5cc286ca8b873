// Owns that numeric addresses are read as inet_pton(3) reads them.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct AddressTextTests {
    private static func ipv4(_ text: String) -> UInt32? {
        whole(text) { AddressText.ipv4(&$0) }
    }

    private static func ipv6(_ text: String) -> [UInt8]? {
        whole(text) { AddressText.ipv6(&$0) }.map { words in
            [words.high, words.low].flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> (56 - 8 * $0)) } }
        }
    }

    private static func whole<Value>(_ text: String, _ read: (inout ByteCursor) -> Value?) -> Value? {
        Array(text.utf8).withUnsafeBytes { bytes in
            var cursor = ByteCursor(bytes, end: bytes.count)
            let value = read(&cursor)
            return cursor.isAtEnd ? value : nil
        }
    }

    private static func expected(ipv6 text: String) -> [UInt8]? {
        var address = in6_addr()
        return inet_pton(AF_INET6, text, &address) == 1 ? withUnsafeBytes(of: address) { Array($0) } : nil
    }

    private static func expected(ipv4 text: String) -> UInt32? {
        var address = in_addr()
        return inet_pton(AF_INET, text, &address) == 1 ? UInt32(bigEndian: address.s_addr) : nil
    }

    @Test(arguments: [
        "::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::8", "1:2::7:8", "FFFF::abcd",
        "::1.2.3.4", "::ffff:255.255.255.255", "1:2:3:4:5:6:1.2.3.4", "0000:0::0001", "1:2:3:4:5:6:7:1.2.3.4",
        "", ":", ":::", "1", "1:", ":1", "1::2::3", "1:2:3:4:5:6:7:8:", "1:2:3:4:5:6:7:8:9", "::1:2:3:4:5:6:7:8",
        "12345::",
        "g::", "::1.2.3", "::1.2.3.4.5", "::1.2.3.256", "::01.2.3.4", "1.2.3.4", "1.2.3.4::", "::1%lo", "1:2:3:4:5:6:7",
        "1::2:", "::.1.2.3", "::1.2.3.4:5",
    ])
    func ipv6AsTheSystemReadsIt(text: String) {
        #expect(Self.ipv6(text) == Self.expected(ipv6: text))
    }

    @Test func whateverComes() {
        var random = SeededGenerator(6)
        let pieces = [
            "0", "1", "9", "a", "F", "00", "255", "256", "ffff", ":", ":", ":", "::", ".", ".", " ", "g", "1.2.3.4",
        ]
        var valid = (ipv4: 0, ipv6: 0)
        for _ in 0..<50_000 {
            let text = (0..<Int.random(in: 0...16, using: &random)).map { _ in pieces.randomElement(using: &random)! }
                .joined()
            #expect(Self.ipv6(text) == Self.expected(ipv6: text), "\(text)")
            #expect(Self.ipv4(text) == Self.expected(ipv4: text), "\(text)")
            if Self.ipv6(text) != nil { valid.ipv6 += 1 }
            if Self.ipv4(text) != nil { valid.ipv4 += 1 }
        }
        #expect(valid.ipv6 > 100 && valid.ipv4 > 20, "\(valid)")
    }

    @Test func ports() {
        for text in ["0", "1", "80", "65535"] { #expect(Self.whole(text) { AddressText.port(&$0) } == UInt16(text)) }
        for text in ["", "00", "01", "65536", "99999999999", "-1", "+1", "1 ", "x"] {
            #expect(Self.whole(text) { AddressText.port(&$0) } == nil)
        }
    }
}

// Owns what is a header of the PROXY protocol and what is not, at every length of what has come, and that what is written
// is read back.

import Testing

@testable import ShuttleEngine

@Suite struct ProxyHeaderTests {
    private static func read(_ bytes: [UInt8], limit: Int = 16_384) -> ProxyHeader.Outcome {
        bytes.withUnsafeBytes { ProxyHeader.read($0, limit: limit) }
    }

    private static func read(_ text: String) -> ProxyHeader.Outcome { read(Array(text.utf8)) }

    private static func address(_ text: String, _ port: UInt16) -> SocketAddress {
        let host = SocketAddress(source: text)!
        if let ipv4 = host.ipv4Host { return .ipv4(ipv4, port: port) }
        return .ipv6(high: host.hostWords.high, low: host.hostWords.low, port: port)
    }

    private static func ends(_ source: String, _ destination: String, _ ports: (UInt16, UInt16)) -> ConveyedAddresses {
        ConveyedAddresses(source: address(source, ports.0), destination: address(destination, ports.1))
    }

    private static func written(_ version: ProxyProtocolVersion, _ addresses: ConveyedAddresses?) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: ProxyHeader.writtenLengthMax) { buffer, count in
            count = ProxyHeader.write(version, addresses, to: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// A header of version 2 made by hand.
    private static func binary(
        _ versionAndCommand: UInt8, _ familyAndTransport: UInt8, _ content: [UInt8], length: Int? = nil
    ) -> [UInt8] {
        let length = UInt16(length ?? content.count)
        return Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [versionAndCommand, familyAndTransport]
            + [UInt8(length >> 8), UInt8(length & 0xFF)] + content
    }

    private static let ipv4Ends = ends("192.0.2.1", "203.0.113.255", (1, 65_535))
    private static let ipv6Ends = ends("2001:db8::1", "fe80::ffff:0:1", (56_324, 443))
    private static let ipv4Bytes: [UInt8] = [192, 0, 2, 1, 203, 0, 113, 255, 0, 1, 0xFF, 0xFF]

    // MARK: Version 1

    @Test func textIsRead() {
        let cases: [(String, ConveyedAddresses?)] = [
            ("PROXY TCP4 192.0.2.1 203.0.113.255 1 65535\r\n", Self.ipv4Ends),
            ("PROXY TCP6 2001:DB8::1 fe80::ffff:0:1 56324 443\r\n", Self.ipv6Ends),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 0 0\r\n", Self.ends("::ffff:192.0.2.1", "::1", (0, 0))),
            ("PROXY UNKNOWN\r\n", nil),
            ("PROXY UNKNOWN ffff:f...f:ffff whatever \r 65535\r\n", nil),
        ]
        for (text, addresses) in cases {
            let header = Array(text.utf8)
            let whole = Self.read(header)
            // The mapped form is an IPv6 address here: what was said is kept.
            if text.contains("::ffff:192") {
                guard case .complete(_, let found?) = whole else {
                    Issue.record("\(whole)")
                    continue
                }
                #expect(found.source.family == found.destination.family && found.source.ipv4Host == 0xC000_0201)
            } else {
                #expect(whole == .complete(length: header.count, addresses), "\(text)")
            }
            #expect(Self.read(header + Array("PROXY x\r\n".utf8)) == whole, "what follows is no part of it")
            for count in 0..<header.count {
                #expect(Self.read(Array(header[..<count])) == .incomplete, "\(count) bytes of \(text)")
            }
        }
    }

    @Test(arguments: [
        "PROXY TCP4 192.0.2.1 203.0.113.255 1 65536\r\n", "PROXY TCP4 192.0.2.1 203.0.113.255 01 1\r\n",
        "PROXY TCP4 192.0.2.01 203.0.113.255 1 1\r\n", "PROXY TCP4 192.0.2.256 203.0.113.255 1 1\r\n",
        "PROXY TCP4 192.0.2 203.0.113.255 1 1\r\n", "PROXY TCP4 192.0.2.1 203.0.113.255 1\r\n",
        "PROXY TCP4 192.0.2.1 203.0.113.255 1 1 \r\n", "PROXY TCP4 192.0.2.1  203.0.113.255 1 1\r\n",
        "PROXY TCP4 192.0.2.1 203.0.113.255 1 1 x\r\n", "PROXY TCP4 ::1 ::1 1 1\r\n",
        "PROXY TCP6 192.0.2.1 203.0.113.255 1 1\r\n", "PROXY TCP6 ::1 1 1\r\n", "PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n",
        "PROXY TCP4\r\n", "PROXY \r\n", "PROXY UDP4 192.0.2.1 203.0.113.255 1 1\r\n", "PROXY UNKNOWNX\r\n",
        "PROXY tcp4 192.0.2.1 203.0.113.255 1 1\r\n", "PROXY TCP4 192.0.2.1 203.0.113.255 1 1\n\r\n",
        "PROXX", "PROXY\t", "proxy TCP4", "GET / HTTP/1.1\r\n", "\n", " PROXY", "\u{16}\u{3}\u{1}",
    ])
    func textThatIsNone(text: String) {
        #expect(Self.read(text) == .malformed)
    }

    @Test func aLineWithoutEndIsTooLong() {
        let line = Array("PROXY UNKNOWN ".utf8) + Array(repeating: UInt8(ascii: "x"), count: 200)
        #expect(Self.read(Array(line[..<106])) == .incomplete)
        for count in 107...line.count { #expect(Self.read(Array(line[..<count])) == .tooLong) }
        #expect(
            Self.read(Array(line[..<105]) + Array("\r\n".utf8)) == .complete(length: 107, nil), "107 bytes are allowed")
        #expect(Self.read(Array(line[..<106]) + Array("\r\n".utf8)) == .tooLong)
    }

    // MARK: Version 2

    @Test func binaryIsRead() {
        let ipv6: [UInt8] =
            [0x20, 0x01, 0x0D, 0xB8] + Array(repeating: 0, count: 11) + [1]
            + [0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 1] + [0xDC, 0x04, 0x01, 0xBB]
        let extras: [UInt8] = [0x04, 0, 3, 1, 2, 3, 0x20, 0xFF]
        let unix = Array(repeating: UInt8(ascii: "/"), count: 216)
        let cases: [([UInt8], ConveyedAddresses?)] = [
            (Self.binary(0x21, 0x11, Self.ipv4Bytes), Self.ipv4Ends),
            (Self.binary(0x21, 0x11, Self.ipv4Bytes + extras), Self.ipv4Ends),
            (Self.binary(0x21, 0x21, ipv6), Self.ipv6Ends),
            (Self.binary(0x21, 0x21, ipv6 + extras), Self.ipv6Ends),
            (Self.binary(0x21, 0x31, unix), nil), (Self.binary(0x21, 0x12, Self.ipv4Bytes), nil),
            (Self.binary(0x21, 0x00, []), nil), (Self.binary(0x21, 0x00, extras), nil),
            (Self.binary(0x20, 0x00, []), nil), (Self.binary(0x20, 0x11, Self.ipv4Bytes), nil),
            (Self.binary(0x20, 0xFF, extras), nil),
        ]
        for (header, addresses) in cases {
            #expect(Self.read(header) == .complete(length: header.count, addresses), "\(header)")
            #expect(Self.read(header + [0x0D, 0x0A]) == .complete(length: header.count, addresses))
            for count in 0..<header.count {
                #expect(Self.read(Array(header[..<count])) == .incomplete, "\(count) bytes of \(header)")
            }
        }
    }

    @Test func binaryThatIsNone() {
        let refused: [[UInt8]] = [
            Self.binary(0x11, 0x11, Self.ipv4Bytes), Self.binary(0x22, 0x11, Self.ipv4Bytes),
            Self.binary(0x31, 0x11, Self.ipv4Bytes), Self.binary(0x21, 0x41, Self.ipv4Bytes),
            Self.binary(0x21, 0x13, Self.ipv4Bytes), Self.binary(0x21, 0x11, Array(Self.ipv4Bytes.dropLast())),
            Self.binary(0x21, 0x21, Self.ipv4Bytes), Self.binary(0x21, 0x31, Self.ipv4Bytes),
        ]
        for header in refused { #expect(Self.read(header) == .malformed, "\(header)") }
        for index in 0..<12 {
            var header = Self.binary(0x21, 0x11, Self.ipv4Bytes)
            header[index] ^= 0x40
            #expect(Self.read(header) == .malformed)
            #expect(Self.read(Array(header[...index])) == .malformed, "known at the first wrong byte")
        }
    }

    @Test func whatWouldBeTooLongIsKnownFromItsLength() {
        let header = Self.binary(0x21, 0x11, Self.ipv4Bytes, length: 485)
        #expect(Self.read(header, limit: 500) == .tooLong)
        #expect(Self.read(header, limit: 501) == .incomplete)
        #expect(Self.read(Self.binary(0x20, 0, [], length: 65_535)) == .tooLong)
    }

    // MARK: Both

    /// What is written is the same as by hand, and is read back.
    @Test func whatIsWrittenIsRead() {
        for version in ProxyProtocolVersion.allCases {
            for addresses in [Self.ipv4Ends, Self.ipv6Ends, nil] {
                let header = Self.written(version, addresses)
                #expect(Self.read(header) == .complete(length: header.count, addresses))
            }
        }
        #expect(
            String(decoding: Self.written(.v1, Self.ipv4Ends), as: UTF8.self)
                == "PROXY TCP4 192.0.2.1 203.0.113.255 1 65535\r\n")
        #expect(
            String(decoding: Self.written(.v1, Self.ipv6Ends), as: UTF8.self)
                == "PROXY TCP6 2001:db8:0:0:0:0:0:1 fe80:0:0:0:0:ffff:0:1 56324 443\r\n")
        #expect(Self.written(.v2, Self.ipv4Ends) == Self.binary(0x21, 0x11, Self.ipv4Bytes))
        #expect(ProxyProtocolVersion.v1.headerOfOwnConnections == Array("PROXY UNKNOWN\r\n".utf8))
        #expect(ProxyProtocolVersion.v2.headerOfOwnConnections == Self.binary(0x20, 0, []))
        let longest = Self.address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65_535)
        let header = Self.written(.v1, ConveyedAddresses(source: longest, destination: longest))
        #expect(header.count <= ProxyHeader.writtenLengthMax && Self.read(header) != .malformed)
    }

    /// An IPv4 client of an IPv6 socket is an IPv4 client; where the ends differ both are told as IPv6.
    @Test func mappedAddressesAreWrittenAsIPv4() {
        let mapped = ConveyedAddresses(
            source: .ipv6(high: 0, low: 0xFFFF_C000_0201, port: 1), destination: Self.ipv4Ends.destination)
        #expect(Self.written(.v2, mapped) == Self.binary(0x21, 0x11, Self.ipv4Bytes))
        let mixed = ConveyedAddresses(source: Self.ipv4Ends.source, destination: Self.ipv6Ends.destination)
        #expect(
            String(decoding: Self.written(.v1, mixed), as: UTF8.self)
                == "PROXY TCP6 0:0:0:0:0:ffff:c000:201 fe80:0:0:0:0:ffff:0:1 1 443\r\n")
    }

    /// Whatever comes: no trap, and more bytes never take back what fewer bytes have decided.
    @Test func whateverComes() {
        var random = SeededGenerator(0x9407)
        let seeds = [
            Self.written(.v1, Self.ipv4Ends), Self.written(.v1, Self.ipv6Ends), Self.written(.v1, nil),
            Self.written(.v2, Self.ipv4Ends), Self.written(.v2, Self.ipv6Ends), Self.written(.v2, nil),
            Self.binary(0x21, 0x31, Array(repeating: 7, count: 230)),
        ]
        var outcomes: [String: Int] = [:]
        for round in 0..<20_000 {
            var bytes = round % 4 == 0 ? [] : seeds.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2: bytes.remove(at: place)
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
                }
            }
            bytes += (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            let limit = Int.random(in: 107...600, using: &random)
            let whole = Self.read(bytes, limit: limit)
            outcomes["\(whole)".prefix { $0 != "(" }.description, default: 0] += 1
            let part = Self.read(Array(bytes[..<Int.random(in: 0...bytes.count, using: &random)]), limit: limit)
            #expect(part == whole || part == .incomplete, "\(part) before \(whole): \(bytes)")
            if case .complete(let length, _) = whole { #expect(length <= bytes.count && length <= limit) }
        }
        #expect(outcomes.count == 4 && outcomes.values.allSatisfy { $0 > 100 }, "\(outcomes)")
    }
}

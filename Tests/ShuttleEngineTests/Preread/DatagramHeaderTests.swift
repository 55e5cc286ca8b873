// Owns what is a header at the beginning of a datagram and what is not, whatever comes.

import Testing

@testable import ShuttleEngine

@Suite struct DatagramHeaderTests {
    private static let signature = Array("\r\n\r\n\0\r\nQUIT\n".utf8)
    private static let ipv4Ends = ConveyedAddresses(
        source: .ipv4(0xc000_0201, port: 1), destination: .ipv4(0xcb00_71ff, port: 65_535))
    private static let ipv6Ends = ConveyedAddresses(
        source: .ipv6(high: 0x2001_0db8_0000_0000, low: 1, port: 56_324),
        destination: .ipv6(high: 0xfe80_0000_0000_0000, low: 0xffff_0000_0001, port: 443))

    private static func header(_ command: UInt8, _ family: UInt8, _ content: [UInt8], length: Int? = nil) -> [UInt8] {
        let length = length ?? content.count
        return signature + [command, family, UInt8(length >> 8), UInt8(length & 255)] + content
    }

    private static func written(_ addresses: ConveyedAddresses?) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: ProxyHeader.writtenLengthMax) { buffer, count in
            count = ProxyHeader.write(.v2, addresses, isOfDatagram: true, to: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    private static func read(_ bytes: [UInt8]) -> (length: Int, addresses: ConveyedAddresses?)? {
        bytes.withUnsafeBytes { ProxyHeader.readDatagram($0) }
    }

    private static let ipv4Bytes: [UInt8] = [192, 0, 2, 1, 203, 0, 113, 255, 0, 1, 0xFF, 0xFF]

    /// With and without anything behind it; the family tells how the client speaks to its proxy, which does not matter.
    @Test func whatIsOne() {
        let extras: [UInt8] = [0x04, 0, 3, 1, 2, 3, 0x20, 0xFF]
        let cases: [([UInt8], ConveyedAddresses?)] = [
            (Self.header(0x21, 0x12, Self.ipv4Bytes), Self.ipv4Ends),
            (Self.header(0x21, 0x11, Self.ipv4Bytes), Self.ipv4Ends),
            (Self.header(0x21, 0x12, Self.ipv4Bytes + extras), Self.ipv4Ends),
            (Self.written(Self.ipv4Ends), Self.ipv4Ends), (Self.written(Self.ipv6Ends), Self.ipv6Ends),
            (Self.written(nil), nil), (Self.header(0x20, 0x12, Self.ipv4Bytes), nil),
            (Self.header(0x20, 0xFF, extras), nil), (Self.header(0x21, 0x00, []), nil),
            (Self.header(0x21, 0x10, Self.ipv4Bytes), nil),
            (Self.header(0x21, 0x32, Array(repeating: 7, count: 216)), nil),
        ]
        for (header, addresses) in cases {
            for payload in [[], [0], Array(repeating: 0x0D, count: 1400), header] {
                let found = Self.read(header + payload)
                #expect(found?.length == header.count && found?.addresses == addresses, "\(header)")
            }
            // All of it or none: nothing more of a datagram will come.
            for count in 0..<header.count { #expect(Self.read(Array(header[..<count])) == nil, "\(count) bytes") }
        }
    }

    @Test func whatIsNone() {
        let refused: [[UInt8]] = [
            [], Array("PROXY UDP4 192.0.2.1 203.0.113.255 1 1\r\n".utf8),
            Array("PROXY TCP4 192.0.2.1 203.0.113.255 1 1\r\nhello".utf8), Array("PROXY UNKNOWN\r\n".utf8),
            Self.header(0x11, 0x12, Self.ipv4Bytes), Self.header(0x22, 0x12, Self.ipv4Bytes),
            Self.header(0x21, 0x13, Self.ipv4Bytes), Self.header(0x21, 0x42, Self.ipv4Bytes),
            Self.header(0x21, 0x12, Array(Self.ipv4Bytes.dropLast())), Self.header(0x21, 0x22, Self.ipv4Bytes),
            Self.header(0x21, 0x12, Self.ipv4Bytes, length: 13), Self.header(0x20, 0, [], length: 65_535),
            Self.header(0x21, 0x12, Self.ipv4Bytes, length: 11),
        ]
        for datagram in refused { #expect(Self.read(datagram) == nil, "\(datagram)") }
        for index in 0..<12 {
            var header = Self.header(0x21, 0x12, Self.ipv4Bytes)
            header[index] ^= 0x20
            #expect(Self.read(header) == nil)
        }
    }

    /// A connection's header does not become another by this: addresses of datagrams are none of its client.
    @Test func connectionsAreReadAsBefore() {
        let header = Self.written(Self.ipv4Ends)
        let outcome = header.withUnsafeBytes { ProxyHeader.read($0, limit: 16_384) }
        #expect(outcome == .complete(length: header.count, nil))
    }

    /// Whatever comes: no trap, nothing read past the end, and what is read is what stands there.
    @Test func whateverComes() {
        var random = SeededGenerator(0x1705)
        let seeds = [Self.written(Self.ipv4Ends), Self.written(Self.ipv6Ends), Self.written(nil)]
        var (taken, dropped) = (0, 0)
        for round in 0..<30_000 {
            var bytes = round % 5 == 0 ? [] : seeds.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 0...2, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2: bytes.remove(at: place)
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
                }
            }
            bytes += (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            // In memory of just that size, so that a read past the end is one past the allocation.
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            defer { memory.deallocate() }
            memory.copyBytes(from: bytes)
            guard let found = ProxyHeader.readDatagram(UnsafeRawBufferPointer(memory)) else {
                dropped += 1
                continue
            }
            taken += 1
            #expect((16...bytes.count).contains(found.length))
            #expect(found.length == 16 + Int(bytes[14]) << 8 + Int(bytes[15]))
            #expect(bytes.starts(with: Self.signature))
            guard let source = found.addresses?.source else { continue }
            let length = source.family == 2 ? 4 : 16
            let host = bytes[16..<16 + length].reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
            let (high, low) = source.hostWords
            let expected = source.family == 2 ? UInt128(0xffff) << 32 | host : host
            #expect(UInt128(high) << 64 | UInt128(low) == expected)
        }
        #expect(taken > 3000 && dropped > 3000, "\(taken) and \(dropped)")
    }
}

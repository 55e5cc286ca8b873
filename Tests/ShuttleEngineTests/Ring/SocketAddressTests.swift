// Owns socket addresses as values: what they keep, print and compare.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct SocketAddressTests {
    private static func ipv6(_ text: String, port: UInt16) throws -> SocketAddress {
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        try #require(inet_pton(AF_INET6, text, &address.sin6_addr) == 1)
        return withUnsafeBytes(of: address) { SocketAddress(copying: $0.baseAddress!, length: $0.count)! }
    }

    @Test func ipv4() {
        let address = SocketAddress.ipv4(0xc000_0201, port: 8080)
        #expect(address.description == "192.0.2.1:8080")
        #expect(address.family == AF_INET && address.port == 8080 && address.length == 16)
        #expect(!address.isWildcard)
        #expect(SocketAddress.anyIPv4(port: 1).isWildcard)
        #expect(SocketAddress.anyIPv4(port: 1).description == "0.0.0.0:1")
        #expect(SocketAddress.loopbackIPv4(port: 65_535).description == "127.0.0.1:65535")
    }

    @Test func ipv6() throws {
        let address = try SocketAddressTests.ipv6("2001:db8::1", port: 443)
        #expect(address.description == "[2001:db8::1]:443")
        #expect(address.family == AF_INET6 && address.port == 443 && address.length == 28)
        #expect(!address.isWildcard && SocketAddress.anyIPv6(port: 443).isWildcard)
        #expect(SocketAddress.anyIPv6(port: 443).description == "[::]:443")
    }

    @Test func unixSockets() throws {
        let path = "/" + String(repeating: "x", count: 106)
        for (text, length) in [("unix:/run/a.sock", 14), ("unix:@a", 4), ("unix:" + path, 110), ("unix:@" + path, 110)]
        {
            let address = SocketAddress(try UnixAddress(parsing: text))
            #expect(address.description == text)
            #expect(address.isUnix && address.port == 0 && !address.isWildcard && address.length == length)
        }
        #expect(SocketAddress(try UnixAddress(parsing: path)).unixPath == path)
        #expect(SocketAddress(try UnixAddress(parsing: "unix:@a")).unixPath == nil)
        let same = ["/a//b", "unix:/a/b", "unix:@/a/b", "unix:@/a/b2"].map { try? UnixAddress(parsing: $0) }.compactMap(
            \.self)
        #expect(Set(same.map(SocketAddress.init)).count == 3)
        #expect(MemoryLayout<SocketAddress>.size == 116)
    }

    @Test func comparesWhatMatters() throws {
        #expect(SocketAddress.loopbackIPv4(port: 80) == .loopbackIPv4(port: 80))
        #expect(SocketAddress.loopbackIPv4(port: 80) != .loopbackIPv4(port: 81))
        #expect(SocketAddress.loopbackIPv4(port: 80) != .anyIPv4(port: 80))
        #expect(SocketAddress.anyIPv4(port: 80) != .anyIPv6(port: 80))
        #expect(try SocketAddressTests.ipv6("::1", port: 80) == SocketAddressTests.ipv6("0:0::0:1", port: 80))
        #expect(Set([SocketAddress.loopbackIPv4(port: 80), .loopbackIPv4(port: 80)]).count == 1)
    }

    /// bind(2) ignores the padding of a sockaddr_in; so does equality.
    @Test func paddingDoesNotCount() {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(80).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        address.sin_zero = (1, 2, 3, 4, 5, 6, 7, 8)
        let copied = withUnsafeBytes(of: address) { SocketAddress(copying: $0.baseAddress!, length: $0.count) }
        #expect(copied == .loopbackIPv4(port: 80))
        #expect(copied?.hashValue == SocketAddress.loopbackIPv4(port: 80).hashValue)
    }

    @Test func refusesOtherFamiliesAndShortAddresses() {
        var unix = sockaddr_un()
        unix.sun_family = sa_family_t(AF_UNIX)
        withUnsafeBytes(of: unix) { #expect(SocketAddress(copying: $0.baseAddress!, length: $0.count) == nil) }
        var address = sockaddr_in6()
        for family in [AF_INET, AF_INET6] {
            address.sin6_family = sa_family_t(family)
            let needed = family == AF_INET ? 16 : 28
            withUnsafeBytes(of: address) { bytes in
                for length in 0..<needed { #expect(SocketAddress(copying: bytes.baseAddress!, length: length) == nil) }
                #expect(SocketAddress(copying: bytes.baseAddress!, length: needed) != nil)
            }
        }
    }

    /// Round trip through system calls: a socket is bound where it was told to, to a port that was free.
    @Test func systemCallsUnderstandIt() throws {
        let socket = try Socket.openStream(family: AF_INET).get()
        defer { Socket.close(socket) }
        let wanted = SocketAddress.loopbackIPv4(port: 0)
        let outcome = wanted.withSockAddr { bind(socket, $0.assumingMemoryBound(to: sockaddr.self), $1) }
        #expect(outcome == 0)
        let bound = try #require(SocketAddress.local(of: socket))
        #expect(bound.port != 0 && bound == .loopbackIPv4(port: bound.port))
    }

    @Test func nothingIsBoundWhereThereIsNoSocket() {
        #expect(SocketAddress.local(of: -1) == nil)
    }
}

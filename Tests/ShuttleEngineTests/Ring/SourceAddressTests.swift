// Owns source addresses against this machine: what they are read from, and which of them it has.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct SourceAddressTests {
    @Test func textsBecomeAddressesWithoutAPort() throws {
        let ipv4 = try #require(SocketAddress(source: "127.0.0.1"))
        #expect(ipv4 == .loopbackIPv4(port: 0))
        let ipv6 = try #require(SocketAddress(source: "::1"))
        #expect(ipv6.family == AF_INET6 && ipv6.port == 0 && !ipv6.isWildcard)
        for text in ["", "host", "127.0.0.1:80", "[::1]", "0.0.0.0", "::"] {
            #expect(SocketAddress(source: text) == nil, "\(text)")
        }
    }

    @Test func theMachineHasItsOwn() throws {
        #expect(try #require(SocketAddress(source: "127.0.0.1")).failureAsSource() == nil)
        #expect(try #require(SocketAddress(source: "127.1.2.3")).failureAsSource() == nil)
        // Of the documentation, RFC 5737: nobody has it.
        #expect(try #require(SocketAddress(source: "192.0.2.77")).failureAsSource() == EADDRNOTAVAIL)
    }

    @Test func aListIsSplitByFamily() throws {
        let addresses = ["127.0.0.1", "::1", "127.0.0.2"].compactMap(SocketAddress.init(source:))
        let sources = SourceAddresses(addresses)
        defer { sources.deallocate() }
        #expect(Array(sources.addresses(for: AF_INET)) == [addresses[0], addresses[2]])
        #expect(Array(sources.addresses(for: AF_INET6)) == [addresses[1]])
    }
}

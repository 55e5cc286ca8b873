// What kinds of addresses there are, whatever form they are written in.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct SocketAddressKindsTests {
    @Test func portsAndMappedForms() throws {
        let ipv4 = Address.ipv4(0x0A00_0001, port: 80)
        #expect(ipv4.with(port: 443).description == "10.0.0.1:443")
        let ipv6 = try #require(NumericHost.address("2001:db8::1", port: 80))
        #expect(ipv6.with(port: 443).description == "[2001:db8::1]:443")
        #expect(ipv6.with(port: 443).with(port: 80) == ipv6)
        #expect(NumericHost.address("::ffff:10.0.0.1", port: 80) == ipv4)
        #expect(NumericHost.address("localhost", port: 80) == nil)
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.255.0.9", true), ("::1", true), ("::ffff:127.0.0.1", true), ("128.0.0.1", false),
        ("::", false), ("0.0.0.0", false), ("::2", false), ("1::1", false),
    ])
    func loopback(_ host: String, _ isLoopback: Bool) throws {
        #expect(try #require(NumericHost.address(host, port: 1)).isLoopback == isLoopback)
    }
}

// What a backend's address may be beside host and port, and which checks go with it.

import Testing

@testable import ShuttleEngine

@Suite struct BackendAddressTests {
    @Test(arguments: [
        ("srv:_redis._tcp.example.org", BackendAddress.service("_redis._tcp.example.org")),
        ("srv:_Redis._TCP.Example.org.", .service("_redis._tcp.example.org.")),
        ("srv:redis.service.consul", .service("redis.service.consul")),
        // A host may be called srv.
        ("srv:6379", .endpoint(.host("srv", port: 6379))), ("srv.:1", .endpoint(.host("srv.", port: 1))),
        ("a:1", .endpoint(.host("a", port: 1))), (":1", .endpoint(.wildcard(port: 1))),
    ])
    func forms(_ text: String, _ address: BackendAddress) throws {
        #expect(try BackendAddress(parsing: text) == address)
    }

    @Test(arguments: [
        "srv:_redis._tcp.example.org:6379", "srv:_redis..tcp", "srv:-a", "srv:10.0.0.1", "srv:[::1]", "srv:a b",
        "srv:srv:a", "srv:a/b",
    ])
    func names(_ text: String) {
        #expect(throws: EndpointError.serviceName(text)) { try BackendAddress(parsing: text) }
    }

    @Test func aPrefixAloneHasNoPort() {
        #expect(throws: EndpointError.portMissing("srv:")) { try BackendAddress(parsing: "srv:") }
        #expect(throws: EndpointError.portRange("srv:70000")) { try BackendAddress(parsing: "srv:70000") }
    }

    private func issues(_ address: String, _ checkAddress: String) -> [ConfigurationIssue] {
        ConfigurationValidator.issues(
            in: BackendConfiguration(name: "b", address: address, checkAddress: checkAddress)
        )
    }

    @Test(arguments: [
        ("srv:_a._tcp.test", ""), ("srv:_a._tcp.test", "srv:_a._tcp.test"), ("srv:_a._tcp.test", "srv:_A._TCP.test"),
        ("srv:_a._tcp.test", ":8080"), ("a:1", "b:2"), ("srv:1", "srv:2"),
    ])
    func checksThatGoTogether(_ address: String, _ checkAddress: String) {
        #expect(issues(address, checkAddress).isEmpty)
    }

    @Test(arguments: [
        ("srv:_a._tcp.test", "srv:_b._tcp.test", "several servers"), ("srv:_a._tcp.test", "a:1", "a port alone"),
        ("a:1", "srv:_a._tcp.test", "\"address\" is one"), ("a:1", ":8080", "no host"),
        ("srv:1", ":8080", "no host"), ("srv:_a._tcp.test", "srv:_a._tcp.test:1", "without a port"),
    ])
    func checksThatDoNot(_ address: String, _ checkAddress: String, _ words: String) {
        let issues = issues(address, checkAddress)
        #expect(issues.map(\.pointer) == ["/check_address"])
        #expect(issues.allSatisfy { $0.detail.contains(words) && $0.detail.contains(checkAddress) })
    }

    @Test func nobodyListensAtTheNameOfOthers() {
        let service = ServiceConfiguration(name: "a", address: "srv:_a._tcp.test")
        #expect(ConfigurationValidator.issues(in: service).map(\.pointer) == ["/address"])
    }
}

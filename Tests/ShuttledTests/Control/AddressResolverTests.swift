// Addresses: numeric ones, names, what stays as it was, and which go together.

import Glibc
import NIOCore
import ShuttleEngine
import Synchronization
import Testing

@testable import shuttled

@Suite struct AddressResolverTests {
    private static let dbHost = Address.ipv4(0x0A00_0001, port: 0)

    private func resolve(
        _ services: [ServiceConfiguration], live: [AppliedService] = [], hasIPv6: Bool = true,
        lookup: @escaping HostLookup = ControlTesting.lookup(["db.test": dbHost])
    ) async throws -> [AppliedService] {
        let next = try NextConfiguration(applying: .replaceAll(services), to: [])
        return try await AddressResolver(hasIPv6: hasIPv6, lookup: lookup).resolve(
            next, live: Dictionary(uniqueKeysWithValues: live.map { ($0.configuration.name, $0) })
        )
    }

    @Test(arguments: [
        ("127.0.0.1:80", "127.0.0.1:80"), ("[::1]:80", "[::1]:80"), (":80", "[::]:80"), ("0.0.0.0:80", "0.0.0.0:80"),
        ("[::]:80", "[::]:80"), ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"), ("[2001:DB8:0:0::1]:80", "[2001:db8::1]:80"),
        ("db.test:80", "10.0.0.1:80"),
    ])
    func listeningAddresses(_ text: String, _ address: String) async throws {
        let services = try await resolve([ControlTesting.service("a", text)])
        #expect(services.map(\.resolved.listenAddress.description) == [address])
    }

    @Test func withoutIPv6AWildcardIsIPv4() async throws {
        let services = try await resolve([ControlTesting.service("a", ":80")], hasIPv6: false)
        #expect(services[0].resolved.listenAddress.description == "0.0.0.0:80")
    }

    @Test func backendsAndTheirChecks() async throws {
        var service = ControlTesting.service("a", ":80", backends: ["db.test:5432", "10.0.0.2:80"])
        service.backends[1].checkAddress = "db.test:9000"
        let applied = try await resolve([service])[0]
        #expect(applied.resolved.backendAddresses.map(\.description) == ["10.0.0.1:5432", "10.0.0.2:80"])
        #expect(applied.checkAddresses.map { $0?.description } == [nil, "10.0.0.1:9000"])
    }

    @Test func everyUnknownNameIsReportedWithItsPlace() async throws {
        var service = ControlTesting.service("a", "gone.test:80", backends: ["10.0.0.1:80", "lost.test:80"])
        service.backends[0].checkAddress = "gone.test:81"
        let error = await #expect(throws: ChangeRefusal.self) { try await resolve([service]) }
        guard case .invalid(let issues) = error else {
            Issue.record("not refused as invalid: \(String(describing: error))")
            return
        }
        #expect(issues.map(\.pointer) == ["/0/address", "/0/backends/0/check_address", "/0/backends/1/address"])
        #expect(issues[2].detail == #""address" is "lost.test:80"; the host "lost.test" is unknown"#)
    }

    @Test func eachNameIsLookedUpOnce() async throws {
        let asked = Mutex<[[String]]>([])
        let services = [
            ControlTesting.service("a", ":80", backends: ["db.test:1", "db.test:2", "10.0.0.1:80"]),
            ControlTesting.service("b", ":81", backends: ["other.test:1", "db.test:3"]),
        ]
        _ = try await resolve(services) { names in
            asked.withLock { $0.append(names) }
            return Dictionary(uniqueKeysWithValues: names.map { ($0, .success(Self.dbHost)) })
        }
        #expect(asked.withLock { $0 } == [["db.test", "other.test"]])
    }

    @Test func numericAddressesNeedNoLookup() async throws {
        _ = try await resolve([ControlTesting.service("a", ":80", backends: ["10.0.0.1:80", "[fe80::1%lo]:80"])]) {
            names in
            Issue.record("looked up \(names)")
            return [:]
        }
    }

    @Test func whatIsWrittenAsBeforeKeepsItsAddress() async throws {
        let service = ControlTesting.service(
            "a", "db.test:80", backends: ["db.test:1", "db.test:2"], checkAddress: "db.test:9")
        let live = try await resolve([service])
        // DNS has moved meanwhile.
        let moved = ControlTesting.lookup(["db.test": .ipv4(0x0A00_0002, port: 0)])
        var changed = service
        changed.fall = 9
        changed.backends[1].address = "db.test:3"
        changed.backends.append(BackendConfiguration(name: "new", address: "db.test:1"))
        let next = try await resolve([changed], live: live, lookup: moved)[0]
        #expect(next.resolved.listenAddress.description == "10.0.0.1:80")
        #expect(next.resolved.backendAddresses.map(\.description) == ["10.0.0.1:1", "10.0.0.2:3", "10.0.0.2:1"])
        #expect(next.checkAddresses.map { $0?.description } == ["10.0.0.1:9", "10.0.0.1:9", nil])
    }

    @Test(arguments: [
        (["127.0.0.1", "::1"], "127.0.0.1"), (["::1", "127.0.0.1"], "127.0.0.1"), (["::1"], "::1"),
        (["2001:db8::1", "10.0.0.1"], "2001:db8::1"), (["10.0.0.1", "2001:db8::1"], "10.0.0.1"),
        (["::1", "10.0.0.1"], "::1"),
    ])
    func theFirstAddressIsTaken(_ addresses: [String], _ preferred: String) throws {
        let list = try addresses.map { try #require(AddressResolver.numeric(host: $0, port: 0)) }
        #expect(SystemHostLookup.preferred(list) == AddressResolver.numeric(host: preferred, port: 0))
    }

    @Test func portsAndMappedForms() throws {
        let ipv4 = Address.ipv4(0x0A00_0001, port: 80)
        #expect(ipv4.with(port: 443).description == "10.0.0.1:443")
        let ipv6 = try #require(AddressResolver.numeric(host: "2001:db8::1", port: 80))
        #expect(ipv6.with(port: 443).description == "[2001:db8::1]:443")
        #expect(ipv6.with(port: 443).with(port: 80) == ipv6)
        #expect(AddressResolver.numeric(host: "::ffff:10.0.0.1", port: 80) == ipv4)
        #expect(AddressResolver.numeric(host: "localhost", port: 80) == nil)
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.255.0.9", true), ("::1", true), ("::ffff:127.0.0.1", true), ("128.0.0.1", false),
        ("::", false), ("0.0.0.0", false), ("::2", false), ("1::1", false),
    ])
    func loopback(_ host: String, _ isLoopback: Bool) throws {
        #expect(try #require(AddressResolver.numeric(host: host, port: 1)).isLoopback == isLoopback)
    }
}

@Suite struct SystemHostLookupTests {
    @Test func localhostIsIPv4() async throws {
        let result = try await ControlTesting.onLoop { loop in
            await SystemHostLookup(loop: loop).addresses(of: ["localhost"])
        }
        #expect(result == ["localhost": .success(.loopbackIPv4(port: 0))])
    }

    @Test func anUnknownNameIsAFailure() async throws {
        // RFC 6761: this name never exists. Without DNS servers the reason is another one.
        let result = try await ControlTesting.onLoop { loop in
            await SystemHostLookup(loop: loop, limit: .seconds(30)).addresses(of: ["name.invalid"])
        }
        guard case .failure(let failure)? = result["name.invalid"] else {
            Issue.record("it resolved: \(result)")
            return
        }
        #expect(failure.reason.contains("numeric address"))
    }

    @Test func nobodyWaitsLongerThanTheLimit() async throws {
        let names = (0..<20).map { "n\($0).invalid" }
        let result = try await ControlTesting.onLoop { loop in
            await SystemHostLookup(loop: loop, limit: .nanoseconds(0)).addresses(of: names)
        }
        #expect(Set(result.keys) == Set(names))
        for case .success in result.values {
            Issue.record("nothing can be resolved in no time")
        }
    }
}

@Suite struct ListenConflictsTests {
    private func pointers(_ addresses: [String]) async throws -> [String] {
        let services = addresses.enumerated().map { ControlTesting.service("s\($0.offset)", $0.element) }
        return try await issues(.replaceAll(services), live: []).map(\.pointer)
    }

    private func issues(
        _ change: ConfigurationChange, live: [ServiceConfiguration]
    ) async throws -> [ConfigurationIssue] {
        let next = try NextConfiguration(applying: change, to: live)
        let lookup = ControlTesting.lookup(["local.test": .loopbackIPv4(port: 0)])
        let services = try await AddressResolver(hasIPv6: true, lookup: lookup).resolve(next, live: [:])
        return ListenConflicts.issues(in: services, of: next)
    }

    @Test(arguments: [
        ["127.0.0.1:80", "127.0.0.1:81"], ["127.0.0.1:80", "127.0.0.2:80"], ["127.0.0.1:80", "[::1]:80"],
        ["0.0.0.0:80", "[::1]:80"], [":80", ":81"],
    ])
    func whatGoesTogether(_ addresses: [String]) async throws {
        #expect(try await pointers(addresses).isEmpty)
    }

    @Test(arguments: [
        ["local.test:80", "127.0.0.1:80"], [":80", "127.0.0.1:80"], [":80", "[::1]:80"],
        ["0.0.0.0:80", "127.0.0.1:80"],
        ["[::]:80", "0.0.0.0:80"], [":80", "[::]:80"], ["[::ffff:127.0.0.1]:80", "127.0.0.1:80"],
    ])
    func whatDoesNot(_ addresses: [String]) async throws {
        #expect(try await pointers(addresses) == ["/0/address", "/1/address"])
        #expect(try await pointers(addresses.reversed()) == ["/0/address", "/1/address"])
    }

    @Test func everyoneInTheWayIsTold() async throws {
        #expect(
            try await pointers(["127.0.0.1:80", "10.0.0.1:81", ":80", "[::1]:80"])
                == ["/0/address", "/2/address", "/3/address"]
        )
    }

    @Test func bothSidesAreNamed() async throws {
        let services = [ControlTesting.service("one", ":80"), ControlTesting.service("two", "127.0.0.1:80")]
        let issues = try await issues(.replaceAll(services), live: [])
        #expect(issues[0].detail.contains("two") && issues[0].detail.contains("/1/address"))
        #expect(issues[1].detail.contains("one") && issues[1].detail.contains("/0/address"))
    }

    @Test func aSingleServiceIsToldWhoseAddressItIs() async throws {
        let live = [ControlTesting.service("old", "127.0.0.1:80")]
        let issues = try await issues(.putService(ControlTesting.service("new", ":80")), live: live)
        #expect(issues.map(\.pointer) == ["/address"])
        #expect(issues[0].detail.contains(#"service "old""#) && issues[0].detail.contains(#""127.0.0.1:80""#))
    }

    @Test func thousandsOnOnePortAreQuick() async throws {
        let services = (0..<16_000).map { index in
            ControlTesting.service("s\(index)", "10.\(index / 65536).\(index / 256 % 256).\(index % 256):80")
        }
        let clock = ContinuousClock()
        var found: [ConfigurationIssue] = []
        let next = try NextConfiguration(applying: .replaceAll(services), to: [])
        let resolved = try await AddressResolver(hasIPv6: true, lookup: ControlTesting.lookup([:]))
            .resolve(next, live: [:])
        let time = clock.measure { found = ListenConflicts.issues(in: resolved, of: next) }
        #expect(found.isEmpty)
        #expect(time < .seconds(2), "comparing each with each would take minutes in a debug build")
    }
}

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
        toleratesSilence: Bool = false, watched: [NameQuestion: NameMemory] = [:],
        lookup: @escaping NameLookup = ControlTesting.lookup(["db.test": dbHost])
    ) async throws -> [AppliedService] {
        let next = try NextConfiguration(applying: .replaceAll(services), to: [])
        return try await AddressResolver(hasIPv6: hasIPv6, lookup: lookup).resolve(
            next, live: Dictionary(uniqueKeysWithValues: live.map { ($0.configuration.name, $0) }),
            toleratesSilence: toleratesSilence
        ) { watched[$0] }.services
    }

    private func memory(_ result: Result<NameAnswer, NameFailure>) -> NameMemory {
        var memory = NameMemory()
        _ = memory.take(result, time: 1)
        return memory
    }

    private func memory(_ address: Address) -> NameMemory {
        memory(.success(NameAnswer(targets: [NameTarget(host: "db.test", addresses: [address])])))
    }

    @Test(arguments: [
        ("127.0.0.1:80", "127.0.0.1:80"), ("[::1]:80", "[::1]:80"), (":80", "[::]:80"), ("0.0.0.0:80", "0.0.0.0:80"),
        ("[::]:80", "[::]:80"), ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"), ("[2001:DB8:0:0::1]:80", "[2001:db8::1]:80"),
        ("db.test:80", "10.0.0.1:80"), ("/run//app.sock", "unix:/run/app.sock"), ("unix:@app", "unix:@app"),
    ])
    func listeningAddresses(_ text: String, _ address: String) async throws {
        let services = try await resolve([ControlTesting.service("a", text)])
        #expect(services.map(\.resolved.listenAddress?.description) == [address])
    }

    @Test func withoutIPv6AWildcardIsIPv4() async throws {
        let services = try await resolve([ControlTesting.service("a", ":80")], hasIPv6: false)
        #expect(services[0].resolved.listenAddress?.description == "0.0.0.0:80")
    }

    @Test func backendsAndTheirChecks() async throws {
        var service = ControlTesting.service("a", ":80", backends: ["db.test:5432", "10.0.0.2:80"])
        service.backends[1].checkAddress = "db.test:9000"
        let applied = try await resolve([service])[0]
        #expect(applied.resolved.backendAddresses.map(\.description) == ["10.0.0.1:5432", "10.0.0.2:80"])
        #expect(applied.checkAddresses.map { $0?.description } == [nil, "10.0.0.1:9000"])
    }

    @Test func unixSocketsOfBackendsAndTheirChecks() async throws {
        var service = ControlTesting.service("a", ":80", backends: ["/run/x.sock", "10.0.0.2:80"])
        service.backends[0].checkAddress = "10.0.0.2:81"
        service.backends[1].checkAddress = "unix:@x"
        let applied = try await resolve([service])[0]
        #expect(applied.resolved.backendAddresses.map(\.description) == ["unix:/run/x.sock", "10.0.0.2:80"])
        #expect(applied.checkAddresses.map { $0?.description } == ["10.0.0.2:81", "unix:@x"])
        #expect(applied.resolved.socketAccess == SocketFileAccess(), "it has no file")
    }

    @Test func ownersAreFoundOutWhenTheyAreNamed() async throws {
        var service = ControlTesting.service("a", "/run/x.sock")
        (service.socketMode, service.socketOwner, service.socketGroup) = ("0600", "root", "33")
        let applied = try await resolve([service])
        #expect(applied[0].resolved.socketAccess == SocketFileAccess(mode: 0o600, owner: 0, group: 33))
        service.socketOwner = "no-such-user"
        service.socketGroup = "no-such-group"
        let services = [service]
        let refusal = try await #require(throws: ChangeRefusal.self) { try await resolve(services) }
        guard case .invalid(let issues) = refusal else {
            Issue.record("\(refusal)")
            return
        }
        #expect(issues.map(\.pointer) == ["/0/socket_owner", "/0/socket_group"])
        #expect(issues[0].detail.contains("no-such-user") && issues[1].detail.contains("no group"))
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
        let answer = ControlTesting.lookup(["db.test": Self.dbHost, "other.test": Self.dbHost])
        _ = try await resolve(services) { questions in
            asked.withLock { $0.append(questions.map(\.name)) }
            return await answer(questions)
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

    @Test func aNameInUseStandsForWhatItStoodFor() async throws {
        var service = ControlTesting.service("a", "db.test:80", backends: ["db.test:1"], checkAddress: "db.test:9")
        let live = try await resolve([service])
        // DNS has moved meanwhile, and nobody is asked.
        let moved: NameLookup = { questions in
            Issue.record("looked up \(questions)")
            return [:]
        }
        service.fall = 9
        service.backends.append(BackendConfiguration(name: "new", address: "db.test:2"))
        let next = try await resolve(
            [service], live: live, watched: [.host("db.test"): memory(.ipv4(0x0A00_0001, port: 0))], lookup: moved
        )[0]
        #expect(next.resolved.listenAddress?.description == "10.0.0.1:80")
        #expect(next.resolved.backendAddresses.map(\.description) == ["10.0.0.1:1", "10.0.0.1:2"])
        #expect(next.checkAddresses.map { $0?.description } == ["10.0.0.1:9", nil])
    }

    @Test func aNameInUseThatFailsIsNoReasonToRefuseAChange() async throws {
        let failing = memory(.failure(NameFailure(reason: "is unknown")))
        let service = ControlTesting.service("a", ":80", backends: ["10.0.0.1:80", "gone.test:80", "10.0.0.3:80"])
        let applied = try await resolve([service], watched: [.host("gone.test"): failing])[0]
        #expect(applied.configuration == service)
        #expect(applied.resolved.configuration.backends.map(\.name) == ["b0", "b2"])
        #expect(applied.places == [0..<1, 1..<1, 1..<2])
        #expect(applied.names == [.host("gone.test")])
    }

    @Test func atTheStartANameThatDoesNotResolveLeavesItsBackendOut() async throws {
        let service = ControlTesting.service("a", ":80", backends: ["gone.test:80", "db.test:80"])
        let applied = try await resolve([service], toleratesSilence: true)[0]
        #expect(applied.resolved.backendAddresses.map(\.description) == ["10.0.0.1:80"])
        #expect(applied.places == [0..<0, 0..<1])
        // There is nothing to listen on without it.
        await #expect(throws: ChangeRefusal.self) {
            try await resolve([ControlTesting.service("a", "gone.test:80")], toleratesSilence: true)
        }
    }

    @Test func whatNamesStandForNowIsTakenUp() async throws {
        let services = [
            ControlTesting.service("a", ":80", backends: ["db.test:1", "10.0.0.9:1"], checkAddress: "db.test:9"),
            ControlTesting.service("b", ":81", backends: ["10.0.0.9:1"]),
        ]
        let live = try await resolve(services)
        let resolver = AddressResolver(hasIPv6: true, lookup: ControlTesting.lookup([:]))
        #expect(resolver.refresh(live) { _ in memory(Self.dbHost) } == live)
        let moved = resolver.refresh(live) { _ in memory(.ipv4(0x0A00_0002, port: 0)) }
        #expect(moved[0].resolved.backendAddresses.map(\.description) == ["10.0.0.2:1", "10.0.0.9:1"])
        #expect(moved[0].checkAddresses.map { $0?.description } == ["10.0.0.2:9", "10.0.0.2:9"])
        #expect(moved[0].configuration == live[0].configuration && moved[1] == live[1])
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
        let resolved = try await AddressResolver(hasIPv6: true, lookup: lookup).resolve(next, live: [:]) { _ in nil }
        return ListenConflicts.issues(in: resolved.services, of: next)
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

    @Test func eachNetworkHasAddressesOfItsOwn() async throws {
        var services = [":80", "127.0.0.1:80", "local.test:80"].enumerated()
            .map { ControlTesting.service("s\($0.offset)", $0.element) }
        services[0].network = .udp
        #expect(try await issues(.replaceAll(Array(services[0...1])), live: []).isEmpty)
        services[2].network = .udp
        #expect(try await issues(.replaceAll(services), live: []).map(\.pointer) == ["/0/address", "/2/address"])
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
            .resolve(next, live: [:]) { _ in nil }
        let time = clock.measure { found = ListenConflicts.issues(in: resolved.services, of: next) }
        #expect(found.isEmpty)
        #expect(time < .seconds(2), "comparing each with each would take minutes in a debug build")
    }
}

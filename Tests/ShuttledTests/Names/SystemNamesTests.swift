// The machine's names: its own table, DNS that is out of reach, and which of several addresses comes first.

import NIOCore
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct SystemNamesTests {
    @Test func localhostIsIPv4() async throws {
        let result = try await ControlTesting.onLoop { loop in
            await SystemNames(loop: loop).answers(to: [.host("localhost"), .host("db.localhost")])
        }
        for question in [NameQuestion.host("localhost"), .host("db.localhost")] {
            let answer = try #require(result[question]).get()
            #expect(answer.targets.first?.addresses.first == .loopbackIPv4(port: 0))
            #expect(answer.timeToLiveSeconds == nil)
        }
    }

    /// Nothing listens there: ICMP says so, and nobody waits.
    @Test func aServerThatIsNotThereIsAFailure() async throws {
        let port = try ControlTesting.Port.closed()
        let questions: [NameQuestion] = [.host("name.test"), .service("_db._tcp.test")]
        let result = try await ControlTesting.onLoop { loop in
            await SystemNames(loop: loop, server: port.address, limit: .seconds(30)).answers(to: questions)
        }
        for question in questions {
            guard case .failure(let failure)? = result[question] else {
                Issue.record("it resolved: \(result)")
                continue
            }
            #expect(failure.reason.contains("do not answer"))
        }
    }

    @Test func nobodyWaitsLongerThanTheLimit() async throws {
        let questions = (0..<20).map { NameQuestion.host("n\($0).invalid") }
        let result = try await ControlTesting.onLoop { loop in
            await SystemNames(loop: loop, limit: .nanoseconds(0)).answers(to: questions)
        }
        #expect(Set(result.keys) == Set(questions))
        for case .success in result.values {
            Issue.record("nothing can be resolved in no time")
        }
    }
}

@Suite struct HostsFileTests {
    @Test func everyAddressOfAName() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "hosts",
            """
            # 10.0.0.9 db.test
            10.0.0.1\tdb.test  DB2.Test # db3.test
            not-an-address db.test
            2001:db8::1 other.test db.test
              10.0.0.1 db.test
            10.0.0.2
            ::ffff:10.0.0.3 db.test
            """
        )
        func hosts(_ name: String) -> [String] {
            HostsFile.addresses(of: name, path: folder.path("hosts")).map(\.host)
        }
        #expect(hosts("db.test") == ["10.0.0.1", "2001:db8::1", "10.0.0.3"])
        #expect(hosts("db2.test") == ["10.0.0.1"])
        #expect(hosts("db3.test").isEmpty && hosts("10.0.0.1").isEmpty && hosts("b.test").isEmpty)
        #expect(HostsFile.addresses(of: "db.test", path: folder.path("missing")).isEmpty)
    }

    @Test func itComesBeforeDNS() throws {
        let folder = try TemporaryFolder()
        try folder.write("hosts", "10.0.0.1 db.test\n")
        let nowhere = try ControlTesting.Port.closed()
        let source = NameSource(client: DNSClient(server: nowhere.address), hostsPath: folder.path("hosts"))
        let answer = try source.answer(to: .host("db.test")).get()
        #expect(answer.targets.map(\.addresses) == [[.ipv4(0x0A00_0001, port: 0)]])
    }
}

@Suite struct AddressPreferenceTests {
    /// `sources` are what the machine would connect from, by family and kind.
    private func sorted(_ hosts: [String], global: String?, ipv4: String?) throws -> [String] {
        let addresses = try hosts.map { try #require(NumericHost.address($0)) }
        return AddressPreference.sorted(addresses) { address in
            (address.family == Address.loopbackIPv4(port: 0).family ? ipv4 : global).flatMap { NumericHost.address($0) }
        }.map(\.host)
    }

    @Test func whatCanBeReachedComesFirst() throws {
        let hosts = ["10.0.0.2", "2001:db8::2", "10.0.0.1", "fd00::1", "2001:db8::1", "10.0.0.2"]
        #expect(
            try sorted(hosts, global: "2001:db8::9", ipv4: "10.0.0.9")
                == ["2001:db8::2", "2001:db8::1", "10.0.0.2", "10.0.0.1", "fd00::1"]
        )
        #expect(
            try sorted(hosts, global: nil, ipv4: "10.0.0.9")
                == ["10.0.0.2", "10.0.0.1", "2001:db8::2", "fd00::1", "2001:db8::1"]
        )
        // A network of its own beside IPv4, as containers have it.
        #expect(
            try sorted(hosts, global: "fd00::9", ipv4: "10.0.0.9")
                == ["10.0.0.2", "10.0.0.1", "fd00::1", "2001:db8::2", "2001:db8::1"]
        )
    }

    @Test(arguments: [
        (["127.0.0.1", "::1"], "127.0.0.1"), (["::1", "127.0.0.1"], "127.0.0.1"), (["::1"], "::1"),
    ])
    func ofLoopbackAddressesIPv4IsFirst(_ hosts: [String], _ first: String) throws {
        #expect(try sorted(hosts, global: "::1", ipv4: "127.0.0.1").first == first)
    }
}

// Which source addresses are refused with which words; what the machine says is put in its place.

import Glibc
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct SourceConflictsTests {
    private static let ipv4 = ShuttleEngine.SocketAddress.loopbackIPv4(port: 80)
    private static let ipv6 = ShuttleEngine.SocketAddress.anyIPv6(port: 80)

    private static func applied(
        _ sources: [String], backends: [ShuttleEngine.SocketAddress]
    ) -> AppliedService {
        let members = backends.enumerated().map { index, address in
            BackendExpansion.Member(
                configuration: BackendConfiguration(name: "b\(index)", address: "127.0.0.1:8\(index)"), address: address
            )
        }
        var service = ServiceConfiguration(name: "a", address: ":1", backends: members.map(\.configuration))
        service.sourceAddresses = sources
        return AppliedService(
            configuration: service, listenAddress: ipv4, backends: members.map { BackendExpansion(members: [$0]) })
    }

    private func issues(
        _ service: AppliedService, live: [String: AppliedService] = [:], failure: Int32? = nil
    ) throws -> [ConfigurationIssue] {
        let next = try NextConfiguration(applying: .replaceAll([service.configuration]), to: [])
        return SourceConflicts.issues(in: [service], of: next, live: live) { _ in failure }
    }

    @Test func usableOnes() throws {
        #expect(try issues(Self.applied(["127.0.0.1"], backends: [Self.ipv4])).isEmpty)
        #expect(try issues(Self.applied(["127.0.0.1"], backends: [Self.ipv6, Self.ipv4])).isEmpty)
        #expect(try issues(Self.applied(["127.0.0.1"], backends: [])).isEmpty)
        #expect(try issues(Self.applied([], backends: [Self.ipv4]), failure: EADDRNOTAVAIL).isEmpty)
    }

    @Test func oneThatTheMachineHasNot() throws {
        let found = try issues(Self.applied(["192.0.2.1"], backends: [Self.ipv4]), failure: EADDRNOTAVAIL)
        #expect(
            found == [
                ConfigurationIssue(
                    pointer: "/0/source_address",
                    detail:
                        "\"source_address\" is \"192.0.2.1\"; no network interface of this machine has this address; "
                        + "choose one that it has (`ip address` lists them), or leave the field out"
                )
            ]
        )
    }

    @Test func oneFromWhichNoBackendIsReached() throws {
        let found = try issues(Self.applied(["::1"], backends: [Self.ipv4, Self.ipv4]))
        #expect(found.map(\.pointer) == ["/0/source_address"])
        #expect(found[0].detail.contains("every backend has an IPv4 address"))
    }

    /// A change elsewhere is not refused for an address that went away since.
    @Test func whatIsAsItWasIsNotAskedAgain() throws {
        let service = Self.applied(["192.0.2.1"], backends: [Self.ipv4])
        #expect(try issues(service, live: ["a": service], failure: EADDRNOTAVAIL).isEmpty)
    }
}

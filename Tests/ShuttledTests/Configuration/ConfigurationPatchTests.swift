// Owns what merging a patch comes to: what is left alone, reset, merged, created, removed; and what is refused, where.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct ConfigurationPatchTests {
    private static let web: ServiceConfiguration = {
        var web = ServiceConfiguration(
            name: "web", address: ":80",
            backends: [
                BackendConfiguration(name: "a", address: "10.0.0.1:80", checkAddress: "10.0.0.1:81", weight: 5),
                BackendConfiguration(name: "b", address: "10.0.0.2:80"),
            ],
            balance: .leastConnections
        )
        web.connectionsMax = 10
        web.queueLimit = 5
        web.keepalive.idleMilliseconds = 60_000
        web.sourceAddresses = ["10.0.0.7"]
        web.backends[1].passive = PassiveConfiguration.blank
        return web
    }()

    private func patched(_ text: String) throws(ConfigurationDecodingError) -> ServiceConfiguration {
        try ConfigurationPatch.apply(
            ConfigurationDecoder.document(parsing: Array(text.utf8)), to: ConfigurationPatchTests.web)
    }

    private func patchedBackend(_ text: String) throws(ConfigurationDecodingError) -> BackendConfiguration {
        try ConfigurationPatch.apply(
            ConfigurationDecoder.document(parsing: Array(text.utf8)), to: ConfigurationPatchTests.web.backends[0])
    }

    private func issues(_ text: String) throws -> [ConfigurationIssue] {
        try #require(throws: ConfigurationDecodingError.self) { try patched(text) }.issues
    }

    private func expect(
        _ text: String, sourceLocation: SourceLocation = #_sourceLocation,
        changes change: (inout ServiceConfiguration) -> Void
    ) throws {
        var expected = ConfigurationPatchTests.web
        change(&expected)
        #expect(try patched(text) == expected, sourceLocation: sourceLocation)
    }

    @Test func whatIsLeftOutStays() throws {
        try expect("{}") { _ in }
        try expect(#"{"fall": 7}"#) { $0.fall = 7 }
        try expect(#"{"name": "web", "active": 3, "sent": 5, "address": ":81"}"#) { $0.address = ":81" }
        try expect(#"{"source_address": ["10.0.0.8", "10.0.0.9"]}"#) { $0.sourceAddresses = ["10.0.0.8", "10.0.0.9"] }
    }

    @Test func nullIsTheDefault() throws {
        try expect(#"{"queue_limit": null, "max_connections": null}"#) {
            $0.queueLimit = 0
            $0.connectionsMax = 0
        }
        try expect(#"{"balance": null, "source_address": null, "backends": null}"#) {
            $0.balance = .roundRobin
            $0.sourceAddresses = []
            $0.backends = []
        }
        try expect(#"{"backends": {"b": {"passive": null}}}"#) { $0.backends[1].passive = nil }
        try expect(#"{"keepalive": null, "check": null}"#) { $0.keepalive = .blank }
    }

    @Test func objectsAreMerged() throws {
        try expect(#"{"keepalive": {"count": 3}}"#) { $0.keepalive.count = 3 }
        try expect(#"{"keepalive": {"idle": null}}"#) {
            $0.keepalive.idleMilliseconds = KeepaliveConfiguration.blank.idleMilliseconds
        }
        try expect(#"{"backends": {"a": {"passive": {"failures": 9}}}}"#) {
            $0.backends[0].passive = .blank
            $0.backends[0].passive?.failures = 9
        }
    }

    @Test func backendsAreReachedByName() throws {
        try expect(#"{"backends": {"b": {"weight": 3}}}"#) { $0.backends[1].weight = 3 }
        try expect(#"{"backends": {"a": null}}"#) { $0.backends.remove(at: 0) }
        try expect(#"{"backends": {"nobody": null}}"#) { _ in }
        try expect(#"{"backends": {"c": {"address": "10.0.0.3:80", "weight": 2}, "b": {"state": "drain"}}}"#) {
            $0.backends[1].state = .drain
            $0.backends.append(BackendConfiguration(name: "c", address: "10.0.0.3:80", weight: 2))
        }
        // In the order of the patch: gone and back at the end.
        try expect(#"{"backends": [{"name": "c", "address": "10.0.0.3:80"}]}"#) {
            $0.backends = [BackendConfiguration(name: "c", address: "10.0.0.3:80")]
        }
    }

    @Test func manyAreReachedByName() throws {
        var many = ConfigurationPatchTests.web
        let count = ConfigurationRanges.backendsPerService.upperBound
        many.backends = (0..<count).map { BackendConfiguration(name: "b\($0)", address: "10.0.0.1:\($0 + 1)") }
        let members = (0..<count).map { $0 % 2 == 0 ? #""b\#($0)": null"# : #""b\#($0)": {"weight": 7}"# }
        let text = "{\"backends\": {" + members.joined(separator: ", ") + "}}"
        let start = ContinuousClock.now
        let patched = try ConfigurationPatch.apply(
            ConfigurationDecoder.document(parsing: Array(text.utf8)), to: many)
        #expect(ContinuousClock.now - start < .seconds(5), "as many steps as there are backends, not their square")
        #expect(patched.backends.map(\.name) == stride(from: 1, to: count, by: 2).map { "b\($0)" })
        #expect(patched.backends.allSatisfy { $0.weight == 7 })
    }

    @Test func aBackendIsPatchedByItself() throws {
        var expected = ConfigurationPatchTests.web.backends[0]
        expected.weight = 0
        expected.checkAddress = ""
        #expect(try patchedBackend(#"{"weight": 0, "check_address": null, "up": true}"#) == expected)
    }

    /// The same patch again changes nothing more: whoever lost the answer may ask again.
    @Test(
        arguments: [
            #"{"backends": {"a": null, "c": {"address": "10.0.0.3:80"}}, "fall": 4}"#,
            #"{"keepalive": {"idle": null}}"#,
            #"{"backends": [], "balance": "HASH"}"#,
        ])
    func twiceIsOnce(text: String) throws {
        let once = try patched(text)
        let document = try ConfigurationDecoder.document(parsing: Array(text.utf8))
        #expect(try ConfigurationPatch.apply(document, to: once) == once)
    }

    // MARK: Refusals

    @Test func everythingThatIsWrongIsPointedTo() throws {
        #expect(
            try issues(#"{"wieght": null}"#).map(\.pointer) == ["/wieght"], "a typo is not passed over for its null")
        #expect(try issues(#"{"keepalive": {"idel": null}}"#).map(\.pointer) == ["/keepalive/idel"])
        #expect(try issues(#"{"address": null, "name": null}"#).map(\.pointer) == ["/address", "/name"])
        #expect(try issues(#"{"name": "other"}"#).map(\.pointer) == ["/name"])
        #expect(try issues(#"{"fall": "x", "rise": 0}"#).map(\.pointer) == ["/fall", "/rise"])
        #expect(try issues("[]").map(\.pointer) == [""])
        #expect(try issues("null").map(\.pointer) == [""])
    }

    /// A list is replaced as a whole, so `null` in it stands for nothing.
    @Test func nothingWithinAListIsMerged() throws {
        #expect(
            try issues(#"{"backends": [{"name": "c", "address": "10.0.0.3:80", "weight": null}]}"#).map(\.pointer)
                == ["/backends/0/weight"])
        #expect(try issues(#"{"fall": null, "routes": [{"service": null}]}"#).map(\.pointer) == ["/routes/0/service"])
        #expect(
            try issues(#"{"backends": [{"name": "c", "address": "10.0.0.3:80"}], "fall": null, "rise": "x"}"#)
                .map(\.pointer) == ["/rise"], "behind the list it is merged again")
    }

    @Test func pointersLeadToBackendsByTheirNames() throws {
        #expect(try issues(#"{"backends": {"b": {"weight": 999}}}"#).map(\.pointer) == ["/backends/b/weight"])
        #expect(try issues(#"{"backends": {"c": {"weight": 1}}}"#).map(\.pointer) == ["/backends/c/address"])
        #expect(try issues(#"{"backends": {"c": 5}}"#).map(\.pointer).first == "/backends/c")
        #expect(try issues(#"{"backends": {"a": {"name": "z"}}}"#).map(\.pointer) == ["/backends/a/name"])
        #expect(
            try issues(#"{"backends": {"a/b": {"address": "10.0.0.3:80"}}}"#).map(\.pointer) == ["/backends/a~1b/name"])
        #expect(try issues(#"{"backends": [{"name": "a", "address": "x"}]}"#).map(\.pointer) == ["/backends/0/address"])
    }

    /// What is right by itself may be wrong beside what stays.
    @Test func whatStaysCountsToo() throws {
        let found = try issues(#"{"max_connections": null}"#)
        #expect(found.count == 1 && found[0].detail.contains("max_connections"), "\(found)")
    }
}

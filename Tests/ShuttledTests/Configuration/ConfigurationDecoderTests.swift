// What documents mean as configurations: forms, defaults, names given by paths, statistics that are passed over.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct ConfigurationDecoderTests {
    private func services(_ text: String) throws -> [ServiceConfiguration] {
        try ConfigurationDecoder.services(parsing: Array(text.utf8))
    }

    private func service(_ text: String, named name: String? = nil) throws -> ServiceConfiguration {
        try ConfigurationDecoder.service(parsing: Array(text.utf8), named: name)
    }

    private func backend(_ text: String, named name: String? = nil) throws -> BackendConfiguration {
        try ConfigurationDecoder.backend(parsing: Array(text.utf8), named: name)
    }

    // MARK: Forms

    @Test func everyField() throws {
        #expect(try services(ConfigurationFixtures.everyField) == ConfigurationFixtures.everyFieldServices)
    }

    @Test func listOrObjectWithServices() throws {
        #expect(try services("[]").isEmpty)
        #expect(try services("{\"services\": []}").isEmpty)
        #expect(
            try services("{\"services\": \(ConfigurationFixtures.everyField)}")
                == ConfigurationFixtures.everyFieldServices
        )
    }

    /// Order in a document is kept: backends' order has a meaning, and sorting services is for printing.
    @Test func orderIsKept() throws {
        let read = try services(
            """
            [{"name": "z", "address": ":1", "backends": [{"name": "b", "address": "h:1"}, {"name": "a", "address": "h:2"}]},
             {"address": ":2", "name": "a"}]
            """
        )
        #expect(read.map(\.name) == ["z", "a"])
        #expect(read[0].backends.map(\.name) == ["b", "a"])
    }

    @Test func defaults() throws {
        #expect(
            try service("{\"name\": \"a\", \"address\": \":1\"}")
                == ServiceConfiguration(
                    name: "a", address: ":1", backends: [], balance: .roundRobin, checkIntervalMilliseconds: 2000,
                    fall: 2,
                    rise: 2, clientTimeoutMilliseconds: 0, serverTimeoutMilliseconds: 0,
                    connectTimeoutMilliseconds: 5000
                )
        )
        #expect(
            try backend("{\"name\": \"a\", \"address\": \"h:1\"}")
                == BackendConfiguration(name: "a", address: "h:1", checkAddress: "", weight: 1)
        )
    }

    /// Each integer field of the table ends up in the property it names.
    @Test func integerFields() throws {
        let read = try service(
            """
            {"name": "a", "address": ":1", "check_interval": 10, "fall": 11, "rise": 12, "client_timeout": 13,
             "server_timeout": 14, "connect_timeout": 15, "balance": "LC"}
            """
        )
        #expect(
            read
                == ServiceConfiguration(
                    name: "a", address: ":1", balance: .leastConnections, checkIntervalMilliseconds: 10, fall: 11,
                    rise: 12,
                    clientTimeoutMilliseconds: 13, serverTimeoutMilliseconds: 14, connectTimeoutMilliseconds: 15
                )
        )
    }

    @Test func passive() throws {
        let read = try service(
            """
            {"address": ":1", "passive": {"failures": 3}, "backends":
             [{"name": "b", "address": "h:1", "passive": {"window": 5, "down_time": 6}}, {"name": "c", "address": "h:1"}]}
            """,
            named: "a"
        )
        #expect(read.passive.failures == 3 && read.passive.windowMilliseconds == 10_000)
        #expect(read.passive.downTimeMilliseconds == 10_000)
        let own = try #require(read.backends[0].passive)
        // What it leaves out is the default, not the service's: it stands in place of that.
        #expect(own.failures == 5 && own.windowMilliseconds == 5 && own.downTimeMilliseconds == 6)
        #expect(read.backends[1].passive == nil)
        #expect(try service("{\"address\": \":1\"}", named: "a").passive.failures == 5)
    }

    @Test func addressesAreKeptAsWritten() throws {
        let read = try service(
            """
            {"name": "a", "address": "LocalHost:80", "backends":
             [{"name": "b", "address": "[2001:DB8:0::1]:80", "check_address": "EXAMPLE.com:81"}]}
            """
        )
        #expect(read.address == "LocalHost:80")
        #expect(read.backends[0].address == "[2001:DB8:0::1]:80")
        #expect(read.backends[0].checkAddress == "EXAMPLE.com:81")
    }

    @Test func escapedNamesAreTheSameFields() throws {
        #expect(try service("{\"n\\u0061me\": \"\\u0061\", \"address\": \":1\"}").name == "a")
    }

    // MARK: Names from paths

    @Test func nameFromThePath() throws {
        #expect(try service("{\"address\": \":1\"}", named: "web").name == "web")
        #expect(try service("{\"address\": \":1\", \"name\": \"web\"}", named: "web").name == "web")
        #expect(try backend("{\"address\": \"h:1\"}", named: "b1").name == "b1")
        #expect(try backend("{\"address\": \"h:1\", \"name\": \"b1\"}", named: "b1").name == "b1")
    }

    /// The path names the service, never its backends.
    @Test func pathDoesNotNameBackends() throws {
        let error = try #require(throws: ConfigurationDecodingError.self) {
            try service("{\"address\": \":1\", \"backends\": [{\"address\": \"h:1\"}]}", named: "web")
        }
        #expect(error.issues.map(\.pointer) == ["/backends/0/name"])
    }

    // MARK: Statistics

    @Test func statisticsArePassedOver() throws {
        let read = try services(
            """
            [{"name": "a", "address": ":1", "sent": 1, "received": 2, "errors": 3, "connections": 4, "active": 5,
              "backends": [{"name": "b", "address": "h:1", "check_address": "", "weight": 1, "up": true, "sent": 1,
               "received": 2, "errors": 3, "connections": 4, "active": 5, "check_success": 6, "check_fail": 7,
               "check_status": "fail", "check_reason": "no answer within 5000 ms", "check_last": "2025-11-26T00:00:00.000Z",
               "check_duration_microseconds": 8}]}]
            """
        )
        let expected = ServiceConfiguration(
            name: "a", address: ":1", backends: [BackendConfiguration(name: "b", address: "h:1")]
        )
        #expect(read == [expected])
    }

    /// They are not looked at, whatever they hold.
    @Test(arguments: ServiceStatisticsField.allCases)
    func statisticsMayHoldAnything(field: ServiceStatisticsField) throws {
        for value in ["null", "-1", "\"x\"", "[{}]", "{\"a\": 1}", "1e999"] {
            #expect(try service("{\"address\": \":1\", \"\(field.rawValue)\": \(value)}", named: "a").name == "a")
        }
    }

    @Test func statisticsAreKnownOnlyWhereTheyAre() throws {
        let error = try #require(throws: ConfigurationDecodingError.self) {
            try service("{\"address\": \":1\", \"up\": true, \"check_success\": 1}", named: "a")
        }
        #expect(error.issues.map(\.pointer) == ["/up", "/check_success"])
    }

    @Test func statisticsHideNoField() {
        #expect(
            ServiceConfiguration.statisticsNames == [
                "sent", "received", "errors", "connections", "active", "panics", "queued", "refused",
                "refused_per_client",
                "queue_timeouts", "queue_overflows", "denied", "refused_by_rate", "delayed", "delays",
                "bandwidth_holds", "retried", "preread_failures", "preread_timeouts", "routed", "draining", "ended",
                "datagrams_sent", "datagrams_received",
                "datagrams_dropped", "datagrams_limited", "datagrams_refused", "evicted",
            ]
        )
        #expect(
            BackendConfiguration.statisticsNames == [
                "up", "sent", "received", "errors", "connections", "active", "check_success", "check_fail", "ejected",
                "ejections", "last_failure", "retried", "slow_start_percent", "draining", "ended", "resolved_address",
                "resolve_error", "resolve_time",
                "targets", "check_status", "check_reason", "check_duration_microseconds", "check_last",
            ]
        )
        #expect(ServiceConfiguration.statisticsNames.isDisjoint(with: ServiceConfiguration.fields.map(\.name)))
        #expect(BackendConfiguration.statisticsNames.isDisjoint(with: BackendConfiguration.fields.map(\.name)))
    }
}

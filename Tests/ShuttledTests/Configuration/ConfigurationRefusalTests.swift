// What is wrong with documents that are no configurations: every issue, its pointer, its words, its line.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct ConfigurationRefusalTests {
    private func refusal(ofServices text: String) throws -> ConfigurationDecodingError {
        try #require(throws: ConfigurationDecodingError.self) {
            try ConfigurationDecoder.services(parsing: Array(text.utf8))
        }
    }

    private func refusal(ofService text: String, named name: String? = "web") throws -> ConfigurationDecodingError {
        try #require(throws: ConfigurationDecodingError.self) {
            try ConfigurationDecoder.service(parsing: Array(text.utf8), named: name)
        }
    }

    private func refusal(ofBackend text: String, named name: String? = "b1") throws -> ConfigurationDecodingError {
        try #require(throws: ConfigurationDecodingError.self) {
            try ConfigurationDecoder.backend(parsing: Array(text.utf8), named: name)
        }
    }

    private func issue(_ pointer: String, _ detail: String) -> ConfigurationIssue {
        ConfigurationIssue(pointer: pointer, detail: detail)
    }

    // MARK: Fields

    private static let milliseconds = "an integer from 0 to 86400000 (milliseconds)"
    private static let names = "a string of 1 to 128 characters out of A-Z a-z 0-9 _ . : -"
    private static let listen =
        "a string such as \"127.0.0.1:8080\", \"[::1]:8080\", \":8080\" or \"unix:/run/app.sock\", "
        + "or \"\" for a pool"
    private static let check =
        "a string such as \"10.0.0.1:8080\", \"[fd00::1]:8080\" or \"unix:/run/app.sock\""
    private static let connect =
        "a string such as \"10.0.0.1:8080\", \"[fd00::1]:8080\", \"unix:/run/app.sock\" or "
        + "\"srv:_redis._tcp.example.org\""

    /// Field, value, the whole message.
    static let serviceFields: [(String, String, String)] = [
        ("name", "5", "\"name\" is 5; it must be \(names)"),
        ("name", "null", "\"name\" is null; it must be \(names)"),
        ("name", "[\"web\"]", "\"name\" is a list; it must be \(names)"),
        ("address", "80", "\"address\" is 80; it must be \(listen)"),
        ("address", "null", "\"address\" is null; it must be \(listen)"),
        ("address", "true", "\"address\" is true; it must be \(listen)"),
        (
            "address", "\"localhost\"",
            "\"address\" is \"localhost\"; it has no port; write host:port, such as \"localhost:8080\""
        ),
        (
            "balance", "\"rr\"",
            "\"balance\" is the string \"rr\"; it must be \"RR\", \"LC\", \"P2C\", \"RANDOM\" or \"HASH\""
        ),
        ("balance", "1", "\"balance\" is 1; it must be \"RR\", \"LC\", \"P2C\", \"RANDOM\" or \"HASH\""),
        (
            "balance", "null",
            "\"balance\" is null; leave it out for the default, or make it \"RR\", \"LC\", \"P2C\", \"RANDOM\" or \"HASH\""
        ),
        ("check_interval", "-1", "\"check_interval\" is -1; it must be \(milliseconds)"),
        ("check_interval", "86400001", "\"check_interval\" is 86400001; it must be \(milliseconds)"),
        ("check_interval", "1.5", "\"check_interval\" is 1.5; it must be \(milliseconds)"),
        ("check_interval", "5.0", "\"check_interval\" is 5.0; it must be \(milliseconds)"),
        ("check_interval", "5e0", "\"check_interval\" is 5e0; it must be \(milliseconds)"),
        (
            "check_interval", "1000000000000000000000000000000",
            "\"check_interval\" is 1000000000000000000000000000000; it must be \(milliseconds)"
        ),
        (
            "check_interval", "\"2000\"",
            "\"check_interval\" is the string \"2000\"; it must be \(milliseconds), without quotes"
        ),
        ("check_interval", "\"2s\"", "\"check_interval\" is the string \"2s\"; it must be \(milliseconds)"),
        ("check_interval", "true", "\"check_interval\" is true; it must be \(milliseconds)"),
        (
            "check_interval", "null",
            "\"check_interval\" is null; leave it out for the default, or make it \(milliseconds)"
        ),
        ("fall", "0", "\"fall\" is 0; it must be an integer from 1 to 1000"),
        ("rise", "1001", "\"rise\" is 1001; it must be an integer from 1 to 1000"),
        ("client_timeout", "{}", "\"client_timeout\" is an object; it must be \(milliseconds)"),
        ("server_timeout", "[]", "\"server_timeout\" is a list; it must be \(milliseconds)"),
        ("connect_timeout", "0", "\"connect_timeout\" is 0; it must be an integer from 1 to 3600000 (milliseconds)"),
        ("retries", "8", "\"retries\" is 8; it must be an integer from 0 to 7"),
        (
            "retry_timeout", "-1", "\"retry_timeout\" is -1; it must be an integer from 0 to 3600000 (milliseconds)"
        ),
        ("passive", "5", "\"passive\" is 5; it must be an object with the fields failures, window and down_time"),
        (
            "passive", "null",
            "\"passive\" is null; leave it out for the default, or make it an object with the fields failures, window "
                + "and down_time"
        ),
        ("backends", "{}", "\"backends\" is an object; it must be a list of backends"),
        ("backends", "\"b\"", "\"backends\" is the string \"b\"; it must be a list of backends"),
        ("backends", "null", "\"backends\" is null; leave it out for the default, or make it a list of backends"),
    ]

    @Test(arguments: serviceFields)
    func serviceField(name: String, value: String, detail: String) throws {
        let address = name == "address" ? "" : ", \"address\": \":1\""
        let body = "{\"\(name)\": \(value)\(address)}"
        #expect(try refusal(ofService: body).issues == [issue("/\(name)", detail)])
        let pathless = name == "name" ? body : "{\"name\": \"web\", " + body.dropFirst()
        #expect(try refusal(ofServices: "[\(pathless)]").issues == [issue("/0/\(name)", detail)])
        #expect(
            try refusal(ofServices: "{\"services\": [\(pathless)]}").issues == [issue("/services/0/\(name)", detail)]
        )
    }

    static let backendFields: [(String, String, String)] = [
        ("name", "false", "\"name\" is false; it must be \(names)"),
        ("address", "8080", "\"address\" is 8080; it must be \(connect)"),
        (
            "address", "\"\"",
            "\"address\" is empty; a backend needs an address to connect to, such as \"10.0.0.1:8080\""
        ),
        (
            "address", "\":8080\"",
            "\"address\" is \":8080\", which has no host to connect to; put one before the colon, "
                + "such as \"127.0.0.1:8080\""
        ),
        ("check_address", "1", "\"check_address\" is 1; it must be \(check), or \"\" for none"),
        (
            "check_address", "null",
            "\"check_address\" is null; leave it out for the default, or make it \(check), or \"\" for none"
        ),
        (
            "check_address", "\"h:70000\"",
            "\"check_address\" is \"h:70000\"; its port is out of range; choose one from 1 to 65535"
        ),
        ("weight", "300", "\"weight\" is 300; it must be an integer from 0 to 256"),
        ("weight", "0.5", "\"weight\" is 0.5; it must be an integer from 0 to 256"),
        ("weight", "\"1\"", "\"weight\" is the string \"1\"; it must be an integer from 0 to 256, without quotes"),
    ]

    @Test(arguments: backendFields)
    func backendField(name: String, value: String, detail: String) throws {
        let address = name == "address" ? "" : ", \"address\": \"h:1\""
        let body = "{\"\(name)\": \(value)\(address)}"
        #expect(try refusal(ofBackend: body).issues == [issue("/\(name)", detail)])
        let pathless = name == "name" ? body : "{\"name\": \"b1\", " + body.dropFirst()
        #expect(
            try refusal(
                ofService:
                    "{\"address\": \":1\", \"backends\": [{\"name\": \"ok\", \"address\": \"h:1\"}, \(pathless)]}"
            )
            .issues == [issue("/backends/1/\(name)", detail)]
        )
    }

    @Test func insidePassive() throws {
        let error = try refusal(
            ofService: """
                {"address": ":1", "passive": {"failures": -1, "window": 0, "down_time": 86400001, "downtime": 1},
                 "backends": [{"name": "b", "address": "h:1", "passive": {"failures": "5"}}]}
                """
        )
        #expect(
            error.issues == [
                issue("/passive/failures", "\"failures\" is -1; it must be an integer from 0 to 1000000"),
                issue("/passive/window", "\"window\" is 0; it must be an integer from 1 to 86400000 (milliseconds)"),
                issue(
                    "/passive/down_time",
                    "\"down_time\" is 86400001; it must be an integer from 1 to 86400000 (milliseconds)"
                ),
                issue(
                    "/passive/downtime",
                    "\"downtime\" is not a field of a passive object; did you mean \"down_time\"?"
                ),
                issue(
                    "/backends/0/passive/failures",
                    "\"failures\" is the string \"5\"; it must be an integer from 0 to 1000000, without quotes"
                ),
            ]
        )
    }

    @Test func missingFields() throws {
        let address = "\"address\" is missing; a service needs one: \(Self.listen)"
        let name = "\"name\" is missing; a service needs one: \(Self.names)"
        #expect(try refusal(ofService: "{}").issues == [issue("/address", address)])
        #expect(try refusal(ofService: "{}", named: nil).issues == [issue("/name", name), issue("/address", address)])
        #expect(try refusal(ofServices: "[{}]").issues == [issue("/0/name", name), issue("/0/address", address)])
        #expect(
            try refusal(ofBackend: "{}").issues == [
                issue("/address", "\"address\" is missing; a backend needs one: \(Self.connect)")
            ]
        )
    }

    @Test func nameOtherThanThePaths() throws {
        #expect(
            try refusal(ofService: "{\"name\": \"wep\", \"address\": \":1\"}").issues == [
                issue("/name", "\"name\" is \"wep\", but the path says \"web\"; leave it out, or make both the same")
            ]
        )
        #expect(
            try refusal(ofBackend: "{\"name\": \"b2\", \"address\": \"h:1\"}").issues == [
                issue("/name", "\"name\" is \"b2\", but the path says \"b1\"; leave it out, or make both the same")
            ]
        )
    }

    /// A bad name in the path is as bad as one in the document.
    @Test func badNameInThePath() throws {
        let error = try refusal(ofService: "{\"address\": \":1\"}", named: "config")
        #expect(error.issues.map(\.pointer) == ["/name"])
        #expect(error.issues[0].detail.contains("reserved"))
        #expect(try refusal(ofBackend: "{\"address\": \"h:1\"}", named: "a b").issues.map(\.pointer) == ["/name"])
    }

    // MARK: Unknown fields

    @Test func unknownFields() throws {
        let error = try refusal(
            ofService: """
                {"address": ":1", "checkInterval": 5, "weight": 5, "zeppelin": 5, "a/b~": 5,
                 "backends": [{"name": "b", "address": "h:1", "Weight": 5, "rise": 5, "zeppelin": true}]}
                """
        )
        let service =
            "the \(ServiceConfiguration.fields.count) that docs/configuration.md lists (a configuration shows those in use)"
        let backend = BackendConfiguration.fields.map(\.name).joined(separator: ", ")
        #expect(
            error.issues == [
                issue(
                    "/checkInterval", "\"checkInterval\" is not a field of a service; did you mean \"check_interval\"?"),
                issue("/weight", "\"weight\" is not a field of a service but of a backend; move it there"),
                issue(
                    "/zeppelin",
                    "\"zeppelin\" is not a field of a service; remove it, or use one of \(service)"
                ),
                issue("/a~1b~0", "\"a/b~\" is not a field of a service; remove it, or use one of \(service)"),
                issue("/backends/0/Weight", "\"Weight\" is not a field of a backend; did you mean \"weight\"?"),
                issue("/backends/0/rise", "\"rise\" is not a field of a backend but of a service; move it there"),
                issue(
                    "/backends/0/zeppelin",
                    "\"zeppelin\" is not a field of a backend; remove it, or use one of \(backend)"
                ),
            ]
        )
    }

    /// Capabilities that are not built: dropping their fields silently would be a limit that does not hold.
    static let fieldsToCome = [
        "network", "max_connections", "queue_limit", "queue_timeout", "retries", "half_close_timeout", "max_lifetime",
        "drain_timeout", "max_lifetime_jitter", "keepalive", "user_timeout", "check", "passive",
        "proxy_protocol_accept",
        "proxy_protocol_send", "allow", "deny", "routes", "maintenance", "source_address", "half_close",
        "max_connections_per_client", "rate_limit", "bandwidth_limit", "service_bandwidth_limit", "preread_timeout",
        "preread_limit", "udp_idle_timeout", "udp_max_sessions", "udp_responses", "udp_requests",
    ].filter { name in !ServiceConfiguration.fields.contains { $0.name == name } }

    @Test(arguments: fieldsToCome)
    func fieldsOfLaterVersions(name: String) throws {
        for value in ["null", "1", "{}"] {
            let error = try refusal(ofService: "{\"address\": \":1\", \"\(name)\": \(value)}")
            #expect(error.issues.map(\.pointer) == ["/\(name)"])
            #expect(error.issues[0].detail.contains("is not a field of a service"))
        }
    }

    // MARK: Documents

    @Test func documentsOfTheWrongForm() throws {
        let rule = "it must be a list of services, or an object whose one field \"services\" is that list"
        let cases: [(String, [ConfigurationIssue])] = [
            ("null", [issue("", "the configuration is null; \(rule)")]),
            ("\"[]\"", [issue("", "the configuration is the string \"[]\"; \(rule)")]),
            ("{}", [issue("", "the configuration is an object without \"services\"; \(rule)")]),
            // A single service, put where the whole configuration belongs.
            (
                "{\"name\": \"a\", \"address\": \":1\"}",
                [issue("", "the configuration is an object without \"services\"; \(rule)")]
            ),
            (
                "{\"Services\": []}",
                [issue("/Services", "\"Services\" is not a field of a configuration; did you mean \"services\"?")]
            ),
            ("{\"services\": {}}", [issue("/services", "\"services\" is an object; it must be a list of services")]),
            ("{\"services\": null}", [issue("/services", "\"services\" is null; it must be a list of services")]),
            (
                "{\"services\": [], \"version\": 1, \"service\": []}",
                [
                    issue(
                        "/version", "\"version\" is not a field of a configuration; remove it, only \"services\" is one"
                    ),
                    issue("/service", "\"service\" is not a field of a configuration; did you mean \"services\"?"),
                ]
            ),
            (
                "[null, 5, [], {\"name\": \"a\", \"address\": \":1\", \"backends\": [\"b\"]}]",
                [
                    issue("/0", "this service is null; it must be an object"),
                    issue("/1", "this service is 5; it must be an object"),
                    issue("/2", "this service is a list; it must be an object"),
                    issue("/3/backends/0", "this backend is the string \"b\"; it must be an object"),
                ]
            ),
        ]
        for (text, issues) in cases {
            let error = try refusal(ofServices: text)
            #expect(error.kind == .invalid)
            #expect(error.issues == issues, "\(text)")
        }
        #expect(try refusal(ofService: "[]").issues == [issue("", "this service is a list; it must be an object")])
        #expect(try refusal(ofBackend: "7").issues == [issue("", "this backend is 7; it must be an object")])
    }

    @Test func textThatIsNotJSON() throws {
        let error = try refusal(ofServices: "[\n  {\"name\": \"a\",\n   \"fall\": 02}\n]")
        #expect(error.kind == .malformed)
        #expect(error.issues.map(\.pointer) == ["/0/fall"])
        #expect(error.problems[0].position.description == "line 3, column 12")
        #expect(error.description == "line 3, column 12, at \"/0/fall\": a number starts with a needless 0; remove it")
        #expect(try refusal(ofService: "").kind == .malformed)
        #expect(try refusal(ofBackend: "{\"weight\": 1, \"weight\": 1}").issues.map(\.pointer) == ["/weight"])
    }

    @Test func pointerOfTheList() throws {
        for (text, pointer) in [("[]", ""), ("{\"services\": []}", "/services"), ("{}", "/services"), ("1", "")] {
            let document = try JSONDocument(parsing: Array(text.utf8))
            #expect(ConfigurationDecoder.servicesPointer(in: document) == pointer)
        }
    }

    // MARK: Collecting

    @Test func everythingInDocumentOrder() throws {
        let error = try refusal(
            ofServices: """
                [
                  {
                    "backends": [
                      {"weight": 300, "name": "b"},
                      {"address": "h:1", "nmae": "c"}
                    ],
                    "fall": 0,
                    "balance": "??",
                    "name": "a",
                    "address": ":80"
                  },
                  7,
                  {
                    "address": ":80",
                    "name": "a",
                    "rise": "x"
                  }
                ]
                """
        )
        #expect(
            error.problems.map { "\($0.position.line) \($0.issue.pointer)" } == [
                "4 /0/backends/0/address", "4 /0/backends/0/weight", "5 /0/backends/1/name", "5 /0/backends/1/nmae",
                "7 /0/fall", "8 /0/balance", "9 /0/name", "10 /0/address", "12 /1", "14 /2/address", "15 /2/name",
                "16 /2/rise",
            ]
        )
        #expect(error.description.split(separator: "\n").count == 12)
        #expect(error.description.contains("line 7, column 5, at \"/0/fall\": \"fall\" is 0; it must be"))
        #expect(!error.isTruncated)
    }

    /// A value that could not be read is reported once, and neither its default nor its absence a second time.
    @Test func oneIssueForOneField() throws {
        let error = try refusal(ofServices: "[{\"name\": 1, \"address\": 2}, {\"name\": 3, \"address\": 4}]")
        #expect(error.issues.map(\.pointer) == ["/0/name", "/0/address", "/1/name", "/1/address"])
        #expect(error.issues.allSatisfy { $0.detail.contains("it must be a string") })
    }

    @Test func tooManyEntries() throws {
        let services = Array(repeating: "{}", count: 16_385).joined(separator: ",")
        #expect(
            try refusal(ofServices: "[\(services)]").issues == [
                issue("", "the list has 16385 services; it may have 16384 at most")
            ]
        )
        let backends = Array(repeating: "{}", count: 4097).joined(separator: ",")
        #expect(
            try refusal(ofService: "{\"address\": \":1\", \"backends\": [\(backends)]}").issues == [
                issue("/backends", "the list has 4097 backends; it may have 4096 at most")
            ]
        )
    }

    @Test func stopsAtItsBound() throws {
        let services = Array(repeating: "{\"a\":1,\"b\":2,\"c\":3}", count: 2000).joined(separator: ",\n")
        let error = try refusal(ofServices: "[\(services)]")
        #expect(error.isTruncated)
        #expect(error.issues.count == ConfigurationIssue.countMax)
        #expect(error.problems.last?.position.line == 200)
        #expect(error.description.hasSuffix("only the first 1000 problems are listed"))
    }

    /// Issues from elsewhere, such as a name that does not resolve, get their lines in the same way.
    @Test func issuesFromElsewhere() throws {
        let document = try JSONDocument(parsing: Array("[\n{\n\"address\": \"a:1\"},\n{\"address\": \"a:1\"}]".utf8))
        let uses = (0..<2).map {
            ConfigurationIssue.AddressUse(pointer: "/\($0)/address", service: "s\($0)", address: "a:1")
        }
        let error = ConfigurationDecodingError(
            ConfigurationIssue.sharedAddresses(uses[1], uses[0]), in: document
        )
        #expect(error.problems.map(\.position.line) == [3, 4])
        #expect(error.issues.map(\.pointer) == ["/0/address", "/1/address"])
    }

    /// Hostile values are cut short in messages.
    @Test func messagesAreShort() throws {
        let long = String(repeating: "9", count: 100_000)
        for value in [long, "\"\(long)\"", "\"\\u001b[2J\\n\""] {
            for field in ["name", "address", "balance", "fall", "backends"] {
                let error = try refusal(
                    ofService: "{\"address\": \":1\", \"\(field)\": \(value)}".replacingFirst(field))
                #expect(error.description.utf8.count < 600)
                #expect(!error.description.utf8.contains { $0 < 0x20 })
            }
        }
    }
}

extension String {
    /// Without the address that the field itself brings.
    fileprivate func replacingFirst(_ field: String) -> String {
        field == "address" ? "{" + dropFirst("{\"address\": \":1\", ".count) : self
    }
}

// What the validator finds, where it says it is, and in which words.

import ShuttleEngine
import Testing

@Suite struct ConfigurationValidatorTests {
    private let service = ConfigurationFixtures.service(
        "web", "127.0.0.1:80", backends: [ConfigurationFixtures.backend("a"), ConfigurationFixtures.backend("b")]
    )

    private func issue(_ pointer: String, _ detail: String) -> ConfigurationIssue {
        ConfigurationIssue(pointer: pointer, detail: detail)
    }

    // MARK: Names

    static let wellFormedNames = ["a", "Z9", "_x", "a.b", "...", "a:b-c", "-", String(repeating: "n", count: 128)]
    static let malformedNames = [
        "a b", "a/b", "é", "a\u{0}", "a\n", "%41", "a,b", String(repeating: "n", count: 129), "日本",
    ]

    @Test(arguments: wellFormedNames)
    func acceptsName(name: String) {
        var service = service
        service.name = name
        service.backends[0].name = name
        #expect(ConfigurationValidator.issues(in: service).isEmpty)
    }

    @Test(arguments: malformedNames)
    func refusesName(name: String) {
        var service = service
        service.name = name
        service.backends[1].name = name
        let detail = "\"name\" is \(Quoted(name)); it must be 1 to 128 characters out of A-Z a-z 0-9 _ . : -"
        #expect(
            ConfigurationValidator.issues(in: service) == [issue("/name", detail), issue("/backends/1/name", detail)]
        )
    }

    @Test func refusesEmptyName() {
        var service = service
        service.name = ""
        #expect(
            ConfigurationValidator.issues(in: service) == [
                issue("/name", "\"name\" is empty; it must be 1 to 128 characters out of A-Z a-z 0-9 _ . : -")
            ]
        )
    }

    @Test(arguments: [".", ".."])
    func refusesDots(name: String) {
        var service = service
        service.name = name
        service.backends[0].name = name
        let detail = "\"name\" is \"\(name)\", which means something else in a URL; choose another name"
        #expect(
            ConfigurationValidator.issues(in: service) == [issue("/name", detail), issue("/backends/0/name", detail)]
        )
    }

    @Test(arguments: [
        "config", "_config", "_stats", "v1", "metrics", "livez", "readyz", "healthz", "dashboard", "openapi.json",
    ])
    func refusesReservedNamesForServicesOnly(name: String) {
        var service = service
        service.name = name
        service.backends[0].name = name
        #expect(
            ConfigurationValidator.issues(in: service) == [
                issue(
                    "/name",
                    "\"name\" is \"\(name)\", which is reserved for a route of the admin API; choose another name"
                )
            ]
        )
    }

    @Test func reservedNamesAreExact() {
        #expect(ConfigurationNames.reservedForRoutes.count == 10)
        var service = service
        service.name = "Config"
        #expect(ConfigurationValidator.issues(in: service).isEmpty)
    }

    // MARK: Ranges

    /// Field, its range, and the unit in the message.
    static let integerFields: [(String, ClosedRange<Int>, String)] = [
        ("check_interval", 0...86_400_000, " (milliseconds)"),
        ("fall", 1...1000, ""),
        ("rise", 1...1000, ""),
        ("client_timeout", 0...86_400_000, " (milliseconds)"),
        ("server_timeout", 0...86_400_000, " (milliseconds)"),
        ("connect_timeout", 1...3_600_000, " (milliseconds)"),
        ("retries", 0...7, ""),
        ("retry_timeout", 0...3_600_000, " (milliseconds)"),
        ("resolve_interval", 0...86_400_000, " (milliseconds)"),
    ]

    @Test(arguments: [(0, true), (1, false), (999, false), (1000, true)])
    func namesAreNotAskedForTooOften(value: Int, isValid: Bool) {
        var service = service
        service.resolveIntervalMilliseconds = value
        let issues = ConfigurationValidator.issues(in: service)
        #expect(issues.map(\.pointer) == (isValid ? [] : ["/resolve_interval"]))
        #expect(issues.allSatisfy { $0.detail.contains("\"resolve_interval\" is \(value)") })
    }

    @Test(arguments: integerFields)
    func ranges(name: String, range: ClosedRange<Int>, unit: String) throws {
        let field = try #require(ServiceConfiguration.fields.first { $0.name == name })
        for value in [range.lowerBound, range.upperBound, range.lowerBound - 1, range.upperBound + 1, .min, .max] {
            var service = service
            switch field.kind {
            case .integer(let path, _), .milliseconds(let path, _): service[keyPath: path] = value
            default: Issue.record("\(name) is not a number")
            }
            let bounds = "from \(range.lowerBound) to \(range.upperBound)"
            let expected =
                range.contains(value)
                ? [] : [issue("/\(name)", "\"\(name)\" is \(value); it must be an integer \(bounds)\(unit)")]
            #expect(ConfigurationValidator.issues(in: service) == expected)
        }
    }

    @Test(arguments: [(-1, false), (0, true), (1, true), (256, true), (257, false), (300, false)])
    func weights(value: Int, isValid: Bool) {
        var backend = service.backends[0]
        backend.weight = value
        let expected =
            isValid ? [] : [issue("/weight", "\"weight\" is \(value); it must be an integer from 0 to 256")]
        #expect(ConfigurationValidator.issues(in: backend) == expected)
    }

    @Test(arguments: [(-1, false), (0, true), (1_000_000_000, true), (1_000_000_001, false)])
    func limits(value: Int, isValid: Bool) {
        var backend = service.backends[0]
        backend.connectionsMax = value
        let detail = "\"max_connections\" is \(value); it must be an integer from 0 to 1000000000"
        let expected = isValid ? [] : [issue("/max_connections", detail)]
        #expect(ConfigurationValidator.issues(in: backend) == expected)
    }

    // MARK: Addresses

    @Test func serviceAddresses() {
        var service = service
        for address in ["127.0.0.1:80", "[::1]:80", ":80", "host.example:1"] {
            service.address = address
            #expect(ConfigurationValidator.issues(in: service).isEmpty)
        }
        // A pool, and two of them.
        service.address = ""
        #expect(ConfigurationValidator.issues(in: service).isEmpty)
        var other = service
        other.name = "other"
        #expect(ConfigurationValidator.issues(in: [service, other]).isEmpty)
        service.address = "localhost"
        #expect(
            ConfigurationValidator.issues(in: service) == [
                issue(
                    "/address",
                    "\"address\" is \"localhost\"; it has no port; write host:port, such as \"localhost:8080\""
                )
            ]
        )
        service.address = "unix:web.sock"
        #expect(ConfigurationValidator.issues(in: service).map(\.pointer) == ["/address"])
        #expect(
            ConfigurationValidator.issues(in: service)[0].detail.hasPrefix(
                "\"address\" is \"unix:web.sock\"; the path of a unix socket must start with /"
            )
        )
        service.address = "unix:/run/web.sock"
        #expect(ConfigurationValidator.issues(in: service).isEmpty)
        service.address = "127.0.0.1:0"
        #expect(ConfigurationValidator.issues(in: service).map(\.pointer) == ["/address"])
    }

    @Test func backendAddresses() {
        var backend = service.backends[0]
        backend.address = ":8080"
        backend.checkAddress = ":8081"
        #expect(
            ConfigurationValidator.issues(in: backend, prefix: "/3/backends/1") == [
                issue(
                    "/3/backends/1/address",
                    "\"address\" is \":8080\", which has no host to connect to; put one before the colon, "
                        + "such as \"127.0.0.1:8080\""
                ),
                issue(
                    "/3/backends/1/check_address",
                    "\"check_address\" is \":8081\", which has no host to connect to; put one before the colon, "
                        + "such as \"127.0.0.1:8081\""
                ),
            ]
        )
        backend.address = ""
        backend.checkAddress = ""
        #expect(
            ConfigurationValidator.issues(in: backend) == [
                issue(
                    "/address",
                    "\"address\" is empty; a backend needs an address to connect to, such as \"10.0.0.1:8080\""
                )
            ]
        )
        backend.address = "a:1"
        backend.checkAddress = "a:x"
        #expect(ConfigurationValidator.issues(in: backend).map(\.pointer) == ["/check_address"])
        backend.checkAddress = "[::1]:1"
        #expect(ConfigurationValidator.issues(in: backend).isEmpty)
    }

    // MARK: Uniqueness

    @Test func repeatedServiceNames() {
        let services = [
            ConfigurationFixtures.service("a", ":1"), ConfigurationFixtures.service("b", ":2"),
            ConfigurationFixtures.service("a", ":3"), ConfigurationFixtures.service("a", ":4"),
        ]
        let remedy = "give each service a name of its own"
        #expect(
            ConfigurationValidator.issues(in: services) == [
                issue("/0/name", "\"name\" is \"a\", as is that at /2/name; \(remedy)"),
                issue("/2/name", "\"name\" is \"a\", as is that at /0/name; \(remedy)"),
                issue("/3/name", "\"name\" is \"a\", as is that at /0/name; \(remedy)"),
            ]
        )
    }

    @Test func repeatedBackendNames() {
        var services = [service, ConfigurationFixtures.service("other", ":1", backends: service.backends)]
        #expect(ConfigurationValidator.issues(in: services).isEmpty, "names are per service")
        services[1].backends[1].name = "a"
        let remedy = "give each backend a name of its own"
        #expect(
            ConfigurationValidator.issues(in: services, prefix: "/services") == [
                issue(
                    "/services/1/backends/0/name",
                    "\"name\" is \"a\", as is that at /services/1/backends/1/name; \(remedy)"
                ),
                issue(
                    "/services/1/backends/1/name",
                    "\"name\" is \"a\", as is that at /services/1/backends/0/name; \(remedy)"
                ),
            ]
        )
    }

    @Test func malformedNamesAreNotCalledRepeated() {
        let services = [ConfigurationFixtures.service("a b", ":1"), ConfigurationFixtures.service("a b", ":2")]
        let details = ConfigurationValidator.issues(in: services).map(\.detail)
        #expect(details.count == 2)
        #expect(details.allSatisfy { $0.contains("it must be 1 to 128 characters") })
    }

    @Test func sharedAddresses() {
        let services = [
            ConfigurationFixtures.service("a", "LOCALHOST:80"), ConfigurationFixtures.service("b", ":80"),
            ConfigurationFixtures.service("c", "localhost:80"), ConfigurationFixtures.service("d", "[::1]:80"),
            ConfigurationFixtures.service("e", "[::1]:80"),
        ]
        let remedy = "give each service an address of its own"
        #expect(
            ConfigurationValidator.issues(in: services) == [
                issue(
                    "/0/address",
                    "\"address\" is \"LOCALHOST:80\", which service \"c\" listens on as well "
                        + "(/2/address, there written \"localhost:80\"); \(remedy)"
                ),
                issue(
                    "/2/address",
                    "\"address\" is \"localhost:80\", which service \"a\" listens on as well "
                        + "(/0/address, there written \"LOCALHOST:80\"); \(remedy)"
                ),
                issue(
                    "/3/address",
                    "\"address\" is \"[::1]:80\", which service \"e\" listens on as well (/4/address); \(remedy)"
                ),
                issue(
                    "/4/address",
                    "\"address\" is \"[::1]:80\", which service \"d\" listens on as well (/3/address); \(remedy)"
                ),
            ]
        )
    }

    @Test func unusableAddressesAreNotCalledShared() {
        let services = [ConfigurationFixtures.service("a", "x"), ConfigurationFixtures.service("b", "x")]
        let details = ConfigurationValidator.issues(in: services).map(\.detail)
        #expect(details.count == 2)
        #expect(details.allSatisfy { $0.contains("it has no port") })
    }

    @Test func pairOfSharedAddresses() {
        let first = ConfigurationIssue.AddressUse(pointer: "/0/address", service: "a", address: "localhost:80")
        let second = ConfigurationIssue.AddressUse(pointer: "/5/address", service: "b", address: "127.0.0.1:80")
        let pair = ConfigurationIssue.sharedAddresses(first, second)
        #expect(pair.map(\.pointer) == ["/0/address", "/5/address"])
        #expect(pair[0].detail.contains("\"localhost:80\"") && pair[0].detail.contains("\"b\""))
        #expect(pair[0].detail.contains("/5/address, there written \"127.0.0.1:80\""))
        #expect(pair[1].detail.contains("\"a\"") && pair[1].detail.contains("/0/address"))
    }

    @Test func backendsMayShareAddresses() {
        #expect(ConfigurationValidator.issues(in: service).isEmpty)
        #expect(service.backends[0].address == service.backends[1].address)
    }

    // MARK: Collecting

    @Test func everythingInOrder() {
        var service = service
        service.name = "."
        service.address = "x"
        service.fall = 0
        service.connectTimeoutMilliseconds = 0
        service.backends[0].weight = -1
        service.backends[1].name = ""
        service.backends[1].address = "x"
        #expect(
            ConfigurationValidator.issues(in: service, prefix: "/0").map(\.pointer) == [
                "/0/name", "/0/address", "/0/fall", "/0/connect_timeout", "/0/backends/0/weight",
                "/0/backends/1/name", "/0/backends/1/address",
            ]
        )
    }

    @Test func passesOverWhatIsReported() {
        var bad = service
        bad.fall = 0
        bad.rise = 0
        bad.backends[0].weight = -1
        bad.backends[1].weight = -1
        func pointers(_ reported: Set<String>) -> [String] {
            ConfigurationValidator.issues(in: [bad, service], reported: reported).map(\.pointer)
        }
        let shared = ["/0/name", "/0/address", "/1/name", "/1/address"]
        #expect(pointers(Set(shared)) == ["/0/fall", "/0/rise", "/0/backends/0/weight", "/0/backends/1/weight"])
        #expect(pointers(Set(shared + ["/0/fall", "/0/backends/0"])) == ["/0/rise", "/0/backends/1/weight"])
        #expect(pointers(Set(shared + ["/0/backends"])) == ["/0/fall", "/0/rise"])
        #expect(pointers(["/0", "/1/name", "/1/address"]).isEmpty)
        #expect(pointers([""]).isEmpty)
    }

    @Test func counts() {
        let tooManyServices = Array(repeating: service, count: 16_385)
        #expect(
            ConfigurationValidator.issues(in: tooManyServices, prefix: "/services") == [
                issue("/services", "the list has 16385 services; it may have 16384 at most")
            ]
        )
        var service = service
        service.backends = Array(repeating: ConfigurationFixtures.backend("a"), count: 4097)
        #expect(
            ConfigurationValidator.issues(in: [service]) == [
                issue("/0/backends", "the list has 4097 backends; it may have 4096 at most")
            ]
        )
        service.backends = (0..<4096).map { ConfigurationFixtures.backend("b\($0)") }
        #expect(ConfigurationValidator.issues(in: service).isEmpty)
    }

    @Test func stopsAtItsBound() {
        var bad = service
        bad.backends = (0..<2000).map { BackendConfiguration(name: "b\($0)", address: "", weight: -1) }
        let issues = ConfigurationValidator.issues(in: bad)
        #expect(issues.count == ConfigurationIssue.countMax)
        #expect(issues.last?.pointer == "/backends/499/weight")
    }
}

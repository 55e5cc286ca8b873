// The description of the API against what it describes: the routes that are served, the fields that there are.

import Hummingbird
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct DescriptionTests {
    private static func document() throws -> JSONValue {
        try JSONDocument(
            parsing: APIDescription.bytes(version: "1", problemTypes: ["urn:x"], eventTypes: ["change"])
        ).root
    }

    /// The compiler asks for a line here when there is a new route; the test asks that it is described.
    private static func template(of route: AdminRoute) -> String {
        switch route {
        case .root: "/"
        case .statistics: "/_stats"
        case .dashboard: "/dashboard"
        case .dashboardPart: "/dashboard/{file}"
        case .whoami: "/v1/whoami"
        case .configuration: "/config"
        case .health(let probe): "/\(probe.rawValue)"
        case .description: "/openapi.json"
        case .rings: "/v1/rings"
        case .recentSessions: "/v1/recent"
        case .metrics: "/metrics"
        case .history: "/v1/history"
        case .historyEntry: "/v1/history/{id}"
        case .historyRestore: "/v1/history/{id}/restore"
        case .confirmations: "/v1/confirm"
        case .confirmation: "/v1/confirm/{id}"
        case .connections: "/v1/connections"
        case .connection: "/v1/connections/{id}"
        case .disconnects: "/v1/disconnects"
        case .disconnect: "/v1/disconnects/{id}"
        case .serviceConfiguration: "/v1/services/{service}"
        case .backendConfiguration: "/v1/services/{service}/backends/{backend}"
        case .events: "/v1/events"
        case .serviceWait: "/v1/services/{service}/wait"
        case .serviceExplanation: "/v1/services/{service}/explain"
        case .logLevels: "/v1/log-levels"
        case .service: "/{service}"
        case .backend: "/{service}/{backend}"
        }
    }

    @Test func everyPathIsARouteWithItsMethods() throws {
        var found: Set<String> = []
        for path in DescribedPaths.all {
            let concrete = path.template.replacing("{service}", with: "web").replacing("{backend}", with: "one")
                .replacing("{id}", with: "1").replacing("{file}", with: "main.js")
            let route = try AdminRoute(path: concrete[...])
            let template = Self.template(of: route)
            // Some have two names.
            #expect(template == path.template || ["/_config"].contains(path.template))
            found.insert(template)
            let methods = path.operations.map { $0.method.uppercased() } + ["HEAD"]
            #expect(Set(methods) == Set(route.methods.map(\.rawValue)).union(["HEAD"]), "\(path.template)")
            if route != .historyRestore("1") {
                #expect(route.methods.contains(.head), "\(path.template)")
            }
        }
        #expect(found.count == 31 - 1, "one for each case of the switch above, three for health")
    }

    @Test func operationsHaveNamesOfTheirOwn() {
        let names = DescribedPaths.all.flatMap(\.operations).map(\.id)
        #expect(Set(names).count == names.count)
    }

    @Test func everyReferenceLeadsSomewhere() throws {
        let document = try Self.document()
        var count = 0
        func visit(_ value: JSONValue) {
            if let reference = value.member("$ref")?.string {
                count += 1
                var target: JSONValue? = document
                for part in reference.dropFirst(2).split(separator: "/") { target = target?.member(String(part)) }
                #expect(reference.hasPrefix("#/") && target != nil, "\(reference)")
            }
            value.children.forEach(visit)
        }
        visit(document)
        #expect(count > 100)
    }

    @Test func everyFieldHasANoteAndNoNoteIsStray() {
        func check<Object: NotedObject>(_: Object.Type) {
            #expect(Set(Object.notes.keys) == Set(Object.fields.map(\.name)), "\(Object.objectName)")
            #expect(Object.notes.values.allSatisfy { $0.hasSuffix(".") && $0.count > 8 })
        }
        check(ServiceConfiguration.self)
        check(BackendConfiguration.self)
        check(PassiveConfiguration.self)
        check(KeepaliveConfiguration.self)
        check(RateLimitConfiguration.self)
        check(AccessLogConfiguration.self)
        check(BandwidthConfiguration.self)
        check(RouteConfiguration.self)
        check(CheckConfiguration.self)
    }

    @Test func rangesAndDefaultsAreThoseOfTheTables() throws {
        let schemas = try #require(try Self.document().member("components")?.member("schemas"))
        let weight = try #require(schemas.member("NewBackend")?.member("properties")?.member("weight"))
        #expect(weight.member("maximum")?.integer == 256 && weight.member("default")?.integer == 1)
        let balance = try #require(schemas.member("Service")?.member("properties")?.member("balance"))
        #expect(balance.member("enum")?.children.compactMap(\.string) == ["RR", "LC", "P2C", "RANDOM", "HASH"])
        #expect(schemas.member("NewService")?.member("required")?.children.compactMap(\.string) == ["name", "address"])
        #expect(schemas.member("NamedService")?.member("required")?.children.compactMap(\.string) == ["address"])
        #expect(schemas.member("ServicePatch")?.member("required") == nil)
    }
}

// What a configuration is after a change, what is refused, and where issues point.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct NextConfigurationTests {
    private let live = [
        ControlTesting.service("db", ":5432", backends: ["10.0.0.3:5432"]),
        ControlTesting.service("web", ":80", backends: ["10.0.0.1:80", "10.0.0.2:80"]),
    ]

    private func next(_ change: ConfigurationChange, prefix: String = "") throws(ChangeRefusal) -> NextConfiguration {
        try NextConfiguration(applying: change, prefix: prefix, to: live)
    }

    @Test func replaceAllSortsByName() throws {
        let services = [ControlTesting.service("z", ":1"), ControlTesting.service("a", ":2")]
        let next = try next(.replaceAll(services), prefix: "/services")
        #expect(next.services.map(\.name) == ["a", "z"])
        #expect(next.pointer(toService: "a") == "/services/1")
        #expect(next.pointer(toBackend: 3, named: "x", of: "z") == "/services/0/backends/3")
        #expect(next.pointer(toService: "web") == nil)
    }

    @Test func putServiceReplacesIncludingBackends() throws {
        let new = ControlTesting.service("web", ":81", backends: ["10.0.0.9:80"])
        let next = try next(.putService(new))
        #expect(next.services == [live[0], new])
        #expect(next.pointer(toService: "web") == "")
        #expect(next.pointer(toBackend: 0, named: "b0", of: "web") == "/backends/0")
        #expect(next.pointer(toService: "db") == nil, "it is not in the body")
        #expect(next.pointer(toBackend: 0, named: "b0", of: "db") == nil)
    }

    @Test func putServiceCreatesInOrder() throws {
        let new = ControlTesting.service("mail", ":25")
        #expect(try next(.putService(new)).services.map(\.name) == ["db", "mail", "web"])
    }

    @Test func deleteService() throws {
        #expect(try next(.deleteService(name: "db")).services == [live[1]])
        #expect(throws: ChangeRefusal.unknownService("nobody")) { try next(.deleteService(name: "nobody")) }
    }

    @Test func putBackendKeepsItsPlace() throws {
        let changed = BackendConfiguration(name: "b0", address: "10.0.0.8:80", weight: 7)
        let next = try next(.putBackend(service: "web", changed))
        #expect(next.services[1].backends == [changed, live[1].backends[1]])
        #expect(next.pointer(toBackend: 0, named: "b0", of: "web") == "")
        #expect(next.pointer(toBackend: 1, named: "b1", of: "web") == nil)
        #expect(next.pointer(toBackend: 0, named: "b0", of: "db") == nil)
    }

    @Test func putBackendAppends() throws {
        let new = BackendConfiguration(name: "new", address: "10.0.0.8:80")
        #expect(try next(.putBackend(service: "web", new)).services[1].backends == live[1].backends + [new])
        #expect(throws: ChangeRefusal.unknownService("nobody")) { try next(.putBackend(service: "nobody", new)) }
    }

    @Test func deleteBackend() throws {
        let next = try next(.deleteBackend(service: "web", name: "b0"))
        #expect(next.services[1].backends == [live[1].backends[1]])
        #expect(throws: ChangeRefusal.unknownBackend(service: "web", name: "x")) {
            try self.next(.deleteBackend(service: "web", name: "x"))
        }
        #expect(throws: ChangeRefusal.unknownService("nobody")) {
            try self.next(.deleteBackend(service: "nobody", name: "b0"))
        }
    }

    @Test(arguments: [
        (ConfigurationChange.putService(ControlTesting.service("a/b", ":1")), ["/name"]),
        (
            .putService(ControlTesting.service("a", ":1", backends: ["10.0.0.1:80", "nonsense"])),
            ["/backends/1/address"]
        ),
        (
            .putBackend(service: "web", BackendConfiguration(name: "x", address: ":80", weight: 999)),
            ["/address", "/weight"]
        ),
        (.replaceAll([ControlTesting.service("a", ":1"), ControlTesting.service("a", ":2")]), ["/0/name", "/1/name"]),
    ])
    func invalidBodiesAreRefusedWithPointers(_ change: ConfigurationChange, _ pointers: [String]) {
        let error = #expect(throws: ChangeRefusal.self) { try next(change) }
        guard case .invalid(let issues) = error else {
            Issue.record("not refused as invalid")
            return
        }
        #expect(issues.map(\.pointer) == pointers)
    }

    @Test func countsAreBoundedThroughSingleChangesToo() {
        let most = ConfigurationRanges.backendsPerService.upperBound
        var full = ControlTesting.service("full", ":80")
        full.backends = (0..<most).map { BackendConfiguration(name: "b\($0)", address: "10.0.0.1:80") }
        let one = BackendConfiguration(name: "more", address: "10.0.0.1:80")
        #expect(throws: ChangeRefusal.self) {
            try NextConfiguration(applying: .putBackend(service: "full", one), to: [full])
        }
        let same = BackendConfiguration(name: "b0", address: "10.0.0.1:81")
        #expect(throws: Never.self) {
            try NextConfiguration(applying: .putBackend(service: "full", same), to: [full])
        }
    }
}

// What differs between two configurations, and how it is said.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct ChangePlanTests {
    private let web = ControlTesting.service("web", ":80", backends: ["10.0.0.1:80", "10.0.0.2:80"])
    private let db = ControlTesting.service("db", ":5432", backends: ["10.0.0.3:5432"])

    @Test func nothing() {
        let plan = ChangePlan(from: [db, web], to: [db, web])
        #expect(plan.isEmpty)
        #expect(plan.summary == "nothing changed")
    }

    @Test func servicesComeAndGo() {
        let plan = ChangePlan(from: [db], to: [web])
        #expect(plan.servicesAdded == ["web"])
        #expect(plan.servicesRemoved == ["db"])
        #expect(plan.listenersOpened == [.init(service: "web", address: ":80")])
        #expect(plan.listenersClosed == [.init(service: "db", address: ":5432")])
        #expect(plan.backendsAdded.isEmpty && plan.backendsRemoved.isEmpty, "they come and go with their services")
        #expect(plan.summary == "added service web on :80; removed service db")
    }

    @Test func changedFieldsAreNamed() {
        var changed = web
        changed.balance = .leastConnections
        changed.fall = 5
        changed.backends[1].weight = 3
        let plan = ChangePlan(from: [web], to: [changed])
        #expect(plan.servicesChanged == [.init(subject: "web", fields: ["balance", "fall"])])
        #expect(plan.backendsChanged.map(\.fields) == [["weight"]])
        #expect(plan.listenersOpened.isEmpty && plan.listenersClosed.isEmpty)
        #expect(plan.summary == "changed service web (balance, fall); changed backend web/b1 (weight)")
    }

    /// The address stays, and is another listener none the less.
    @Test func anotherNetworkIsAnotherListener() {
        var datagrams = web
        datagrams.network = .udp
        let plan = ChangePlan(from: [web], to: [datagrams])
        #expect(plan.servicesChanged == [.init(subject: "web", fields: ["network"])])
        #expect(plan.listenersOpened.map(\.address) == [":80"] && plan.listenersClosed.map(\.address) == [":80"])
    }

    @Test func anotherAddressIsAnotherBackend() {
        var changed = web
        changed.backends[0].address = "10.0.0.9:80"
        let plan = ChangePlan(from: [web], to: [changed])
        #expect(plan.backendsRemoved == [.init(service: "web", name: "b0", address: "10.0.0.1:80")])
        #expect(plan.backendsAdded == [.init(service: "web", name: "b0", address: "10.0.0.9:80")])
        #expect(plan.backendsChanged.isEmpty)
        #expect(plan.servicesChanged.isEmpty)
    }

    @Test func theSameAddressWrittenDifferentlyIsTheSameBackend() {
        var old = web
        old.backends[0].address = "[2001:DB8:0::1]:80"
        var new = web
        new.backends[0].address = "[2001:db8::1]:80"
        let plan = ChangePlan(from: [old], to: [new])
        #expect(plan.backendsAdded.isEmpty && plan.backendsRemoved.isEmpty)
        #expect(plan.backendsChanged.map(\.fields) == [["address"]])
        #expect(!plan.isEmpty, "what GET prints changes")
    }

    @Test func theSameNameInAnotherServiceIsAnotherBackend() {
        var without = web
        let moved = without.backends.removeLast()
        var with = db
        with.backends.append(moved)
        let plan = ChangePlan(from: [db, web], to: [with, without])
        #expect(plan.backendsAdded == [.init(service: "db", name: "b1", address: "10.0.0.2:80")])
        #expect(plan.backendsRemoved == [.init(service: "web", name: "b1", address: "10.0.0.2:80")])
    }

    @Test func anotherOrderIsAChangeOfTheService() {
        var changed = web
        changed.backends.swapAt(0, 1)
        let plan = ChangePlan(from: [web], to: [changed])
        #expect(plan.servicesChanged == [.init(subject: "web", fields: ["backends"])])
        changed.backends.append(BackendConfiguration(name: "new", address: "10.0.0.9:80"))
        changed.backends.swapAt(0, 1)
        #expect(
            ChangePlan(from: [web], to: [changed]).servicesChanged.isEmpty, "one more keeps the order of the others")
    }

    @Test func aListenerMovesWithItsAddress() {
        var first = db
        first.address = web.address
        var second = web
        second.address = db.address
        let plan = ChangePlan(from: [db, web], to: [first, second])
        #expect(
            plan.listenersMoved == [
                .init(address: ":80", from: "web", to: "db"), .init(address: ":5432", from: "db", to: "web"),
            ]
        )
        #expect(plan.listenersOpened.isEmpty && plan.listenersClosed.isEmpty)
    }

    @Test func aNewNameAtTheSameAddressKeepsTheListener() {
        var renamed = web
        renamed.name = "www"
        let plan = ChangePlan(from: [web], to: [renamed])
        #expect(plan.listenersMoved == [.init(address: ":80", from: "web", to: "www")])
        #expect(plan.summary == "added service www; removed service web; passed :80 from service web to www")
    }

    @Test func aSummaryIsALine() {
        let many = (0..<100).map { ControlTesting.service("s\($0)", ":\(1000 + $0)") }
        let summary = ChangePlan(from: [], to: many).summary
        #expect(summary.hasSuffix("; 94 more"))
        #expect(summary.utf8.count < 300)
    }
}

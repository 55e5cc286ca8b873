// Owns the scenarios of services that let in only some addresses.

import Testing

@testable import ShuttleEngine

@Suite struct AccessScenarioTests {
    private static let client = PeerScript(steps: [.send(30), .awaitBytes(20), .finish])

    /// Clients come from 10.0.0.1, 10.0.0.2 and 10.0.0.3 in turn.
    private static func plan(_ name: String, rings: Int = 2, clients: Int = 15, every gap: Int = 20) -> SimulationPlan {
        var plan = SimulationPlan.oneService(name, backends: 2, rings: rings)
        plan.arrive(clients, every: gap, client)
        for index in plan.arrivals.indices { plan.arrivals[index].client = index % 3 }
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitBytes(1), .send(20), .awaitEnd]) }
        return plan
    }

    /// Whoever is turned away sees a reset, reaches no backend, and is counted.
    @Test(arguments: [
        ([], ["10.0.0.2"], [true, false, true]),
        (["10.0.0.0/30"], ["10.0.0.3"], [true, true, false]),
        (["10.0.0.2/31"], [], [false, true, true]),
        (["10.0.0.0/8"], ["10.0.0.0/8"], [false, false, false]),
        (["::/0"], [], [false, false, false]),
    ])
    func theListsSayWhoComesIn(allow: [String], deny: [String], comesIn: [Bool]) {
        var plan = AccessScenarioTests.plan("access")
        plan.services[0].allow = allow
        plan.services[0].deny = deny
        expectClean(plan, seeds: 1...10) { simulation in
            let served = comesIn.count { $0 } * 5
            var expected = TurnedAway()
            expected.denied = 15 - served
            #expect(simulation.turnedAway(from: "a") == expected)
            #expect(simulation.network.ledger.sessions.count == served)
            for (index, client) in simulation.clients.enumerated() {
                #expect(client?.readByPeer == (comesIn[index % 3] ? 20 : 0))
                #expect(client?.peer?.sawReset == !comesIn[index % 3])
            }
        }
    }

    /// They are asked before anything else is: whoever is denied takes no place and counts for nobody.
    @Test func theDeniedTakeNoPlaces() {
        var plan = AccessScenarioTests.plan("denied and limited")
        plan.services[0].deny = ["10.0.0.1", "10.0.0.2"]
        plan.services[0].connectionsMax = 5
        plan.services[0].connectionsPerClientMax = 5
        plan.services[0].queueLimit = 1
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(3000), .send(20), .awaitEnd]) }
        expectClean(plan, seeds: 1...10) { simulation in
            var expected = TurnedAway()
            expected.denied = 10
            #expect(simulation.turnedAway(from: "a") == expected)
            #expect(simulation.clients.count { $0?.readByPeer == 20 } == 5)
        }
    }

    /// A change is for those who come: who is in stays in.
    @Test func whoIsInStaysIn() {
        var plan = AccessScenarioTests.plan("changed", clients: 6, every: 200)
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitBytes(1), .pause(3000), .send(20), .awaitEnd]) }
        plan.changes = [(500, ["10.0.0.0/8"]), (900, [])].map { time, deny in
            .init(
                at: time,
                action: { control, _ in
                    var plans = control.plans
                    plans[0].deny = deny
                    #expect(control.commit(plans))
                })
        }
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.clients.map { $0?.readByPeer } == [20, 20, 20, 0, 0, 20])
            #expect(simulation.turnedAway(from: "a").denied == 2)
        }
    }
}

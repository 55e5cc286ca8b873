// Owns the scenarios of backends that are told where their clients come from. That each is told the truth, once and before
// anything else, is seen to by the simulated kernel (RingCore+Headers).

import Testing

@testable import ShuttleEngine

@Suite struct ProxySendScenarioTests {
    private func plan(_ name: String) -> SimulationPlan {
        var plan = SimulationPlan.oneService(name, backends: 3)
        plan.services[0].proxyProtocolSend = .v1
        plan.services[0].backends[1].proxyProtocolSend = .v2
        plan.arrive(20, every: 5, PeerScript(steps: [.send(700), .finish]))
        // Those that let the server speak first.
        plan.arrive(20, every: 5, from: 1000, PeerScript(steps: [.awaitEnd, .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(30), .finish, .awaitEnd]) }
        return plan
    }

    private func expectHeaders(_ simulation: Simulation) {
        let ledger = simulation.network.ledger
        #expect(ledger.headersSent == ledger.established)
        for connection in simulation.network.connections where connection.header != nil {
            #expect(connection.header == (connection.port == 1002 ? .v2 : .v1))
        }
    }

    @Test func everyConnectionBeginsWithIt() {
        var plan = plan("headers")
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            expectHeaders(simulation)
            #expect(simulation.network.ledger.established.values.reduce(0, +) == 40)
            // The header is no part of what the client sent.
            #expect(simulation.counters(of: "a").sent == 20 * 700)
        }
    }

    @Test func furtherTriesBeginWithItToo() {
        var plan = plan("headers after refusals")
        plan.fateOfConnect = { _, port in port == 1001 ? (.fail(111), 3) : (.accept, 2) }
        expectClean(plan, seeds: 1...10) { simulation in
            expectHeaders(simulation)
            #expect(simulation.network.ledger.headersSent[1001] == nil)
        }
    }

    /// A backend that is gone again before it was told has failed as a connect: another one is tried.
    @Test func aHeaderThatCannotBeSent() {
        var plan = plan("headers that fail")
        plan.network.headerFailures = 30
        expectClean(plan, seeds: 1...20) { simulation in
            expectHeaders(simulation)
            #expect(simulation.network.ledger.failedConnects.values.reduce(0, +) > 0)
            #expect(simulation.counters(of: "a").errors > 0)
        }
    }

    /// Whose address is forgotten is not passed off as somebody else.
    @Test func aClientThatResetsBeforeItsBackendIsThere() {
        var plan = plan("clients that reset")
        plan.network.forgetsThoseWhoReset = true
        plan.fateOfConnect = { random, _ in (.accept, random.within(0...30)) }
        plan.arrivals = []
        plan.arrive(40, every: 5, PeerScript(steps: [.send(700), .pause(3), .reset]))
        expectClean(plan, seeds: 1...20) { _ in }
    }
}

// Owns the scenarios of the addresses that connections to backends come from.

import Testing

@testable import ShuttleEngine

@Suite struct SourceScenarioTests {
    private static let texts = ["127.0.1.1", "127.0.1.2", "127.0.1.3"]
    private static let sources = texts.compactMap(SocketAddress.init(source:))

    private func plan(_ name: String) -> SimulationPlan {
        var plan = SimulationPlan.oneService(name, backends: 2)
        plan.services[0].sources = SourceScenarioTests.texts
        plan.arrive(30, every: 5, PeerScript(steps: [.send(10), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd]) }
        return plan
    }

    @Test func theyTakeTurns() {
        var plan = plan("sources in turn")
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(SourceScenarioTests.sources.map { simulation.network.ledger.sourcesUsed[$0] } == [10, 10, 10])
        }
    }

    /// One without a free port costs nobody anything: the next one is tried, at the same backend.
    @Test func oneWithoutPorts() {
        var plan = plan("a source without ports")
        plan.network.exhaustedSources = [SourceScenarioTests.sources[1]]
        plan.services[0].retries = 0
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(simulation.counters(of: "a").errors == 0)
            #expect(simulation.network.ledger.sourcesUsed.values.reduce(0, +) == 40)
        }
    }

    /// When all of them are without ports the client is closed, and no backend is blamed.
    @Test func noneWithPorts() {
        var plan = plan("no source with ports")
        plan.network.exhaustedSources = Set(SourceScenarioTests.sources)
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(simulation.control.backends.allSatisfy { $0.errors == 0 })
            #expect(simulation.counters(of: "a").errors == 30)
            // Three addresses at each of two backends.
            #expect(simulation.network.ledger.sourcesUsed.values.reduce(0, +) == 180)
        }
    }

    @Test func aChangeIsForNewSessions() {
        var plan = plan("other sources")
        plan.isCalm = true
        // Long after the last of the first thirty, and long before the others.
        plan.changes = [
            .init(at: 5000) { control, _ in
                var plans = control.plans
                plans[0].sources = ["127.0.2.1"]
                _ = control.commit(plans)
            }
        ]
        plan.arrive(20, every: 5, from: 10_000, PeerScript(steps: [.send(10), .finish]))
        expectClean(plan, seeds: 1...5) { simulation in
            let used = simulation.network.ledger.sourcesUsed
            #expect(SourceScenarioTests.sources.map { used[$0] } == [10, 10, 10])
            #expect(SocketAddress(source: "127.0.2.1").flatMap { used[$0] } == 20)
        }
    }
}

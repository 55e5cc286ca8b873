// Owns the scenarios of balancing over several rings: case 35.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct BalancingScenarioTests {
    private static let weights = [5, 1, 2, 8]

    private static func plan(_ name: String, _ balance: BalanceAlgorithm, rings: Int) -> SimulationPlan {
        var plan = SimulationPlan.oneService(name, backends: weights.count, rings: rings)
        plan.services[0].balance = balance
        for (index, weight) in weights.enumerated() { plan.services[0].backends[index].weight = weight }
        plan.slots = 256
        plan.sessionCapacity = 256
        return plan
    }

    /// Ten cycles of 16 turns: each backend has its weight in every one, whichever ring drew the turns. That holds after
    /// every turn as well, which the run itself checks.
    @Test(arguments: [1, 3])
    func roundRobinIsExact(rings: Int) {
        var plan = BalancingScenarioTests.plan("round robin", .roundRobin, rings: rings)
        plan.arrive(160, every: 3, PeerScript(steps: [.send(20), .finish]))
        plan.isCalm = true
        plan.hasExactTurns = true
        expectClean(plan, seeds: 1...3) { simulation in
            for (index, weight) in BalancingScenarioTests.weights.enumerated() {
                #expect(simulation.control.backend(at: UInt16(1001 + index))?.counters[2] == UInt64(10 * weight))
            }
            #expect(simulation.turnsTaken.count == 1 && simulation.turnsTaken[0].ports.count == 160)
            if rings > 1 {
                #expect(simulation.rings.allSatisfy { !$0.sessions.isEmpty }, "every ring took part")
            }
        }
    }

    /// Sessions that stay: the gauges stand as the weights say. Each single choice is checked by the run.
    @Test(arguments: [1, 3])
    func leastConnectionsIsExact(rings: Int) {
        var plan = BalancingScenarioTests.plan("least connections", .leastConnections, rings: rings)
        plan.arrive(48, every: 3, PeerScript(steps: [.pause(2000), .finish]))
        plan.isCalm = true
        var gauges: [Int] = []
        plan.changes = [
            .init(
                at: 1000,
                action: { control, _ in
                    gauges = control.present.map { $0.record.pointee.active.load(ordering: .relaxed) }
                })
        ]
        expectClean(plan, seeds: 1...3) { _ in
            #expect(gauges == BalancingScenarioTests.weights.map { $0 * 3 })
        }
    }

    /// Sessions come and go, of different length: the choice follows what is.
    @Test func leastConnectionsFollows() {
        var plan = BalancingScenarioTests.plan("least connections with ends", .leastConnections, rings: 3)
        plan.arrive(100, every: 3, PeerScript(steps: [.send(10), .finish]))
        plan.backendScript = { random, _ in PeerScript(steps: [.pause(random.within(1...200)), .finish]) }
        plan.isCalm = true
        expectClean(plan, seeds: 1...5)
    }

    /// A weight of zero and a backend that is down get nothing, others go on by their weights.
    @Test(arguments: [BalanceAlgorithm.roundRobin, .leastConnections])
    func drainedAndDown(balance: BalanceAlgorithm) {
        var plan = BalancingScenarioTests.plan("drained and down", balance, rings: 2)
        plan.services[0].backends[3].weight = 0
        plan.changes = [.init(at: 0, action: { control, _ in control.setHealth(control.present[0], isUp: false) })]
        plan.arrive(30, every: 3, from: 200, PeerScript(steps: [.send(10), .pause(1000), .finish]))
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            let connections = (1001...1004).map { simulation.control.backend(at: $0)?.counters[2] }
            #expect(connections == [0, 10, 20, 0])
        }
    }
}

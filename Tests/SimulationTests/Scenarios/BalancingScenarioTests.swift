// Owns the scenarios of balancing over several rings: case 35.

import Glibc
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

    /// More clients than places, on several rings: the places are all used, and not one more at any time, as the backends
    /// count. Those for whom there is none are closed at once.
    @Test(arguments: [1, 3])
    func limitsHold(rings: Int) {
        var plan = SimulationPlan.oneService("limits", backends: 3, rings: rings)
        for index in 0..<3 { plan.services[0].backends[index].connectionsMax = index + 1 }
        plan.arrive(60, every: 2, PeerScript(steps: [.send(10), .pause(30), .finish]))
        plan.backendScript = { random, _ in PeerScript(steps: [.awaitEnd, .pause(random.below(20)), .finish]) }
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(simulation.choicesMet.atTheLimit > 0 && simulation.choicesMet.full > 0)
            let served = simulation.network.ledger.established.values.reduce(0, +)
            let counters = simulation.counters(of: "a")
            #expect(counters.connections == 60 && served >= 6 && counters.errors == 0)
            #expect(simulation.turnedAway(from: "a").refused == 60 - served)
        }
    }

    /// A session that is cut off while its receives are armed closes its sockets later than others, and only then is its
    /// place free: the next one must not be there before.
    @Test func aPlaceIsFreeWhenItsSocketIsClosed() {
        var plan = SimulationPlan.oneService("places of cut sessions", backends: 1, rings: 3)
        plan.services[0].backends[0].connectionsMax = 2
        plan.services[0].clientTimeout = 200
        plan.arrive(150, every: 10, PeerScript(steps: [.send(10), .pause(3000), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd, .finish]) }
        expectClean(plan, seeds: 1...20) { simulation in
            #expect((simulation.network.ledger.established[1001] ?? 0) > 4 && simulation.choicesMet.full > 0)
        }
    }

    /// One backup, used while the others are down or tried, not while they are full.
    @Test func backupsStandIn() {
        var plan = SimulationPlan.oneService("backups", backends: 3, rings: 2)
        plan.services[0].backends[2].isBackup = true
        plan.services[0].backends[0].connectionsMax = 1
        func setPrimaries(_ isUp: Bool) -> (SimulatedControl, SeededRandom) -> Void {
            { control, _ in for backend in control.present.prefix(2) { control.setHealth(backend, isUp: isUp) } }
        }
        plan.changes = [
            .init(at: 300, action: setPrimaries(false)), .init(at: 600, action: setPrimaries(true)),
        ]
        plan.arrive(90, every: 10, PeerScript(steps: [.send(10), .pause(50), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd, .finish]) }
        plan.fateOfConnect = { random, port in
            (port < 1003 && random.chance(30) ? .fail(ECONNREFUSED) : .accept, 0)
        }
        expectClean(plan, seeds: 1...5) { simulation in
            let counts = (1001...1003).map { simulation.control.backend(at: $0)?.counters[2] ?? 0 }
            #expect(counts.allSatisfy { $0 > 0 } && counts[2] >= 25 && simulation.choicesMet.backups >= 25)
        }
    }

    /// States change under load: a backend that is not ready gets nothing, keeps what it has, and comes back.
    @Test func statesChange() {
        var plan = SimulationPlan.oneService("states", backends: 2, rings: 2)
        func set(_ state: BackendState) -> (SimulatedControl, SeededRandom) -> Void {
            { control, _ in
                var plans = control.plans
                plans[0].backends[0].state = state
                _ = control.commit(plans)
            }
        }
        plan.changes = [
            .init(at: 100, action: set(.drain)), .init(at: 200, action: set(.ready)),
            .init(at: 300, action: set(.maintenance)),
        ]
        plan.arrive(80, every: 5, PeerScript(steps: [.send(10), .pause(150), .send(10), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd, .finish]) }
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            let counts = (1001...1002).map { simulation.control.backend(at: $0)?.counters[2] ?? 0 }
            #expect(counts[0] + counts[1] == 80 && (10...30).contains(counts[0]))
        }
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

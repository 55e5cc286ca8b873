// Owns the scenarios of backends that come up and ramp: over the real worker they get their part of the clients and no
// more, at every step.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct SlowStartScenarioTests {
    /// Two backends, and a control thread that looks every 50 ms. The second is down from 100 to 500 ms; its ramp takes a
    /// second.
    private static func plan(_ name: String, _ balance: BalanceAlgorithm, rings: Int) -> SimulationPlan {
        var plan = SimulationPlan.oneService(name, backends: 2, rings: rings)
        plan.services[0].balance = balance
        for index in 0..<2 { plan.services[0].backends[index].slowStart = 1000 }
        plan.changes = (1...40).map {
            .init(at: $0 * 50, action: { control, _ in control.judgeTraffic() }, needsSettled: false)
        }
        plan.changes += [(100, false), (500, true)].map { time, isUp in
            .init(
                at: time,
                action: { control, _ in
                    control.backend(at: 1002).map { control.setHealth($0, isUp: isUp) }
                })
        }
        plan.changes.sort { $0.at < $1.at }
        plan.slots = 512
        plan.sessionCapacity = 512
        plan.stepsMax = 2_000_000
        plan.isCalm = true
        return plan
    }

    /// A run begins at this time of the virtual clock.
    private static let begin = 1000

    /// The part of the second backend of those that were connected within a time.
    private func part(_ simulation: Simulation, _ times: Range<Int>) -> Double {
        let ports = simulation.network.ledger.sessions.filter {
            times.contains(Int($0.connectTimes.first ?? 0) - Self.begin)
        }.compactMap(\.upstream?.port)
        return Double(ports.count { $0 == 1002 }) / Double(max(1, ports.count))
    }

    @Test(arguments: [1, 3], [BalanceAlgorithm.roundRobin, .random, .hash])
    func itsPartGrows(rings: Int, balance: BalanceAlgorithm) {
        var plan = Self.plan("slow start", balance, rings: rings)
        // A hash decides by client: so many that chance decides little.
        let count = balance == .hash ? 4 : 1
        for _ in 0..<count { plan.arrive(1000, every: 2, PeerScript(steps: [.send(10), .finish])) }
        plan.arrivals.sort { $0.at < $1.at }
        for index in plan.arrivals.indices { plan.arrivals[index].client = index }
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd, .finish]) }
        expectClean(plan, seeds: 1...2) { simulation in
            let parts = [part(simulation, 500..<600), part(simulation, 800..<1000), part(simulation, 1250..<1500)]
            #expect(part(simulation, 200..<500) == 0, "while it is down")
            #expect(parts[0] > 0 || balance != .roundRobin, "it gets some at once, but \(parts)")
            #expect(parts[0] <= 0.16 && (0.1...0.4).contains(parts[1]) && (0.33...0.6).contains(parts[2]), "\(parts)")
            #expect((0.4...0.6).contains(part(simulation, 1550..<2100)), "and all at last")
        }
    }

    /// Sessions that stay: the gauge of the one that came back stands below its part at every look, though it was empty.
    @Test(arguments: [1, 3])
    func leastConnectionsDoNotFloodIt(rings: Int) {
        var plan = Self.plan("slow start by least connections", .leastConnections, rings: rings)
        plan.arrive(400, every: 4, PeerScript(steps: [.send(10), .pause(4000), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd, .finish]) }
        var gauges: [(time: Int, active: [Int])] = []
        plan.changes += (11...29).map { beat in
            .init(
                at: beat * 50 + 25,
                action: { control, _ in
                    let active = control.present.map { $0.record.pointee.active.load(ordering: .relaxed) }
                    gauges.append((Int(control.network.now) - Self.begin, active))
                },
                needsSettled: false
            )
        }
        plan.changes.sort { $0.at < $1.at }
        expectClean(plan, seeds: 1...2) { _ in
            defer { gauges.removeAll() }
            // It has those still that it had before it was down.
            let first = gauges[0].active[1]
            for (time, active) in gauges {
                let share = Double(time - 500) / 1000
                #expect(Double(active[1]) <= max(Double(first), share * Double(active[0])) + 2, "\(active) at \(time)")
            }
            #expect(gauges.last!.active[1] > first + 20, "\(gauges)")
        }
    }
}

// Owns the scenarios of gradual ends: of backends that drain, that are removed, and whose services are.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct DrainScenarioTests {
    private static let clients = 60
    private static let period = 10_000

    /// Quiet sessions on two backends; the first one's come to an end by `changes`.
    private func plan(_ name: String, _ changes: [SimulationPlan.Change]) -> SimulationPlan {
        var plan = SimulationPlan.oneService(name, backends: 2, rings: 2)
        plan.slots = 200
        plan.sessionCapacity = 200
        plan.services[0].drainTimeout = DrainScenarioTests.period
        let quiet = PeerScript(steps: [.send(10), .pause(40_000), .send(10), .finish])
        plan.arrive(2 * DrainScenarioTests.clients, quiet)
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd]) }
        plan.changes = changes
        return plan
    }

    private func change(at time: Int, _ change: @escaping (inout [ServicePlan]) -> Void) -> SimulationPlan.Change {
        .init(at: time) { control, _ in
            var plans = control.plans
            change(&plans)
            _ = control.commit(plans)
        }
    }

    /// When the sessions of a backend ended, and how many of its clients lived to their own end.
    private func ends(_ simulation: Simulation, port: UInt16) -> (times: [Int], lived: Int) {
        var times: [Int] = []
        var lived = 0
        for client in simulation.clients.compactMap({ $0 }) where client.session?.upstream?.port == port {
            guard let end = client.peer?.endSeenAt else { continue }
            if end < 41_000 { times.append(Int(end) - 1000) } else { lived += 1 }
        }
        return (times.sorted(), lived)
    }

    /// Over the whole period, none before, none after, and never many at once.
    private func expectSpread(_ times: [Int], from start: Int, over period: Int = period, count: Int = clients) {
        #expect(times.count == count, "\(times.count) ended")
        #expect(times.allSatisfy { $0 >= start && $0 <= start + period + 100 }, "\(times)")
        let tenths = (0..<10).map { tenth in
            times.count { ($0 - start) * 10 / period == tenth }
        }
        #expect((tenths.max() ?? 0) <= max(3, count / 3), "\(tenths)")
        #expect(tenths.count { $0 > 0 } >= 7, "\(tenths)")
    }

    @Test func removedBackend() {
        let plan = plan("a removed backend", [change(at: 500) { $0[0].backends.removeFirst() }])
        expectClean(plan, seeds: 1...4) { simulation in
            let (times, lived) = ends(simulation, port: 1001)
            expectSpread(times, from: 500)
            #expect(lived == 0)
            #expect(ends(simulation, port: 1002).lived == DrainScenarioTests.clients, "the other one is let alone")
            let record = simulation.control.backends[0].record
            #expect(record.pointee.counters.sum { $0.drainEnds.load(ordering: .relaxed) } == 60)
        }
    }

    @Test(arguments: [BackendState.drain, .maintenance])
    func stateOfABackend(state: BackendState) {
        let plan = plan("state \(state)", [change(at: 500) { $0[0].backends[0].state = state }])
        expectClean(plan, seeds: 1...4) { simulation in
            expectSpread(ends(simulation, port: 1001).times, from: 500)
            #expect(ends(simulation, port: 1002).lived == DrainScenarioTests.clients)
        }
    }

    /// Nobody is left of a service that was removed, though no snapshot names it any more.
    @Test func removedService() {
        let plan = plan("a removed service", [change(at: 500) { $0.removeAll() }])
        expectClean(plan, seeds: 1...4) { simulation in
            expectSpread(ends(simulation, port: 1001).times, from: 500)
            expectSpread(ends(simulation, port: 1002).times, from: 500)
        }
    }

    /// Taken back half-way: whoever is left runs on.
    @Test func takenBack() {
        let changes = [
            change(at: 500) { $0[0].backends[0].state = .drain },
            change(at: 5500) { $0[0].backends[0].state = .ready },
        ]
        expectClean(plan("taken back", changes), seeds: 1...4) { simulation in
            let (times, lived) = ends(simulation, port: 1001)
            #expect(times.allSatisfy { $0 <= 5500 + 50 }, "\(times)")
            #expect(lived + times.count == DrainScenarioTests.clients && (15...45).contains(lived), "\(lived) live")
        }
    }

    /// Removed and configured again: its sessions run on, though they belong to the record of before.
    @Test func removedAndPutBack() {
        let changes = [
            change(at: 500) { $0[0].backends.removeFirst() },
            change(at: 5500) { $0[0].backends.insert(.init(name: "s0", port: 1001), at: 0) },
        ]
        expectClean(plan("put back", changes), seeds: 1...4) { simulation in
            let (times, lived) = ends(simulation, port: 1001)
            #expect(times.allSatisfy { $0 <= 5500 + 50 }, "\(times)")
            #expect(lived + times.count == DrainScenarioTests.clients && (15...45).contains(lived), "\(lived) live")
        }
    }

    /// A shorter period spreads those that are left over itself, and does not end half of them at once.
    @Test func anotherPeriod() {
        let changes = [
            change(at: 500) { $0[0].backends.removeFirst() },
            change(at: 5500) { $0[0].drainTimeout = 2000 },
        ]
        expectClean(plan("another period", changes), seeds: 1...4) { simulation in
            let times = ends(simulation, port: 1001).times
            #expect(times.count == DrainScenarioTests.clients)
            let rest = times.filter { $0 > 5550 }
            #expect((15...45).contains(rest.count) && rest.allSatisfy { $0 <= 7600 }, "\(rest)")
            let most = (0..<10).map { tenth in rest.count { ($0 - 5500) / 200 == tenth } }.max() ?? 0
            #expect(most <= rest.count / 2, "\(rest)")
        }
    }

    /// Without the timeout sessions run on, and one that is set later is in time for them.
    @Test func withoutATimeout() {
        var plan = plan("no timeout", [change(at: 500) { $0[0].backends[0].state = .drain }])
        plan.services[0].drainTimeout = 0
        expectClean(plan, seeds: 1...2) { simulation in
            #expect(ends(simulation, port: 1001).lived == DrainScenarioTests.clients)
        }
        plan.changes.append(change(at: 1000) { $0[0].drainTimeout = 3000 })
        expectClean(plan, seeds: 1...2) { simulation in
            expectSpread(ends(simulation, port: 1001).times, from: 1000, over: 3000)
        }
    }

    /// Nobody gets to a backend once it drains; who was on the way there ends with the others.
    @Test func nothingNewArrives() {
        var plan = plan("nothing new", [change(at: 500) { $0[0].backends[0].state = .drain }])
        plan.fateOfConnect = { random, _ in (.accept, random.pick([0, 0, 900])) }
        plan.arrive(40, every: 20, from: 100, PeerScript(steps: [.send(10), .finish]))
        expectClean(plan, seeds: 1...4) { simulation in
            for client in simulation.clients.compactMap({ $0 }) {
                guard let upstream = client.session?.upstream, upstream.port == 1001 else { continue }
                #expect(upstream.createdAt <= 1000 + 600, "connected at \(upstream.createdAt)")
            }
        }
    }
}

// Owns the scenarios of changes under load: whole snapshots, listeners that come and go, records that end.

import Testing

@testable import ShuttleEngine

@Suite struct SnapshotScenarioTests {
    private static func pool(_ first: UInt16) -> [ServicePlan.Backend] {
        [.init(name: "s\(first)", port: first), .init(name: "s\(first + 1)", port: first + 1)]
    }

    private static func twoServices(rings: Int) -> SimulationPlan {
        var plan = SimulationPlan(name: "changes")
        plan.rings = Array(repeating: .roomy, count: rings)
        plan.services = [
            ServicePlan(name: "a", port: 81, backends: pool(1001)),
            ServicePlan(name: "b", port: 82, backends: pool(2001)),
        ]
        return plan
    }

    private static let client = PeerScript(steps: [.send(300), .awaitBytes(100), .finish])
    private static let backend: @Sendable (SeededRandom, UInt16) -> PeerScript = { _, _ in
        PeerScript(steps: [.send(300), .awaitEnd])
    }

    /// Case 28: two services swap their pools again and again, in one change each time; no client meets a mix. Which
    /// pool is right for a client follows from the epoch its ring was on, and is checked at every choice.
    @Test(arguments: [1, 3])
    func poolsSwapTogether(rings: Int) {
        var plan = SnapshotScenarioTests.twoServices(rings: rings)
        for index in 0..<40 {
            plan.arrive(2, from: index * 10, port: UInt16(81 + index % 2), SnapshotScenarioTests.client)
        }
        plan.backendScript = SnapshotScenarioTests.backend
        plan.changes = (0..<20).map { index in
            .init(
                at: index * 20,
                action: { control, _ in
                    var plans = control.plans
                    (plans[0].backends, plans[1].backends) = (plans[1].backends, plans[0].backends)
                    #expect(control.commit(plans))
                })
        }
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(simulation.control.epoch >= 21)
            #expect(simulation.network.ledger.sessions.count == 80)
            // A backend that leaves a service and comes back is a new one, with its own record.
            #expect(simulation.control.backends.count >= 40)
        }
    }

    /// Cases 24 and 25, on this level: a listener goes while its queue is full. Everybody in it is served, nobody
    /// later; sessions run on.
    @Test(arguments: [1, 3])
    func listenerRemovedWithAFullQueue(rings: Int) {
        var plan = SnapshotScenarioTests.twoServices(rings: rings)
        plan.sessionCapacity = 64
        plan.arrive(5, SnapshotScenarioTests.client)
        // They come in the same moment as the change.
        plan.arrive(20, from: 100, SnapshotScenarioTests.client)
        plan.arrive(3, from: 500, SnapshotScenarioTests.client)
        plan.backendScript = SnapshotScenarioTests.backend
        plan.changes = [
            .init(at: 100, action: { control, _ in #expect(control.commit([control.plans[1]])) })
        ]
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            let arrived = simulation.clients.prefix(25).compactMap { $0 }
            #expect(simulation.network.ledger.acceptedClients == arrived.count, "whoever was let in was served")
            #expect(simulation.clients.suffix(3).allSatisfy { $0 == nil }, "nobody listens any more")
        }
    }

    /// Case 26, on this level: the same address goes and comes back many times; its place is given anew each time.
    @Test func listenerRemovedAndAddedAgain() {
        var plan = SnapshotScenarioTests.twoServices(rings: 2)
        plan.changes = (0..<40).map { index in
            .init(
                at: index * 15,
                action: { control, _ in
                    let both = SnapshotScenarioTests.twoServices(rings: 1).services
                    #expect(control.commit(index % 2 == 0 ? [both[1]] : both))
                })
        }
        for index in 0..<60 { plan.arrive(1, from: index * 10, port: 0, SnapshotScenarioTests.client) }
        plan.backendScript = SnapshotScenarioTests.backend
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            // Removals take three epochs each: without the listener, draining, closed.
            #expect(simulation.control.epoch >= 80)
        }
    }

    /// An address moves from one service to another without closing: its queue is served by whoever has it then.
    @Test func addressMovesBetweenServices() {
        var plan = SnapshotScenarioTests.twoServices(rings: 2)
        plan.changes = (0..<20).map { index in
            .init(
                at: index * 20,
                action: { control, _ in
                    var plans = control.plans
                    (plans[0].port, plans[1].port) = (plans[1].port, plans[0].port)
                    #expect(control.commit(plans))
                })
        }
        for index in 0..<60 {
            plan.arrive(1, from: index * 7, port: UInt16(81 + index % 2), SnapshotScenarioTests.client)
        }
        plan.backendScript = SnapshotScenarioTests.backend
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(simulation.clients.allSatisfy { $0 != nil }, "the listeners never closed")
            #expect(simulation.network.ledger.acceptedClients == 60)
        }
    }

    /// A session that lives on after its backend was removed keeps the record; the record ends with it.
    @Test func recordOutlivesItsConfiguration() {
        var plan = SimulationPlan.oneService("record outlives", rings: 2)
        plan.arrive(2, PeerScript(steps: [.send(10), .pause(3000), .send(500), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd]) }
        plan.changes = [100, 200, 300].map { time in
            .init(
                at: time,
                action: { control, _ in
                    var plans = control.plans
                    plans[0].backends = [.init(name: "t\(time)", port: UInt16(2000 + time))]
                    #expect(control.commit(plans))
                })
        }
        plan.changes.append(
            .init(
                at: 1000,
                action: { control, _ in
                    #expect(control.backend(at: 1001)?.retiredIn != nil)
                    #expect(control.backend(at: 1001)?.countersAtEnd == nil, "in use by two sessions")
                    #expect(control.backend(at: 2100)?.countersAtEnd != nil, "used by nobody, gone")
                })
        )
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(simulation.control.backend(at: 1001)?.counters[0] == 1020)
        }
    }

    /// Health flips are published at once and do not wait for a change that is on its way.
    @Test func healthFlipsDuringChanges() {
        var plan = SnapshotScenarioTests.twoServices(rings: 3)
        for index in 0..<40 {
            plan.arrive(1, from: index * 10, port: UInt16(81 + index % 2), SnapshotScenarioTests.client)
        }
        plan.backendScript = SnapshotScenarioTests.backend
        for index in 0..<20 {
            plan.changes.append(
                .init(
                    at: index * 20,
                    action: { control, random in
                        // One of each pool stays up.
                        let backend = control.present.filter { $0.port % 2 == 0 }[random.below(2)]
                        control.setHealth(backend, isUp: random.chance(50))
                    },
                    needsSettled: false
                )
            )
        }
        plan.isCalm = true
        plan.network.lostWakes = 30
        expectClean(plan, seeds: 1...10)
    }
}

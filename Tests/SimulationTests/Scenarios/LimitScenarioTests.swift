// Owns the scenarios of services with limits: who is let in, who waits and in which order, who is turned away.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct LimitScenarioTests {
    private static func plan(_ name: String, max: Int, queue: Int = 0, timeout: Int = 0, rings: Int = 1)
        -> SimulationPlan
    {
        var plan = SimulationPlan.oneService(name, backends: 2, rings: rings)
        plan.services[0].connectionsMax = max
        plan.services[0].queueLimit = queue
        plan.services[0].queueTimeout = timeout
        // What waits in the kernel when a client is closed makes the end a reset.
        plan.network.kernelQueueBytes = 2000...4096
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitBytes(1), .pause(50), .send(20), .awaitEnd]) }
        return plan
    }

    private static let client = PeerScript(steps: [.send(30), .awaitBytes(20), .finish])

    /// Everybody comes at once: as many as the limit says are served at a time, all in the end, and nobody overtakes.
    @Test(arguments: [1, 2, 3])
    func allAreServedWithinTheLimit(rings: Int) {
        var plan = LimitScenarioTests.plan("within the limit", max: 3, queue: 64, rings: rings)
        plan.arrive(40, LimitScenarioTests.client)
        plan.isCalm = true
        plan.hasExactTurns = true
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.reachedMax["a"] == 3)
            #expect(simulation.turnedAway(from: "a") == TurnedAway())
            guard rings == 1 else { return }
            let starts = simulation.clients.compactMap { $0?.session?.connectTimes.first }
            #expect(starts.count == 40 && starts == starts.sorted(), "first come, first served")
        }
    }

    /// The rings' clients wait in one line: who came later than another ring's client is served later.
    @Test func theLineIsOneOverAllRings() {
        var plan = LimitScenarioTests.plan("one line", max: 1, queue: 64, rings: 3)
        plan.arrive(20, every: 100, LimitScenarioTests.client)
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(400), .send(20), .awaitEnd]) }
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            let starts = simulation.clients.compactMap { $0?.session?.connectTimes.first }
            #expect(starts.count == 20 && starts == starts.sorted())
            #expect(Set(simulation.clients.compactMap { $0?.session?.ring.index }).count > 1)
        }
    }

    /// Without a queue whoever is one too many is closed at once, cleanly, and counted.
    @Test(arguments: [1, 3])
    func withoutAQueueTheRestIsRefused(rings: Int) {
        var plan = LimitScenarioTests.plan("no queue", max: 3, rings: rings)
        plan.arrive(20, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(2000), .send(20), .awaitEnd]) }
        expectClean(plan, seeds: 1...10) { simulation in
            var expected = TurnedAway()
            expected.refused = 17
            #expect(simulation.turnedAway(from: "a") == expected)
            #expect(simulation.clients.count { $0?.readByPeer == 20 } == 3)
            #expect(simulation.clients.allSatisfy { $0?.peer?.sawEnd == true })
        }
    }

    @Test func aFullQueueTurnsAway() {
        var plan = LimitScenarioTests.plan("full queue", max: 2, queue: 5, rings: 2)
        plan.arrive(20, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(500), .send(20), .awaitEnd]) }
        expectClean(plan, seeds: 1...10) { simulation in
            var expected = TurnedAway()
            expected.queueOverflows = 13
            #expect(simulation.turnedAway(from: "a") == expected)
            #expect(simulation.clients.count { $0?.readByPeer == 20 } == 7)
            #expect(simulation.clients.allSatisfy { $0?.peer?.sawEnd == true })
        }
    }

    /// What a waiting client has said is not held against it: it gets a clean end when its time is over.
    @Test func aWaitEndsInTime() {
        var plan = LimitScenarioTests.plan("queue timeout", max: 1, queue: 5, timeout: 300, rings: 2)
        plan.arrive(1, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.arrive(3, from: 50, PeerScript(steps: [.send(2)]))
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(5000), .send(20), .awaitEnd]) }
        expectClean(plan, seeds: 1...10) { simulation in
            var expected = TurnedAway()
            expected.queueTimeouts = 3
            #expect(simulation.turnedAway(from: "a") == expected)
            for client in simulation.clients.dropFirst().compactMap(\.self) {
                let waited = (client.peer?.endSeenAt ?? .max) - client.createdAt
                #expect(client.peer?.sawEnd == true && (300...400).contains(waited), "\(waited) ms")
            }
        }
    }

    /// Three ways to leave a queue of one place: it is free for the next at once.
    @Test(arguments: [PeerScript.Step.reset, .finish, .close])
    func whoLeavesFreesItsPlace(way: PeerScript.Step) {
        var plan = LimitScenarioTests.plan("leaves", max: 1, queue: 1, rings: 2)
        plan.arrive(1, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.arrive(1, from: 100, PeerScript(steps: [.pause(100), way]))
        plan.arrive(1, from: 400, PeerScript(steps: [.send(2000), .awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(1000), .send(20), .awaitEnd]) }
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.turnedAway(from: "a") == TurnedAway())
            #expect(simulation.clients[1]?.session?.upstream == nil)
            #expect(simulation.clients[2]?.readByPeer == 20)
            #expect(simulation.pair(of: 2)?.upstream.readByPeer == 2000, "what it said while it waited")
        }
    }

    /// A client that has sent its request and ended its stream still waits for the answer.
    @Test func aRequestThatIsWholeStillWaits() {
        var plan = LimitScenarioTests.plan("half-closed", max: 1, queue: 4)
        plan.arrive(3, every: 5, PeerScript(steps: [.send(700), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd, .pause(300), .send(50)]) }
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.clients.allSatisfy { $0?.readByPeer == 50 })
        }
    }

    /// Held within the credit: a client that sends much while it waits is held back, and loses nothing.
    @Test func whatIsSaidWhileWaitingIsBounded() {
        var plan = LimitScenarioTests.plan("says much", max: 1, queue: 4)
        plan.arrive(1, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.arrive(1, from: 50, PeerScript.bulk([.send(20_000), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(1000), .send(20), .awaitEnd]) }
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(simulation.pair(of: 1)?.upstream.readByPeer == 20_000)
            #expect(simulation.buffersHeldMax <= 64)
        }
    }

    /// Waiters that have spoken must leave buffers for those who are served, or nobody ever would be.
    @Test func waitersLeaveBuffersForThoseWhoAreServed() {
        var ring = RingSettings.roomy
        ring.bufferCount = 16
        ring.providedMax = 16
        var plan = SimulationPlan.oneService("few buffers", ring: ring)
        plan.services[0].connectionsMax = 1
        plan.services[0].queueLimit = 100
        plan.arrive(40, PeerScript(steps: [.send(300), .awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitBytes(300), .send(20), .awaitEnd]) }
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.clients.allSatisfy { $0?.readByPeer == 20 })
        }
    }

    // MARK: Changes

    private static func change(at time: Int, _ body: @escaping (inout ServicePlan) -> Void) -> SimulationPlan.Change {
        .init(
            at: time,
            action: { control, _ in
                var plans = control.plans
                body(&plans[0])
                #expect(control.commit(plans))
            })
    }

    /// A raised limit, and none at all, serve those who wait at once.
    @Test(arguments: [4, 0])
    func aRaisedLimitServesTheQueue(limit: Int) {
        var plan = LimitScenarioTests.plan("raised", max: 1, queue: 10, rings: 2)
        plan.arrive(4, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(5000), .send(20), .awaitEnd]) }
        plan.changes = [LimitScenarioTests.change(at: 1000) { $0.connectionsMax = limit }]
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            let starts = simulation.clients.compactMap { $0?.session?.connectTimes.first }
            #expect(starts.count == 4 && starts.count { (2000...2100).contains($0) } == 3, "\(starts)")
        }
    }

    /// The limit may fall below what is there: those run on, and nobody comes in until enough have left.
    @Test func aLoweredLimitLetsNobodyInUntilEnoughHaveLeft() {
        var plan = LimitScenarioTests.plan("lowered", max: 4, queue: 10, rings: 2)
        plan.arrive(4, every: 10, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.arrive(2, from: 500, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(1000), .send(20), .awaitEnd]) }
        plan.changes = [LimitScenarioTests.change(at: 200) { $0.connectionsMax = 1 }]
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            let starts = simulation.clients.compactMap { $0?.session?.connectTimes.first }.sorted()
            #expect(starts.count == 6 && starts[4] >= 2030 && starts[5] >= starts[4] + 1000, "\(starts)")
        }
    }

    /// The places that free while no backend is up are given when one comes up.
    @Test func aBackendThatComesUpServesTheQueue() {
        var plan = LimitScenarioTests.plan("comes up", max: 1, queue: 10, rings: 2)
        plan.services[0].backends.removeLast()
        plan.arrive(1, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.arrive(1, from: 50, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(500), .send(20), .awaitEnd]) }
        plan.changes = [(200, false), (3000, true)].map { time, isUp in
            .init(at: time, action: { control, _ in control.setHealth(control.present[0], isUp: isUp) })
        }
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            let start = simulation.clients[1]?.session?.connectTimes.first ?? 0
            #expect((4000...4100).contains(start), "\(start)")
        }
    }

    /// A deleted service takes those who wait for it along, with a clean end; its sessions run on.
    @Test func aDeletedServiceTakesItsQueueAlong() {
        var plan = LimitScenarioTests.plan("deleted", max: 1, queue: 10, rings: 2)
        plan.arrive(4, PeerScript(steps: [.send(2), .awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(3000), .send(20), .awaitEnd]) }
        plan.changes = [.init(at: 1000, action: { control, _ in #expect(control.commit([])) })]
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.clients.count { $0?.readByPeer == 20 } == 1)
            #expect(simulation.clients.allSatisfy { $0?.peer?.sawEnd == true })
            for client in simulation.clients.compactMap(\.self) where client.readByPeer == 0 {
                #expect((client.peer?.endSeenAt ?? .max) < 2200)
            }
            #expect(simulation.turnedAway(from: "a").errors == 3)
        }
    }

    /// The listener moves; who waits has lost nothing by it.
    @Test func aQueueOutlivesItsListener() {
        var plan = LimitScenarioTests.plan("moves", max: 1, queue: 10, rings: 2)
        plan.arrive(4, LimitScenarioTests.client)
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(500), .send(20), .awaitEnd]) }
        plan.changes = [LimitScenarioTests.change(at: 200) { $0.port = 82 }]
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.clients.allSatisfy { $0?.readByPeer == 20 })
        }
    }

    @Test func aCutEndsThoseWhoWait() {
        var plan = LimitScenarioTests.plan("cut", max: 2, queue: 30, rings: 3)
        plan.arrive(20, PeerScript(steps: [.send(10), .awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(3000), .send(20), .awaitEnd]) }
        plan.cutAfter = 500
        plan.endsWithin = 5000
        expectClean(plan, seeds: 1...10)
    }

    /// Waiters come and leave, places come free, all at the same moments: no place is lost on the way.
    @Test func waitersLeaveWhileTheyAreCalled() {
        var plan = LimitScenarioTests.plan("leave while called", max: 2, queue: 30, timeout: 100, rings: 3)
        for index in 0..<60 {
            let way = [PeerScript.Step.reset, .finish, .send(5)][index % 3]
            plan.arrive(1, from: index * 7, PeerScript(steps: [.pause(index % 5 * 20), way], patience: 500))
        }
        plan.backendScript = { random, _ in PeerScript(steps: [.pause(random.within(0...60)), .finish]) }
        plan.endsWithin = 10_000
        expectClean(plan, seeds: 1...30)
    }

    // MARK: Backends that refuse

    /// A backend that refuses connects has places free while the other is full: those who wait are not spent on it, though
    /// each has only one retry, and one connect now and then finds out whether it is back.
    @Test(arguments: [1, 3], BalanceAlgorithm.allCases)
    func whoWaitsIsNotSpentOnABackendThatRefuses(rings: Int, balance: BalanceAlgorithm) {
        var plan = LimitScenarioTests.plan("refuses", max: 0, queue: 64, rings: rings)
        plan.services[0].balance = balance
        plan.services[0].retries = 1
        for index in 0..<2 { plan.services[0].backends[index].connectionsMax = 2 }
        plan.fateOfConnect = { _, port in (port == 1001 ? .fail(ECONNREFUSED) : .accept, 0) }
        plan.arrive(40, LimitScenarioTests.client)
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitBytes(1), .pause(100), .send(20), .awaitEnd]) }
        plan.endsWithin = 20_000
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.clients.allSatisfy { $0?.readByPeer == 20 })
            // Two thousand milliseconds and more, a trial in each hundred, and those who came before it was known.
            let refused = simulation.network.ledger.failedConnects[1001] ?? 0
            #expect((15...40).contains(refused), "\(refused) connects were refused")
        }
    }

    /// It comes back while nobody comes or goes: whoever waits finds out within a rest, and the others follow at once.
    @Test(arguments: [1, 3])
    func aBackendThatIsBackServesThoseWhoWait(rings: Int) {
        var plan = LimitScenarioTests.plan("is back", max: 0, queue: 64, rings: rings)
        for index in 0..<2 { plan.services[0].backends[index].connectionsMax = 4 }
        var isBack = false
        plan.fateOfConnect = { _, port in (port == 1001 && !isBack ? .fail(ECONNREFUSED) : .accept, 0) }
        plan.arrive(8, from: 50, LimitScenarioTests.client)
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitBytes(1), .pause(5000), .send(20), .awaitEnd]) }
        plan.changes = [
            .init(at: 0, action: { _, _ in isBack = false }), .init(at: 1000, action: { _, _ in isBack = true }),
        ]
        plan.endsWithin = 20_000
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.clients.allSatisfy { $0?.readByPeer == 20 })
            let starts = simulation.network.ledger.sessions.compactMap(\.connectTimes.last).sorted()
            #expect(starts.count == 8 && starts[4] >= 2000 && starts[7] <= 2250, "\(starts)")
        }
    }

    /// Who was called for a backend that refused it stands where it stood, and its wait has the end that it had.
    @Test func whoIsRefusedKeepsItsPlaceInLine() {
        var plan = LimitScenarioTests.plan("keeps its place", max: 0, queue: 64, timeout: 3000)
        for index in 0..<2 { plan.services[0].backends[index].connectionsMax = 1 }
        plan.fateOfConnect = { _, port in (port == 1001 ? .fail(ECONNREFUSED) : .accept, 0) }
        plan.arrive(1, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.arrive(8, every: 10, from: 300, LimitScenarioTests.client)
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(700), .send(20), .awaitEnd]) }
        plan.endsWithin = 20_000
        expectClean(plan, seeds: 1...10) { simulation in
            let served = simulation.clients.map { $0?.readByPeer == 20 }
            #expect(served == [true, true, true, true, true] + Array(repeating: false, count: 4))
            #expect(simulation.turnedAway(from: "a").queueTimeouts == 4)
            for client in simulation.clients.suffix(4).compactMap(\.self) {
                let waited = (client.peer?.endSeenAt ?? .max) - client.createdAt
                #expect((3000...3100).contains(waited), "\(waited) ms")
            }
        }
    }

    // MARK: Clients and maintenance

    @Test(arguments: [1, 3])
    func eachClientHasItsShare(rings: Int) {
        var plan = LimitScenarioTests.plan("per client", max: 0, rings: rings)
        plan.services[0].connectionsPerClientMax = 2
        plan.arrive(15, PeerScript(steps: [.awaitBytes(20), .finish]))
        for index in plan.arrivals.indices { plan.arrivals[index].client = index % 3 }
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(1000), .send(20), .awaitEnd]) }
        expectClean(plan, seeds: 1...10) { simulation in
            var expected = TurnedAway()
            expected.refusedPerClient = 9
            #expect(simulation.turnedAway(from: "a") == expected)
            #expect(simulation.clients.count { $0?.readByPeer == 20 } == 6)
        }
    }

    /// Nothing new while it lasts; what is there runs on, those who wait included; then as before.
    @Test func maintenanceLetsNobodyInAndIsReversible() {
        var plan = LimitScenarioTests.plan("maintenance", max: 1, queue: 5, rings: 2)
        plan.arrive(2, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.arrive(3, every: 10, from: 600, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.arrive(1, from: 6000, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(1000), .send(20), .awaitEnd]) }
        plan.changes = [
            LimitScenarioTests.change(at: 300) { $0.isInMaintenance = true },
            LimitScenarioTests.change(at: 5000) { $0.isInMaintenance = false },
        ]
        expectClean(plan, seeds: 1...10) { simulation in
            var expected = TurnedAway()
            expected.refused = 3
            #expect(simulation.turnedAway(from: "a") == expected)
            #expect(simulation.clients.map { $0?.readByPeer } == [20, 20, 0, 0, 0, 20])
            #expect(simulation.clients.allSatisfy { $0?.peer?.sawEnd == true })
        }
    }

    /// Descriptors run out under those who wait: they are served one after the other all the same.
    @Test func descriptorsRunOutUnderTheQueue() {
        var plan = LimitScenarioTests.plan("short of descriptors", max: 1, queue: 30)
        plan.network.descriptorLimit = 1 + 8
        plan.sessionCapacity = 4
        plan.arrive(20, LimitScenarioTests.client)
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.clients.allSatisfy { $0?.readByPeer == 20 })
        }
    }
}

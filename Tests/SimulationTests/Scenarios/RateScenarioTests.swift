// Owns the scenarios of services with a rate limit: how many come in by when, who waits, who leaves, and what changes.

import Testing

@testable import ShuttleEngine

@Suite struct RateScenarioTests {
    private static let client = PeerScript(steps: [.send(30), .awaitBytes(20), .finish])

    private static func limit(
        _ perSecond: Int, _ burst: Int, _ action: RateLimitAction, _ scope: RateLimitScope = .service
    ) -> RateLimitConfiguration {
        var limit = RateLimitConfiguration()
        (limit.perSecond, limit.burst, limit.action, limit.scope) = (perSecond, burst, action, scope)
        return limit
    }

    private static func plan(_ name: String, _ limit: RateLimitConfiguration?, rings: Int = 3) -> SimulationPlan {
        var plan = SimulationPlan.oneService(name, backends: 2, rings: rings)
        plan.services[0].rateLimit = limit
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitBytes(1), .send(20), .awaitEnd]) }
        return plan
    }

    private static func change(at time: Int, _ body: @escaping (inout [ServicePlan]) -> Void) -> SimulationPlan.Change {
        .init(
            at: time,
            action: { control, _ in
                var plans = control.plans
                body(&plans)
                #expect(control.commit(plans))
            })
    }

    private func starts(_ simulation: Simulation) -> [UInt64] {
        simulation.clients.compactMap { $0?.session?.connectTimes.first.map { UInt64($0) } }.sorted()
    }

    /// All come at once: the burst is served, the rest closed cleanly and counted, over all rings together.
    @Test(arguments: [1, 3])
    func theRestIsRefused(rings: Int) {
        var plan = RateScenarioTests.plan("refused by rate", RateScenarioTests.limit(1, 5, .refuse), rings: rings)
        plan.arrive(20, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(20), .awaitEnd]) }
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            var expected = TurnedAway()
            expected.refusedByRate = 15
            #expect(simulation.turnedAway(from: "a") == expected)
            #expect(simulation.clients.count { $0?.readByPeer == 20 } == 5)
            #expect(simulation.clients.allSatisfy { $0?.peer?.sawEnd == true })
        }
    }

    /// All come at once, and each is served when its token has come: never sooner, and not much later.
    @Test(arguments: [1, 3])
    func theRestWaitsForItsTokens(rings: Int) {
        var plan = RateScenarioTests.plan("delayed", RateScenarioTests.limit(20, 5, .delay), rings: rings)
        plan.arrive(25, RateScenarioTests.client)
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.turnedAway(from: "a") == TurnedAway())
            #expect(simulation.clients.allSatisfy { $0?.readByPeer == 20 })
            let starts = starts(simulation)
            #expect(starts.count == 25)
            for (index, start) in starts.enumerated() where index >= 5 {
                let due = starts[0] + UInt64(index - 4) * 50
                #expect((due - 5...due + 60).contains(start), "the one of place \(index) began at \(start), not \(due)")
            }
        }
    }

    /// Nobody waits longer than ten seconds: who would have to is refused at once.
    @Test func whoWouldWaitTooLongIsRefused() {
        var plan = RateScenarioTests.plan("too long", RateScenarioTests.limit(1, 1, .delay))
        plan.arrive(20, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(20), .awaitEnd]) }
        expectClean(plan, seeds: 1...10) { simulation in
            let refused = simulation.turnedAway(from: "a").refusedByRate
            #expect((9...10).contains(refused), "\(refused)")
            #expect(simulation.clients.count { $0?.readByPeer == 20 } == 20 - refused)
        }
    }

    @Test func eachClientHasARateOfItsOwn() {
        var plan = RateScenarioTests.plan("per client", RateScenarioTests.limit(1, 2, .refuse, .client))
        plan.arrive(15, RateScenarioTests.client)
        for index in plan.arrivals.indices { plan.arrivals[index].client = index % 3 }
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.turnedAway(from: "a").refusedByRate == 9)
            #expect(simulation.clients.count { $0?.readByPeer == 20 } == 6)
        }
    }

    /// Who leaves while it waits is noticed, and nothing of it is left.
    @Test(arguments: [PeerScript.Step.reset, .finish, .close])
    func whoLeavesIsForgotten(way: PeerScript.Step) {
        var plan = RateScenarioTests.plan("leaves", RateScenarioTests.limit(1, 1, .delay))
        plan.arrive(1, RateScenarioTests.client)
        plan.arrive(5, from: 50, PeerScript(steps: [.pause(100), way]))
        plan.endsWithin = 3000
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.network.ledger.sessions.count { $0.upstream != nil } == 1)
            #expect(simulation.network.now < 3000, "nobody waited for tokens of those who had left")
        }
    }

    /// A place is asked for when the token has come: limits and queue hold as for everybody else.
    @Test func limitsHoldForThoseWhoWaited() {
        var plan = RateScenarioTests.plan("delayed and limited", RateScenarioTests.limit(50, 1, .delay))
        plan.services[0].connectionsMax = 2
        plan.services[0].queueLimit = 30
        plan.arrive(20, RateScenarioTests.client)
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(100), .send(20), .awaitEnd]) }
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.reachedMax["a"] == 2)
            #expect(simulation.clients.allSatisfy { $0?.readByPeer == 20 })
        }
    }

    @Test func sharesHoldForThoseWhoWaited() {
        var plan = RateScenarioTests.plan("delayed and per client", RateScenarioTests.limit(50, 1, .delay))
        plan.services[0].connectionsPerClientMax = 1
        plan.arrive(6, PeerScript(steps: [.awaitBytes(20), .finish]))
        for index in plan.arrivals.indices { plan.arrivals[index].client = index % 3 }
        plan.backendScript = { _, _ in PeerScript(steps: [.pause(3000), .send(20), .awaitEnd]) }
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.turnedAway(from: "a").refusedPerClient == 3)
            #expect(simulation.clients.count { $0?.readByPeer == 20 } == 3)
        }
    }

    // MARK: Changes

    /// A rate that is raised, or taken away, is for those who wait as well, and at once.
    @Test(arguments: [RateScenarioTests.limit(1000, 10, .delay), nil])
    func aRaisedRateLetsThoseWhoWaitGo(limit: RateLimitConfiguration?) {
        var plan = RateScenarioTests.plan("raised", RateScenarioTests.limit(1, 1, .delay))
        plan.arrive(8, RateScenarioTests.client)
        plan.changes = [RateScenarioTests.change(at: 500) { $0[0].rateLimit = limit }]
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            let starts = starts(simulation)
            #expect(starts.count == 8 && starts[7] < starts[0] + 600, "\(starts)")
        }
    }

    /// A rate that is lowered is too: those for whom it is too long now are closed.
    @Test func aLoweredRateIsForThoseWhoWaitAsWell() {
        var plan = RateScenarioTests.plan("lowered", RateScenarioTests.limit(4, 1, .delay))
        plan.arrive(20, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(20), .awaitEnd]) }
        plan.changes = [RateScenarioTests.change(at: 1100) { $0[0].rateLimit = RateScenarioTests.limit(1, 1, .delay) }]
        expectClean(plan, seeds: 1...10) { simulation in
            let refused = simulation.turnedAway(from: "a").refusedByRate
            #expect((3...6).contains(refused), "\(refused)")
            #expect(simulation.clients.count { $0?.readByPeer == 20 } == 20 - refused)
        }
    }

    /// A change of something else gives nobody new tokens.
    @Test func otherChangesLeaveTheTokensAlone() {
        var plan = RateScenarioTests.plan("other changes", RateScenarioTests.limit(1, 5, .refuse))
        plan.arrive(20, every: 20, RateScenarioTests.client)
        plan.changes = (1...5).map { step in
            RateScenarioTests.change(at: step * 70) { $0[0].clientTimeout = 10_000 + step }
        }
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.turnedAway(from: "a").refusedByRate == 15)
        }
    }

    /// A service that is deleted takes those who wait for its tokens along.
    @Test func aDeletedServiceTakesThoseWhoWaitAlong() {
        var plan = RateScenarioTests.plan("deleted", RateScenarioTests.limit(1, 1, .delay))
        plan.arrive(5, PeerScript(steps: [.awaitBytes(20), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(20), .awaitEnd]) }
        plan.changes = [RateScenarioTests.change(at: 300) { $0.removeAll() }]
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.clients.count { $0?.readByPeer == 20 } == 1)
            #expect(simulation.clients.allSatisfy { $0?.peer?.sawEnd == true })
            #expect(simulation.network.now < 5000)
        }
    }

    @Test func aCutEndsThoseWhoWait() {
        var plan = RateScenarioTests.plan("cut", RateScenarioTests.limit(1, 1, .delay))
        plan.arrive(8, RateScenarioTests.client)
        plan.cutAfter = 300
        plan.endsWithin = 2000
        expectClean(plan, seeds: 1...10)
    }
}

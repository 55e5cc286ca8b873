// Owns the scenarios of connections that are reset: what came before is delivered, and the other side learns of a
// reset, never of an end.

import Testing

@testable import ShuttleEngine

@Suite struct ResetScenarioTests {
    private func expectResetPassedOn(_ simulation: Simulation, fromClient: Bool) {
        guard let pair = simulation.pair(of: 0) else {
            Issue.record("seed \(simulation.seed): no session")
            return
        }
        let (source, sink) = fromClient ? (pair.client, pair.upstream) : (pair.upstream, pair.client)
        #expect(source.hasPeerReset)
        #expect(sink.peer?.sawReset == true, "seed \(simulation.seed)")
        #expect(sink.peer?.sawEnd == false, "seed \(simulation.seed)")
        #expect(sink.readByPeer == source.sentByPeer, "seed \(simulation.seed)")
    }

    /// Case 5: the backend sends much and resets; a slow client gets every byte, then the reset.
    @Test(arguments: [RingSettings.roomy, .roomyOneShot])
    func resetAfterMuchData(ring: RingSettings) {
        var client = PeerScript(steps: [], readChunk: 2000)
        client.readPauses = (1...10).map { ($0 * 5000, 300) }
        let plan = SimulationPlan.onePair(
            "reset after much data",
            client: client,
            backend: .bulk([.send(60_000), .reset]),
            ring: ring
        )
        expectClean(plan, seeds: 1...10) { expectResetPassedOn($0, fromClient: false) }
    }

    /// Case 6: bytes flow both ways when one side resets, so that it may be a send that meets the reset and takes it
    /// away from the receives.
    @Test(arguments: [true, false], [RingSettings.roomy, .roomyOneShot])
    func sendMeetsTheResetFirst(fromClient: Bool, ring: RingSettings) {
        let resetting = PeerScript(steps: [.send(3000), .reset], readChunk: 1)
        let talking = PeerScript(steps: [.send(50_000)])
        var plan = SimulationPlan.onePair(
            "a send meets the reset of the \(fromClient ? "client" : "backend")",
            client: fromClient ? resetting : talking,
            backend: fromClient ? talking : resetting,
            ring: ring
        )
        // Sends wait part-way for room most of the time.
        plan.network.kernelQueueBytes = 100...1500
        expectClean(plan, seeds: 1...60) { expectResetPassedOn($0, fromClient: fromClient) }
    }

    /// A reset comes together with bytes, and the receive that takes these is not told of it.
    @Test(arguments: [true, false])
    func resetThatTheReceiveMisses(fromClient: Bool) {
        let resetting = PeerScript(steps: [.send(10), .pause(3000), .send(20), .reset])
        let idle = PeerScript()
        var plan = SimulationPlan.onePair(
            "reset that the receive misses",
            client: fromClient ? resetting : idle,
            backend: fromClient ? idle : resetting,
            ring: .roomy
        )
        plan.network.missedResets = 100
        var missed = 0
        expectClean(plan, seeds: 1...20) { simulation in
            expectResetPassedOn(simulation, fromClient: fromClient)
            missed += simulation.rings.reduce(0) { $0 + $1.missedResets }
        }
        #expect(missed >= 5, "\(missed) of 20")
    }

    /// Case 7: an idle backend hears of its client's reset at once.
    @Test(arguments: [true, false])
    func resetWithAnIdleOtherSide(fromClient: Bool) {
        let resetting = PeerScript(steps: [.send(10), .pause(3000), .reset])
        let idle = PeerScript()
        let plan = SimulationPlan.onePair(
            "reset with an idle other side",
            client: fromClient ? resetting : idle,
            backend: fromClient ? idle : resetting
        )
        expectClean(plan) { simulation in
            expectResetPassedOn(simulation, fromClient: fromClient)
            guard let pair = simulation.pair(of: 0) else { return }
            let (source, sink) = fromClient ? (pair.client, pair.upstream) : (pair.upstream, pair.client)
            #expect((sink.peer?.endSeenAt ?? .max) <= source.resetAt + 100)
        }
    }

    /// Case 8: the backend replies and closes without having read the request, which its kernel makes a reset of.
    @Test func closeWithUnreadData() {
        let plan = SimulationPlan.onePair(
            "close with unread data",
            client: PeerScript(steps: [.send(2000)]),
            backend: PeerScript(steps: [.send(700), .pause(50), .close], readPauses: [(0, 1_000_000)])
        )
        expectClean(plan) { simulation in
            guard let (client, upstream) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            #expect(upstream.hasPeerReset)
            #expect(client.readByPeer == 700 && client.peer?.sawEnd == false)
        }
    }

    /// A side that goes away while it is given what came before the other's reset is not waited for.
    @Test func bothReset() {
        let client = PeerScript(steps: [.pause(200), .reset], readPauses: [(0, 1_000_000)])
        let plan = SimulationPlan.onePair(
            "both reset",
            client: client,
            backend: .bulk([.send(3000), .reset])
        )
        expectClean(plan) { #expect($0.network.now < 3000) }
    }

    /// What a client said before its reset reaches a backend that was not even connected then.
    @Test func resetWhileConnecting() {
        var plan = SimulationPlan.onePair(
            "reset while connecting",
            client: PeerScript(steps: [.send(200), .reset]),
            backend: PeerScript()
        )
        plan.fateOfConnect = { random, _ in (.accept, random.below(3)) }
        expectClean(plan, seeds: 1...60) { simulation in
            // Either the connect was given up, or everything is delivered; the backend never sees an end.
            guard let upstream = simulation.network.connections.first(where: { !$0.isClient }) else { return }
            #expect(upstream.peer?.sawEnd != true)
        }
    }
}

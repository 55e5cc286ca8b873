// Owns the scenarios of inactivity: who is ended when, and who must not be.

import Testing

@testable import ShuttleEngine

@Suite struct TimeoutScenarioTests {
    private static let timeout = 1000

    private func plan(_ name: String, client: PeerScript, backend: PeerScript, isClientTimed: Bool) -> SimulationPlan {
        var plan = SimulationPlan.onePair(name, client: client, backend: backend)
        if isClientTimed {
            plan.services[0].clientTimeout = TimeoutScenarioTests.timeout
        } else {
            plan.services[0].serverTimeout = TimeoutScenarioTests.timeout
        }
        return plan
    }

    /// Both sides of an idle session are closed when its time has come and no sooner.
    @Test(arguments: [true, false])
    func idleSession(isClientTimed: Bool) {
        let talkative = PeerScript(steps: [.send(100), .awaitBytes(100)])
        let plan = plan("idle session", client: talkative, backend: talkative, isClientTimed: isClientTimed)
        expectClean(plan) { simulation in
            guard let (client, upstream) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            let last = max(client.lastRead, client.lastProgress, upstream.lastRead, upstream.lastProgress)
            let first = min(client.lastRead, client.lastProgress, upstream.lastRead, upstream.lastProgress)
            for peer in [client.peer, upstream.peer] {
                #expect(peer?.sawEnd == true, "nothing was owed: a clean end")
                #expect((peer?.endSeenAt ?? 0) >= first + 1000)
                #expect((peer?.endSeenAt ?? .max) <= last + 1250 + 50)
            }
        }
    }

    /// Case 21: output that nobody takes does not count as activity, however much the other direction says.
    @Test(arguments: [true, false])
    func stalledOutput(isClientTimed: Bool) {
        // It does not read; it talks all the time.
        let steps: [PeerScript.Step] = (0..<100).flatMap { _ in [.send(10), .pause(100)] }
        let stalling = PeerScript(steps: steps, readPauses: [(500, 1_000_000)])
        let flooding = PeerScript.bulk([.send(100_000), .awaitEnd])
        let plan = plan(
            "stalled output",
            client: isClientTimed ? stalling : flooding,
            backend: isClientTimed ? flooding : stalling,
            isClientTimed: isClientTimed
        )
        expectClean(plan) { simulation in
            guard let (client, upstream) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            let stalled = isClientTimed ? client : upstream
            let other = isClientTimed ? upstream : client
            #expect(stalled.hasProxyReset, "it was promised more")
            let ended = other.peer?.endSeenAt ?? .max
            #expect(ended >= stalled.lastAcknowledgement + 1000)
            #expect(ended <= stalled.lastAcknowledgement + 1250 + 50)
        }
    }

    /// A reader that takes a little every half second is not idle, though the send that feeds it was complete long ago.
    @Test(arguments: [true, false])
    func slowReaderLives(isClientTimed: Bool) {
        var slow = PeerScript(steps: [.finish], readChunk: 100)
        slow.readPauses = (0..<40).map { ($0 * 100, 500) }
        let talking = PeerScript.bulk([.send(4000), .awaitEnd])
        var plan = plan(
            "slow reader",
            client: isClientTimed ? slow : talking,
            backend: isClientTimed ? talking : slow,
            isClientTimed: isClientTimed
        )
        if isClientTimed { plan.isCalm = true }
        // The whole of it fits into the kernel's queue; the peer's takes little.
        plan.network.kernelQueueBytes = 100...4500
        expectClean(plan, seeds: 1...60) { simulation in
            guard let (client, upstream) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            let reader = isClientTimed ? client : upstream
            #expect(reader.readByPeer == 4000, "seed \(simulation.seed)")
            #expect(reader.peer?.sawEnd == true)
        }
    }

    /// Activity in either direction keeps a session alive for as long as it goes on.
    @Test(arguments: [true, false])
    func activityKeepsAlive(isClientTimed: Bool) {
        let steps: [PeerScript.Step] = (0..<12).flatMap { _ in [.send(5), .pause(700)] }
        var plan = plan(
            "activity",
            client: PeerScript(steps: steps + [.finish]),
            backend: PeerScript(steps: [.awaitEnd]),
            isClientTimed: isClientTimed
        )
        plan.isCalm = true
        expectClean(plan, seeds: 1...10)
    }

    /// Cut at the drain's deadline: everything ends at once, and nobody takes a cut stream for a whole one.
    @Test func cutEndsEverything() {
        var plan = SimulationPlan.oneService("cut", backends: 2, rings: 2)
        plan.arrive(20, every: 5, .bulk([.send(100_000), .awaitEnd], chunk: 500))
        plan.backendScript = { _, _ in .bulk([.send(100_000), .awaitEnd], chunk: 500) }
        plan.network.kernelQueueBytes = 100...2000
        plan.cutAfter = 50
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.network.now < 1000 + 95 + 50 + 2000)
        }
    }
}

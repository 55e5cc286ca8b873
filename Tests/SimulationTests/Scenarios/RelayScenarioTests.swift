// Owns the scenarios of streams that end properly: half-closes in every order, who speaks first, chunk boundaries.

import Testing

@testable import ShuttleEngine

@Suite struct RelayScenarioTests {
    static let rings: [RingSettings] = [.roomy, .roomyOneShot]

    /// Case 1: the client ends first; the reply comes two seconds later, a megabyte, and then the end.
    @Test(arguments: rings)
    func clientHalfClose(ring: RingSettings) {
        var ring = ring
        ring.bufferSize = 4096
        let reply = 1 << 20
        var plan = SimulationPlan.onePair(
            "client half-close",
            client: .bulk([.send(5000), .finish]),
            backend: .bulk([.awaitEnd, .pause(2000), .send(reply), .finish]),
            ring: ring
        )
        plan.network.kernelQueueBytes = 4096...65_536
        plan.isCalm = true
        expectClean(plan, seeds: 1...3) { simulation in
            guard let (client, upstream) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            #expect(client.readByPeer == reply && client.peer?.sawEnd == true)
            #expect(upstream.readByPeer == 5000 && upstream.peer?.sawEnd == true)
            #expect((client.peer?.endSeenAt ?? 0) >= (upstream.peer?.endSeenAt ?? 0) + 2000)
        }
    }

    /// Case 2: the backend ends first; the client goes on to send.
    @Test(arguments: rings)
    func backendHalfClose(ring: RingSettings) {
        var plan = SimulationPlan.onePair(
            "backend half-close",
            client: .bulk([.awaitEnd, .pause(2000), .send(50_000), .finish]),
            backend: .bulk([.send(5000), .finish]),
            ring: ring
        )
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            guard let (client, upstream) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            #expect(client.readByPeer == 5000 && upstream.readByPeer == 50_000)
            #expect((upstream.peer?.endSeenAt ?? 0) >= (client.peer?.endSeenAt ?? 0) + 2000)
        }
    }

    /// Case 3: both ends cross each other, with and without bytes before them.
    @Test(arguments: [0, 1, 3000])
    func bothEndAtOnce(bytes: Int) {
        let steps: [PeerScript.Step] = bytes > 0 ? [.send(bytes), .finish] : [.finish]
        var plan = SimulationPlan.oneService("both end at once")
        plan.arrive(5, .bulk(steps))
        plan.backendScript = { _, _ in .bulk(steps) }
        plan.isCalm = true
        expectClean(plan) { simulation in
            // Nothing to wait for: the sessions end as fast as bytes travel.
            #expect(simulation.network.now < 3000)
        }
    }

    /// Case 4: the banner arrives although the client has not said a word.
    @Test func serverSpeaksFirst() {
        var plan = SimulationPlan.oneService("server speaks first")
        plan.arrive(3, PeerScript(steps: [.awaitBytes(50), .send(20), .awaitBytes(100), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(50), .awaitBytes(20), .send(50), .awaitEnd]) }
        plan.isCalm = true
        expectClean(plan) { simulation in
            #expect(simulation.network.now < 3000)
        }
    }

    /// Case 13: amounts around the size of a buffer and around the most that a direction may hold, in pieces that end
    /// anywhere.
    @Test(arguments: rings)
    func chunkBoundaries(ring: RingSettings) {
        let buffer = ring.bufferSize
        let held = FlowLimits.buffersMax * buffer
        let amounts = [0, 1, buffer - 1, buffer, buffer + 1, held - 1, held, held + 1]
        var plan = SimulationPlan.oneService("chunk boundaries", ring: ring)
        for (index, up) in amounts.enumerated() {
            let chunk = [1, buffer, buffer + 1, held + 1][index % 4]
            plan.arrivals.append(
                .init(
                    at: 0, port: 81,
                    script: .bulk([.send(up), .finish].filter { $0 != .send(0) }, chunk: max(chunk, 7)))
            )
        }
        plan.backendScript = { random, _ in
            let down = random.pick(amounts)
            return .bulk(
                down == 0 ? [.awaitEnd] : [.send(down), .awaitEnd], chunk: random.pick([7, buffer, held + 1]))
        }
        plan.network.kernelQueueBytes = 1...(held + buffer)
        plan.network.shortReceives = 20
        plan.isCalm = true
        expectClean(plan, seeds: 1...10)
    }
}

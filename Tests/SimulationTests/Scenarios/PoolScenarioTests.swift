// Owns the scenarios of bounded memory: slow readers, tiny pools, and that neither harms the others.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct PoolScenarioTests {
    /// Case 9: clients that never read while their backends flood hold a bounded number of buffers each, their sources
    /// are not read on, and others are served as ever.
    @Test(arguments: [RingSettings.roomy, .roomyOneShot])
    func slowReaders(ring: RingSettings) {
        var plan = SimulationPlan.oneService("slow readers", ring: ring)
        plan.slots = 128
        plan.sessionCapacity = 128
        let stalled = 15
        let flood = 30_000
        plan.arrive(stalled, PeerScript(steps: [.pause(60_000), .reset], readPauses: [(0, 1_000_000)]))
        plan.arrive(10, every: 10, from: 500, PeerScript(steps: [.send(1000), .awaitBytes(1000), .finish]))
        plan.backendScript = { _, _ in .bulk([.send(flood), .awaitEnd], chunk: 2000) }
        plan.network.kernelQueueBytes = 1000...4000
        expectClean(plan, seeds: 1...2) { simulation in
            #expect(simulation.buffersHeldMax <= 2 * FlowLimits.buffersMax)
            for client in simulation.clients[0..<stalled] {
                let sent = client?.session?.upstream?.sentByPeer ?? 0
                // The kernel's queues on the way, and what the direction may hold.
                #expect(sent > 0 && sent < 3 * 4000 + 2 * FlowLimits.buffersMax * ring.bufferSize)
            }
            for client in simulation.clients[stalled...] {
                #expect(client?.readByPeer == flood)
                #expect((client?.peer?.endSeenAt ?? .max) < 20_000, "while the others still stood")
            }
        }
    }

    /// Case 10: in a pool of 64, one reader stalls with all it may have; thirty other sessions go on.
    @Test(arguments: [true, false])
    func oneStalledReader(hasReceiveLimit: Bool) {
        let ring = RingSettings(bufferCount: 64, bufferSize: 64, providedMax: 16, hasReceiveLimit: hasReceiveLimit)
        var plan = SimulationPlan.oneService("one stalled reader", ring: ring)
        plan.arrive(1, PeerScript(steps: [.pause(60_000), .reset], readPauses: [(0, 1_000_000)]))
        plan.arrive(30, every: 20, from: 100, PeerScript(steps: [.send(500), .awaitBytes(500), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(500), .awaitEnd]) }
        plan.network.kernelQueueBytes = 50...200
        expectClean(plan, seeds: 1...10) { simulation in
            for client in simulation.clients[1...] {
                #expect(client?.readByPeer == 500 && client?.peer?.sawEnd == true)
                #expect((client?.peer?.endSeenAt ?? .max) < 20_000)
            }
        }
    }

    /// Case 11, on this level: a reader that resumes after ten seconds gets the rest.
    @Test func stalledReaderResumes() {
        var plan = SimulationPlan.onePair(
            "stalled reader resumes",
            client: PeerScript(steps: [.finish], readChunk: 5000, readPauses: [(3000, 10_000)]),
            backend: .bulk([.send(200_000), .awaitEnd])
        )
        plan.isCalm = true
        expectClean(plan, seeds: 1...10)
    }

    /// Case 15: pools of 8 and of 2 for twenty busy sessions. All complete; receives that find no buffer are bounded by
    /// the buffers that come back.
    @Test(arguments: [2, 8], [true, false])
    func storm(buffers: Int, hasReceiveLimit: Bool) {
        let ring = RingSettings(
            bufferCount: buffers,
            bufferSize: 64,
            providedMax: buffers,
            hasReceiveLimit: hasReceiveLimit
        )
        var plan = SimulationPlan.oneService("no buffers", ring: ring)
        plan.arrive(20, .bulk([.send(2000), .finish]))
        plan.backendScript = { _, _ in .bulk([.send(2000), .awaitEnd]) }
        plan.isCalm = true
        // Spliced bytes need no buffers.
        expectClean(plan, seeds: 1...3, splicing: [.never]) { simulation in
            let reported = simulation.rings[0].starvationsReported
            let pieces = simulation.network.connections.reduce(0) { $0 + $1.readByProxy } / 64
            #expect(reported > 20, "the storm did not take place")
            #expect(reported < 8 * pieces, "\(reported) receives found no buffer for \(pieces) that were filled")
            let counted = simulation.links[0].pointee.starvations.load(ordering: .relaxed)
            #expect(counted <= UInt64(reported))
        }
    }

    /// Sessions that were refused a buffer though they had nothing to receive stand in line before those that have.
    /// Nobody may be left waiting while buffers are free.
    @Test(arguments: [true, false])
    func nobodyWaitsBesideFreeBuffers(hasReceiveLimit: Bool) {
        let ring = RingSettings(bufferCount: 2, bufferSize: 64, providedMax: 2, hasReceiveLimit: hasReceiveLimit)
        var plan = SimulationPlan.oneService("waiting beside free buffers", ring: ring)
        plan.arrive(12, PeerScript(steps: [.send(200), .pause(3000), .send(200), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(200), .awaitEnd]) }
        plan.network.kernelQueueBytes = 20...100
        plan.isCalm = true
        expectClean(plan, seeds: 1...20)
    }
}

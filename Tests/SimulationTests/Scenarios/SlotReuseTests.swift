// Owns the scenarios of numbers that are used again: slots, descriptors, buffers. Case 29.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct SlotReuseTests {
    /// Two slots for sixty sessions, descriptors given again at once, and completions of earlier users that come once
    /// more: every one of those is counted and dropped, and no byte crosses over.
    @Test(arguments: [true, false])
    func lateCompletionsMeetNewUsers(hasReceiveLimit: Bool) {
        var ring = RingSettings(bufferCount: 8, bufferSize: 32, providedMax: 8, hasReceiveLimit: hasReceiveLimit)
        ring.batchMax = 4
        var plan = SimulationPlan.oneService("late completions", backends: 2, ring: ring)
        plan.slots = 2
        plan.sessionCapacity = 2
        plan.network.lateDuplicates = 80
        plan.network.lateCancels = 60
        plan.arrive(60, PeerScript(steps: [.send(100), .finish]))
        plan.backendScript = { random, _ in
            PeerScript(steps: random.chance(30) ? [.send(60), .reset] : [.send(100), .awaitEnd])
        }
        var duplicates = 0
        expectClean(plan, seeds: 1...5) { simulation in
            duplicates += simulation.rings[0].duplicates
            let stale = simulation.links[0].pointee.staleCompletions.load(ordering: .relaxed)
            #expect(stale == UInt64(simulation.rings[0].duplicates))
            let generations = simulation.network.ledger.sessions.map(\.generation).max() ?? 0
            #expect(generations >= 25, "slots were used again and again")
            #expect(simulation.network.connections.count > 100)
        }
        #expect(duplicates > 50, "too few late completions to prove anything")
    }

    /// Without duplicates nothing is ever stale: a slot is freed only when its last completion has come.
    @Test func nothingIsStale() {
        var plan = SimulationPlan.oneService("nothing stale", backends: 2)
        plan.slots = 3
        plan.sessionCapacity = 3
        plan.network.lateCancels = 100
        plan.arrive(40, PeerScript(steps: [.send(500), .reset]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(500), .awaitEnd]) }
        expectClean(plan) { simulation in
            #expect(simulation.links[0].pointee.staleCompletions.load(ordering: .relaxed) == 0)
        }
    }
}

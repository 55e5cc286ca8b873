// Owns the proof that the simulation notices: faults are put into the simulated kernel one at a time, and each must be
// found and called by its name.

import Testing

@testable import ShuttleEngine

@Suite struct MutantTests {
    /// Enough sessions in few slots for every fault to find its occasion.
    private static func plan(_ mutant: Mutant) -> SimulationPlan {
        var plan = SimulationPlan(name: "mutant \(mutant)")
        plan.rings = [RingSettings(bufferCount: 600, bufferSize: 32, providedMax: 32)]
        plan.slots = 4
        plan.sessionCapacity = 4
        plan.services = [
            ServicePlan(name: "a", port: 81, backends: [.init(name: "s", port: 1001), .init(name: "t", port: 1002)])
        ]
        let isReset = mutant == .endInsteadOfReset
        plan.arrivals = (0..<12).map { _ in
            .init(
                at: 0, port: 81, script: PeerScript(steps: [.send(700), .awaitBytes(300), isReset ? .reset : .finish]))
        }
        plan.backendScript = { _, _ in PeerScript(steps: [.send(600), .awaitEnd]) }
        if mutant.isOfSplicing { addSplicing(&plan, mutant) }
        // Sessions that hang on a lost completion would be cut short by patience: rest is judged before it ends.
        plan.mutant = mutant
        return plan
    }

    /// Everything is spliced, and sinks are often full. Two of the faults show when a session is cut.
    private static func addSplicing(_ plan: inout SimulationPlan, _ mutant: Mutant) {
        plan.splicePolicies = [.atOnce]
        plan.network.kernelQueueBytes = 50...200
        plan.backendScript = { _, _ in PeerScript(steps: [.send(3000), .awaitEnd]) }
        guard mutant == .keepPipe || mutant == .forgetReadiness else { return }
        plan.backendScript = { _, _ in PeerScript(steps: [.send(100_000), .awaitEnd]) }
        plan.cutAfter = 50
    }

    @Test(arguments: Mutant.allCases)
    func isFound(_ mutant: Mutant) {
        var happened = 0
        for seed in UInt64(1)...10 {
            let simulation = Simulation(MutantTests.plan(mutant), seed: seed)
            let violation = simulation.run()
            guard simulation.network.mutant == nil else { continue }
            happened += 1
            guard let violation else {
                Issue.record("seed \(seed): \(mutant) was not noticed")
                continue
            }
            #expect(mutant.kinds.contains(violation.kind), "seed \(seed): \(violation)")
        }
        #expect(happened >= 5, "the fault found hardly an occasion")
    }

    @Test func withoutAFaultThePlanIsClean() {
        for mutant in [Mutant.dropByte, .endInsteadOfReset, .spliceTwice, .keepPipe] {
            var plan = MutantTests.plan(mutant)
            plan.mutant = nil
            expectClean(plan, seeds: 1...10, splicing: mutant.isOfSplicing ? [.atOnce] : [.never])
        }
    }
}

// Owns the limits that a seed's services have, and how they change in the course of a run.

@testable import ShuttleEngine

extension SimulationPlan {
    /// Drawn apart, so that what a seed draws besides is the same with and without them.
    static func drawLimits(_ plan: inout SimulationPlan, _ seed: UInt64) {
        let random = SeededRandom(seed: seed ^ 0x11b1_7500_0000_0000)
        guard random.chance(60) else { return }
        let isCalm = plan.isCalm
        for index in plan.services.indices where random.chance(70) {
            drawLimits(of: &plan.services[index], random, isCalm: isCalm)
        }
        let addresses = random.pick([1, 2, 5])
        for index in plan.arrivals.indices { plan.arrivals[index].client = random.below(addresses) }
        if random.chance(60) {
            for index in plan.arrivals.indices { plan.arrivals[index].at /= random.pick([10, 1000]) }
            plan.arrivals.sort { $0.at < $1.at }
        }
        guard random.chance(60) else { return }
        let last = plan.arrivals.last?.at ?? 0
        let changes = (0..<random.within(1...6)).map { _ in
            Change(
                at: random.within(0...(last + 500)),
                action: { control, random in
                    var plans = control.plans
                    guard !plans.isEmpty else { return }
                    drawLimits(of: &plans[random.below(plans.count)], random, isCalm: isCalm)
                    _ = control.commit(plans)
                })
        }
        plan.changes = (plan.changes + changes).sorted { $0.at < $1.at }
    }

    /// On a calm day everybody is served in the end: whoever is one too many waits, for as long as it takes.
    private static func drawLimits(of service: inout ServicePlan, _ random: SeededRandom, isCalm: Bool) {
        service.connectionsMax = random.pick([0, 1, 1, 1, 2])
        service.queueLimit = isCalm ? 100 : random.pick([0, 1, 1, 2, 30])
        guard !isCalm else { return }
        // Without one whoever waits for a backend that never comes up waits for ever.
        service.queueTimeout = random.pick([20, 200, 3000, 20_000])
        service.connectionsPerClientMax = random.pick([0, 0, 0, 1, 2])
        service.isInMaintenance = random.chance(10)
    }
}

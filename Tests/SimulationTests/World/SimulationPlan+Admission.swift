// Owns the lists of who may come in and the limits of rate and bandwidth that a seed's services have, and how they change
// in the course of a run.

@testable import ShuttleEngine

extension SimulationPlan {
    /// Drawn apart, so that what a seed draws besides is the same with and without them; and only for services that turn
    /// clients away anyway, since what the others choose is checked exactly.
    static func drawAdmission(_ plan: inout SimulationPlan, _ seed: UInt64) {
        drawChanging(&plan, SeededRandom(seed: seed ^ 0xacce_5500_0000_0000)) { service, random in
            drawAccess(of: &service, random)
        }
        let isCalm = plan.isCalm
        drawChanging(&plan, SeededRandom(seed: seed ^ 0x9a7e_0000_0000_0000)) { service, random in
            drawRate(of: &service, random, isCalm: isCalm)
        }
        drawChanging(&plan, SeededRandom(seed: seed ^ 0xba9d_0000_0000_0000)) { service, random in
            service.bandwidth = drawBandwidth(random)
            service.serviceBandwidth = drawBandwidth(random)
        }
    }

    private static func drawChanging(
        _ plan: inout SimulationPlan,
        _ random: SeededRandom,
        _ draw: @escaping (inout ServicePlan, SeededRandom) -> Void
    ) {
        guard random.chance(50) else { return }
        for index in plan.services.indices where plan.services[index].isLimited && random.chance(60) {
            draw(&plan.services[index], random)
        }
        let last = plan.arrivals.last?.at ?? 0
        let changes = (0..<random.below(4)).map { _ in
            Change(
                at: random.within(0...(last + 500)),
                action: { control, random in
                    var plans = control.plans
                    guard let index = plans.indices.first(where: { plans[$0].isLimited }) else { return }
                    draw(&plans[index], random)
                    _ = control.commit(plans)
                })
        }
        plan.changes = (plan.changes + changes).sorted { $0.at < $1.at }
    }

    /// Clients come from a few addresses that begin at 10.0.0.1.
    private static func drawAccess(of service: inout ServicePlan, _ random: SeededRandom) {
        service.allow = random.pick([[], [], ["10.0.0.0/30"], ["10.0.0.4/31", "10.0.0.1"], ["::/0"]])
        service.deny = random.pick([[], ["10.0.0.1"], ["10.0.0.2/31"], ["10.0.0.0/29"]])
    }

    /// On a calm day everybody is served in the end: whoever comes too early waits.
    private static func drawRate(of service: inout ServicePlan, _ random: SeededRandom, isCalm: Bool) {
        var limit = RateLimitConfiguration()
        limit.perSecond = random.pick(isCalm ? [20, 1000] : [1, 20, 1000])
        limit.burst = random.pick([1, 3, 30])
        limit.action = isCalm ? .delay : random.pick([.refuse, .delay, .delay])
        limit.scope = random.pick([.service, .client])
        service.rateLimit = random.chance(80) ? limit : nil
    }

    private static func drawBandwidth(_ random: SeededRandom) -> BandwidthConfiguration {
        var limit = BandwidthConfiguration()
        limit.uploadBytesPerSecond = random.pick([0, 0, 1024, 10_000, 1_000_000])
        limit.downloadBytesPerSecond = random.pick([0, 0, 1024, 10_000, 1_000_000])
        return limit
    }
}

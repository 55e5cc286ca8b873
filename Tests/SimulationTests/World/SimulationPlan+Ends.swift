// Owns what a seed draws of the ways in which a service, or the kernel for it, ends sessions that their peers do not:
// half-close, age, keepalive; of resets that receives miss; of the addresses that its connections come from; and of
// backends that ramp.

@testable import ShuttleEngine

extension SimulationPlan {
    /// From a sequence of its own, so that the rest of a seed stays what it is.
    static func drawEnds(_ plan: inout SimulationPlan, _ seed: UInt64) {
        let random = SeededRandom(seed: seed ^ 0xe4d5_0000_0000_beef)
        for index in plan.services.indices {
            if random.chance(25) { plan.services[index].halfCloseTimeout = random.within(1...5000) }
            if random.chance(20) { plan.services[index].halfClose = false }
            if random.chance(20) {
                plan.services[index].maxLifetime = random.within(1...5000)
                plan.services[index].maxLifetimeJitter = random.within(0...100)
            }
            if random.chance(40) { plan.services[index].drainTimeout = random.within(1...3000) }
            if random.chance(30) { plan.services[index].sources = (1...random.within(1...4)).map { "127.0.1.\($0)" } }
            plan.services[index].keepaliveIdle = random.pick([0, 1000, 5000, 60_000, 60_000])
            if random.chance(20) { plan.services[index].userTimeout = random.within(1...60_000) }
        }
        plan.network.missedResets = random.pick([0, 50, 100, 100])
        if random.chance(10) {
            plan.operatorPlan = OperatorPlan(
                asksPercent: random.pick([1, 10, 50]), endsPercent: random.pick([0, 20, 100]))
        }
    }

    /// As above. Time is looked at with every change that there is, and a few times more, when backends come up as well.
    static func drawSlowStarts(_ plan: inout SimulationPlan, _ seed: UInt64) {
        let random = SeededRandom(seed: seed ^ 0x5105_57a2_7000_0000)
        guard !plan.changes.isEmpty, random.chance(90) else { return }
        let isCalm = plan.isCalm
        for service in plan.services.indices {
            for backend in plan.services[service].backends.indices where random.chance(90) {
                plan.services[service].backends[backend].slowStart = random.pick([50, 1000, 20_000, 20_000])
            }
        }
        let last = (plan.changes.last?.at ?? 0) + 1000
        let looks = (0..<random.within(5...30)).map { _ in
            Change(
                at: random.below(last),
                action: { control, random in
                    control.judgeTraffic()
                    guard !isCalm, !control.present.isEmpty else { return }
                    control.setHealth(random.pick(control.present), isUp: random.chance(70))
                },
                needsSettled: false
            )
        }
        plan.changes = (plan.changes + looks).sorted { $0.at < $1.at }
    }
}

// Owns which of a seed's services and backends are on unix sockets, and what connects to those meet: full listen queues,
// files that are missing or belong to somebody else.

import Glibc

@testable import ShuttleEngine

extension SimulationPlan {
    /// From a sequence of its own, so that the rest of a seed stays what it is. Last, for what it changes is what others drew.
    static func drawUnixSockets(_ plan: inout SimulationPlan, _ seed: UInt64) {
        let random = SeededRandom(seed: seed ^ 0x0041_f5ec_0000_0000)
        guard random.chance(40) else { return }
        plan.network.unixBackends = random.pick([0, 30, 60, 100])
        plan.network.unixListeners = random.pick([0, 50, 100])
        plan.network.unixSalt = UInt64(random.below(1 << 30))
        let fullQueues = random.pick([0, 10, 50])
        let (network, isCalm, fateOfOthers) = (plan.network, plan.isCalm, plan.fateOfConnect)
        plan.fateOfConnect = { random, port in
            let (fate, delay) = fateOfOthers(random, port)
            guard network.isUnixBackend(port) else { return (fate, delay) }
            if random.chance(fullQueues) { return (.silence, 0) }
            // No host that could be out of reach.
            if case .fail = fate { return (.fail(random.pick([ECONNREFUSED, ENOENT, EACCES])), 0) }
            return (isCalm ? .accept : fate, 0)
        }
    }
}

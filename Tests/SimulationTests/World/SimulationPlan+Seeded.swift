// Owns what a seed stands for: a machine, services, clients and mishaps drawn at random. Each seed has some of the
// mishaps and lacks others, so that each is also met alone.

import Glibc

@testable import ShuttleEngine

extension SimulationPlan {
    /// The plan of a seed of the suite.
    static func seeded(_ seed: UInt64) -> SimulationPlan {
        // Not the sequence that the run itself draws from.
        let random = SeededRandom(seed: seed ^ 0xdead_beef_0000_0000)
        var plan = SimulationPlan(name: "seeded simulation")
        plan.isCalm = random.chance(20)
        drawMachine(&plan, random)
        if !plan.isCalm { drawFaults(&plan, random) }
        drawServices(&plan, random)
        drawSplicing(&plan, random)
        let isClogged = !plan.isCalm && random.chance(30)
        drawPeers(&plan, random, stalls: isClogged ? 80 : random.pick([0, 10, 50]))
        let hasChanges = random.chance(60)
        if hasChanges { drawChanges(&plan, random) }
        if !plan.isCalm, random.chance(20) { plan.cutAfter = random.within(0...2000) }
        if isClogged { clog(&plan, random) }
        drawLimits(&plan, seed)
        drawAdmission(&plan, seed)
        if !plan.isCalm { drawEnds(&plan, seed) }
        drawSlowStarts(&plan, seed)
        drawUnixSockets(&plan, seed)
        plan.hasExactTurns = plan.isCalm && !hasChanges
        return plan
    }

    private static func drawMachine(_ plan: inout SimulationPlan, _ random: SeededRandom) {
        // A flow gets several buffers only from large pools.
        let buffers = random.pick([2, 3, 4, 8, 16, 64, 300, 1100])
        plan.rings = (0..<random.pick([1, 1, 2, 3])).map { _ in
            RingSettings(
                bufferCount: buffers,
                bufferSize: random.pick([16, 64, 256, 1024]),
                providedMax: random.within(1...buffers),
                hasReceiveLimit: random.chance(70),
                hasBundles: random.chance(50),
                hasMinimumWait: random.chance(50),
                hasMessageWake: random.chance(50),
                piecesMax: random.pick([1, 2, 32]),
                submissionsMax: random.pick([1, 3, 64]),
                batchMax: random.pick([1, 4, 32])
            )
        }
        plan.slots = random.pick([2, 4, 16])
        plan.sessionCapacity = random.within(1...plan.slots)
        plan.network.kernelQueueBytes = random.pick([1...64, 64...512, 1...4096, 1000...16_384])
    }

    private static func drawFaults(_ plan: inout SimulationPlan, _ random: SeededRandom) {
        let often = [0, 0, 0, 2, 10, 40]
        plan.network.shortReceives = random.pick(often)
        plan.network.brokenMultishots = random.pick(often)
        plan.network.acceptAborts = random.pick([0, 0, 5, 30])
        plan.network.descriptorShortages = random.pick([0, 0, 5, 30])
        plan.network.portShortages = random.pick([0, 0, 5, 30])
        plan.network.lostWakes = random.pick([0, 0, 30])
        plan.network.pathFailures = random.pick([0, 0, 0, 20])
        plan.network.lateCancels = random.pick([0, 30, 100])
        plan.network.lateDuplicates = random.pick([0, 0, 20])
        if random.chance(20) { plan.network.descriptorLimit = random.within(5...20) }
    }

    private static func drawServices(_ plan: inout SimulationPlan, _ random: SeededRandom) {
        let isCalm = plan.isCalm
        let names = ["a", "b", "c"].prefix(random.within(1...3))
        var port: UInt16 = 1001
        plan.services = names.enumerated().map { index, name in
            var service = ServicePlan(name: name, port: UInt16(81 + index))
            for number in 0..<random.within(isCalm ? 1...4 : 0...4) {
                let weight = random.pick(isCalm ? [1, 1, 2, 5] : [0, 1, 1, 2, 5])
                service.backends.append(ServicePlan.Backend(name: "s\(number)", port: port, weight: weight))
                port += 1
            }
            service.balance = random.pick([.roundRobin, .leastConnections] + BalanceAlgorithm.allCases)
            if !isCalm { drawRules(&service, random) }
            // Time may pass before the network gets to a connect.
            service.connectTimeout = random.within(isCalm ? 1000...2000 : 1...2000)
            if !isCalm && random.chance(25) { service.clientTimeout = random.within(50...5000) }
            if !isCalm && random.chance(25) { service.serverTimeout = random.within(50...5000) }
            return service
        }
        guard !isCalm else { return }
        // Some ports belong to hosts that are in trouble, for all of the run.
        let troubled = random.pick([0, 0, 30, 60])
        plan.fateOfConnect = { random, port in
            let delay = random.pick([0, 0, 1, 20, 300])
            let hash = Int(port) &* 2_654_435_761 >> 7 & 0xff
            guard hash % 100 < troubled else { return (random.chance(3) ? .fail(ECONNREFUSED) : .accept, delay) }
            return (
                random.pick([.fail(ECONNREFUSED), .fail(EHOSTUNREACH), .fail(ETIMEDOUT), .silence, .accept]), delay
            )
        }
    }

    /// What bounds or bends the choice of a backend.
    private static func drawRules(_ service: inout ServicePlan, _ random: SeededRandom) {
        let (limits, backups, rests) = (random.pick([0, 0, 60]), random.pick([0, 0, 40]), random.pick([0, 0, 20]))
        for index in service.backends.indices {
            if random.chance(limits) { service.backends[index].connectionsMax = random.within(1...3) }
            service.backends[index].isBackup = random.chance(backups)
            if random.chance(rests) { service.backends[index].state = random.pick([.drain, .maintenance]) }
        }
        // A run is short.
        service.passive.failures = 1
        service.passive.downTimeMilliseconds = 300
        service.retries = random.pick([2, 2, 0, 1, 3, 7])
        if random.chance(25) { service.retryTimeout = random.within(1...3000) }
    }

    private static func drawSplicing(_ plan: inout SimulationPlan, _ random: SeededRandom) {
        let limit = random.pick([0, 1, 2, 64])
        let bytes = random.pick([1...1, 1...16, 16...256, 1...4096])
        for index in plan.rings.indices {
            plan.rings[index].pipeLimit = limit
            plan.rings[index].pipeBytes = bytes
        }
        let drawn = SplicePolicy.drawn(random)
        plan.splicePolicies = random.pick([
            [.never], [.atOnce], [drawn], [.toAndFro], [.atOnce, .backAtOnce], [.never, .atOnce, .toAndFro, drawn],
        ])
        let often = [0, 0, 2, 10, 40]
        plan.network.pipeFailures = random.pick(often)
        plan.network.spliceRefusals = random.pick(often)
        // A calm day has no resets.
        if !plan.isCalm { plan.network.resetsUnderSplices = random.pick([0, 0, 5]) }
    }

    /// Sockets that are full most of the time and pipes that hold much, so that sessions end with bytes on their way.
    private static func clog(_ plan: inout SimulationPlan, _ random: SeededRandom) {
        plan.network.kernelQueueBytes = random.pick([1...16, 1...64, 64...512])
        for index in plan.rings.indices { plan.rings[index].pipeBytes = 512...4096 }
        if random.chance(50) {
            for index in plan.rings.indices { plan.rings[index].pipeLimit = 64 }
            plan.network.pipeFailures = 0
            plan.splicePolicies = [.atOnce]
        }
        for index in plan.arrivals.indices where !plan.arrivals[index].script.readPauses.isEmpty {
            plan.arrivals[index].script.readPauses[0].offset = random.below(64)
        }
        switch random.below(3) {
        case 0:
            // While many are there.
            for index in plan.arrivals.indices { plan.arrivals[index].at = 0 }
            plan.cutAfter = random.within(0...100)
        case 1:
            for index in plan.services.indices {
                plan.services[index].clientTimeout = random.within(50...1000)
                plan.services[index].serverTimeout = random.within(50...1000)
            }
        default: break
        }
    }

    // MARK: Peers

    private static func drawPeers(_ plan: inout SimulationPlan, _ random: SeededRandom, stalls: Int) {
        let bufferSize = plan.rings.map(\.bufferSize).min() ?? 16
        // Enough to fill queues, not so much that a run takes long.
        let bytesMax = min(6000, bufferSize * random.pick([4, 20, 60]))
        let isCalm = plan.isCalm
        let resets = isCalm ? 0 : random.pick([0, 10, 40])
        var time = 0
        let gap = random.pick([0, 5, 200])
        plan.arrivals = (0..<random.within(3...20)).map { _ in
            time += random.within(0...gap)
            var script = PeerScript.drawn(
                random,
                bytesMax: bytesMax,
                resets: resets,
                stalls: stalls,
                isCalm: isCalm,
                isClient: true
            )
            // One of the two must end by itself.
            if isCalm { script.steps.append(.finish) }
            return Arrival(at: time, port: 0, script: script)
        }
        plan.backendScript = { random, _ in
            PeerScript.drawn(
                random,
                bytesMax: bytesMax,
                resets: resets,
                stalls: stalls,
                isCalm: isCalm,
                isClient: false
            )
        }
    }

    // MARK: Changes

    private static func drawChanges(_ plan: inout SimulationPlan, _ random: SeededRandom) {
        var time = 0
        let gap = max(10, (plan.arrivals.last?.at ?? 0) / 3)
        let isCalm = plan.isCalm
        var nextPort: UInt16 = 2001
        plan.changes = (0..<random.within(1...10)).map { _ in
            time += random.within(0...gap)
            // A calm run must always have somebody to serve.
            let kind = random.below(isCalm ? 4 : 12)
            let port = nextPort
            nextPort += 1
            return Change(
                at: time,
                action: { control, random in
                    control.judgeTraffic()
                    change(control, random, kind: kind, newPort: port)
                },
                needsSettled: kind < 7 || kind > 8
            )
        }
    }

    private static func change(_ control: SimulatedControl, _ random: SeededRandom, kind: Int, newPort: UInt16) {
        var plans = control.plans
        let index = plans.isEmpty ? 0 : random.below(plans.count)
        let fresh = ServicePlan.Backend(name: "n\(newPort)", port: newPort, weight: random.within(1...3))
        switch kind {
        case 0 where !plans.isEmpty:
            plans[index].backends.append(fresh)
        case 1 where !plans.isEmpty:
            // The whole pool at once.
            plans[index].backends = [fresh]
        case 2 where !plans.isEmpty:
            for backend in plans[index].backends.indices {
                plans[index].backends[backend].weight = random.within(1...4)
            }
        case 3 where plans.count > 1:
            // Services change places: their addresses stay open.
            let port = plans[0].port
            plans[0].port = plans[1].port
            plans[1].port = port
        case 4 where !plans.isEmpty && !plans[index].backends.isEmpty:
            plans[index].backends.removeFirst()
        case 5 where !plans.isEmpty:
            plans.remove(at: index)
        case 6:
            guard let name = ["a", "b", "c"].first(where: { name in !plans.contains { $0.name == name } }),
                let port = (UInt16(81)...85).first(where: { port in !plans.contains { $0.port == port } })
            else { return }
            plans.append(ServicePlan(name: name, port: port, backends: [fresh]))
        case 7, 8:
            let present = control.present
            if !present.isEmpty { control.setHealth(random.pick(present), isUp: random.chance(50)) }
            return
        case 9 where !plans.isEmpty && !plans[index].backends.isEmpty:
            let backend = random.below(plans[index].backends.count)
            plans[index].backends[backend].state = random.pick([.ready, .ready, .drain, .maintenance])
        case 10 where !plans.isEmpty && !plans[index].backends.isEmpty:
            let backend = random.below(plans[index].backends.count)
            plans[index].backends[backend].connectionsMax = random.pick([0, 1, 2, 5])
        case 11 where !plans.isEmpty && !plans[index].backends.isEmpty:
            plans[index].backends[random.below(plans[index].backends.count)].isBackup.toggle()
        default: return
        }
        _ = control.commit(plans)
    }
}

extension PeerScript {
    /// `resets` and `stalls` in percent; calm peers end properly, however late.
    static func drawn(
        _ random: SeededRandom,
        bytesMax: Int,
        resets: Int,
        stalls: Int,
        isCalm: Bool,
        isClient: Bool
    ) -> PeerScript {
        var script = PeerScript()
        script.sendChunk = random.pick([1, 7, 100, 5000])
        script.readChunk = random.pick([1, 50, 5000])
        // Every piece takes some steps.
        let limit = script.sendChunk < 100 ? min(150 * script.sendChunk, bytesMax) : bytesMax
        if random.chance(20) { script.steps.append(.pause(random.within(1...500))) }
        // Two who wait for each other would come to no end.
        if random.chance(30), !(isCalm && isClient) { script.steps.append(.awaitBytes(random.within(1...limit))) }
        for _ in 0..<random.within(0...2) {
            script.steps.append(.send(random.within(1...limit)))
            if random.chance(20) { script.steps.append(.pause(random.within(1...2000))) }
        }
        if random.chance(stalls) {
            let forever = isCalm ? 2000 : random.pick([100, 3000, 20_000, 400_000])
            script.readPauses = [(random.below(limit), random.within(1...forever))]
        }
        if random.chance(resets) {
            script.steps.append(.reset)
            return script
        }
        switch random.below(isCalm ? 1 : 4) {
        case 0: break
        case 1: script.steps.append(.finish)
        case 2: script.steps.append(.close)
        default: script.steps += [.awaitEnd, .finish]
        }
        script.patience = isCalm ? 600_000 : random.pick([1000, 30_000, 120_000])
        return script
    }
}

// Owns a run: it lets workers, kernel, peers and control act in an order drawn from the seed until everything has
// ended, and asks after every step whether what must hold holds.
// Leaves to others: the checks (Simulation+Checks), what acts (SimulatedNetwork, RingCore, SimulatedControl).

import Synchronization

@testable import ShuttleEngine

final class Simulation {
    typealias SimulatedWorker = Worker<SimulatedRing>

    let seed: UInt64
    let plan: SimulationPlan
    let random: SeededRandom
    let log: EventLog
    let network: SimulatedNetwork
    let rings: [RingCore]
    let workers: UnsafeMutableBufferPointer<SimulatedWorker>
    let links: UnsafeMutableBufferPointer<UnsafeMutablePointer<WorkerLink>>
    let control: SimulatedControl
    let sessionOperator: SimulatedOperator?

    private(set) var steps = 0
    private(set) var turns = 0
    /// Buffers that one direction of a session held at a time, at most.
    var buffersHeldMax = 0
    /// Sessions that had to ask a unix socket again.
    var queuesFoundFull = 0
    private var hasEnded: [Bool]
    /// Records looked at, by ring; the clients whose sessions have left one; and the reasons that came up.
    var recordsSeen: [UInt64]
    var recordedClients: Set<Int> = []
    var reasonsMet: Set<TerminationReason> = []
    /// In the order of the plan's arrivals; nil where nobody listened.
    private(set) var clients: [SimulatedConnection?] = []
    private var arrivalsDone = 0
    private var changesDone = 0
    private var hasCut = false
    private var turnsWithoutProgress = 0
    private var progressSeen = 0
    /// How often choices met what they are rarely met with.
    /// Sessions with a backend that each service had at a time, at most, as its backends count.
    var reachedMax: [String: Int] = [:]
    var choicesMet = (backups: 0, full: 0, atTheLimit: 0, hashed: 0, rested: 0, ramping: 0)
    /// First choices of round robin by rotation, in the order in which they were made.
    var turnsTaken: [(rotation: Rotation, ports: [UInt16])] = []

    init(_ plan: SimulationPlan, seed: UInt64, isVerbose: Bool = false) {
        self.seed = seed
        self.plan = plan
        random = SeededRandom(seed: seed)
        log = EventLog(isVerbose: isVerbose)
        let network = SimulatedNetwork(random: random, log: log, settings: plan.network)
        self.network = network
        let rings = plan.rings.indices.map { RingCore(index: $0, network: network, settings: plan.rings[$0]) }
        self.rings = rings
        let links = UnsafeMutableBufferPointer<UnsafeMutablePointer<WorkerLink>>.allocate(capacity: rings.count)
        for index in rings.indices {
            let link = UnsafeMutablePointer<WorkerLink>.allocate(capacity: 1)
            link.initialize(
                to: WorkerLink(sessionCapacity: plan.slots, waker: RingWaker(ring: Int32(index), event: -1)))
            links.initializeElement(at: index, to: link)
        }
        self.links = links
        network.wakeRing = { rings[$0].wakeByAnother() }
        workers = .allocate(capacity: rings.count)
        for (index, ring) in rings.enumerated() {
            guard
                let worker = SimulatedWorker(
                    ring: SimulatedRing(core: ring),
                    index: index,
                    link: links[index],
                    links: UnsafeBufferPointer(links),
                    sessionCapacity: plan.slots,
                    splicePolicy: plan.splicePolicies[0]
                )
            else { preconditionFailure("no memory for a simulated worker") }
            workers.initializeElement(at: index, to: worker)
            // There are few listeners: with fewer in a turn what is left meets the next snapshot, and the end. Not drawn, so
            // that seeds keep their courses.
            workers[index].listenersPerTurn = [1, 2, 16][Int(seed % 3)]
        }
        let workers = workers
        for (index, ring) in rings.enumerated() {
            ring.isWaited = { use in
                guard use.slot < workers[index].sessions.touchedCount else { return false }
                let slot = workers[index].sessions[use.slot]
                return slot.pointee.generation == use.generation
                    && (slot.pointee.queuePosition != .max || slot.pointee.wasPreread || slot.pointee.rateLimiter != 0)
            }
        }
        hasEnded = rings.map { _ in false }
        recordsSeen = rings.map { _ in 0 }
        control = SimulatedControl(
            network: network, rings: rings, links: Array(links), sessionCapacity: plan.sessionCapacity)
        sessionOperator = plan.operatorPlan.map {
            SimulatedOperator($0, seed: seed, network: network, rings: rings, links: Array(links))
        }
        network.mutant = plan.mutant
        let random = random
        network.backendScript = { plan.backendScript(random, $0) }
        network.fateOfConnect = { plan.fateOfConnect(random, $0) }
        connectLedger()
    }

    deinit {
        workers.deinitialize()
        workers.deallocate()
        for link in links {
            link.deinitialize(count: 1)
            link.deallocate()
        }
        links.deallocate()
    }

    /// Runs to the end; what was found wrong first, if anything.
    func run() -> Violation? {
        let headline = "\(plan.name), seed \(seed) (replay a seed of the suite by scripts/simulate \(seed))"
        return CrashReport.covering(headline, log) {
            act()
            return log.violation
        }
    }

    private func act() {
        var misses = 0
        guard control.commit(plan.services) else { preconditionFailure("the plan's services do not fit") }
        while log.violation == nil {
            if steps > plan.stepsMax { return network.violate(.stuck, "\(steps) steps and no end") }
            if network.now > UInt64(1000 + plan.endsWithin) {
                return network.violate(.stuck, "sessions are left after \(network.now) ms")
            }
            if let cut = cutTime, network.now >= cut { cutSessions() }
            if step() {
                steps += 1
                misses = 0
                checkProgress()
                continue
            }
            misses += 1
            if misses < 4 { continue }
            misses = 0
            // A sweep over everything, so that bad luck is not taken for silence.
            steps += 1
            checkProgress()
            if sweep() { continue }
            if !rings.contains(where: { $0.isCollecting }) { checkQuiet() }
            guard log.violation == nil else { return }
            if isFinished { return finish() }
            if !advanceToNextEvent() { return network.violate(.stuck, "nothing will ever happen again") }
        }
    }

    // MARK: Steps

    private func step() -> Bool {
        switch random.below(100) {
        case 0..<35: return turn(random.below(rings.count))
        case 35..<65: return pumpSome()
        case 65..<90: return network.live.isEmpty ? false : stepPeer(random.pick(network.live))
        case 90..<93: return arrive()
        case 93: return change()
        case 94..<96: return control.isSettled ? false : control.progress()
        case 96: return network.settings.lateDuplicates > 0 && random.pick(rings).postLateDuplicate()
        case 97: return changePolicy()
        default:
            guard random.chance(30) else { return false }
            network.advance(to: network.now + UInt64(random.within(1...20)))
            return true
        }
    }

    private func sweep() -> Bool {
        var didSomething = false
        for index in rings.indices { didSomething = turn(index) || didSomething }
        for listener in network.listeners { didSomething = network.pump(listener) || didSomething }
        for connection in network.live {
            didSomething = network.pump(connection) || didSomething
            didSomething = stepPeer(connection) || didSomething
        }
        network.sweep()
        if arrive() || change() { didSomething = true }
        if !control.isSettled {
            let epoch = control.epoch
            if control.progress() || control.epoch != epoch { didSomething = true }
        }
        return didSomething
    }

    /// Lets a worker run one turn if it would be running.
    private func turn(_ index: Int) -> Bool {
        sessionOperator?.act()
        guard !hasEnded[index], rings[index].isRunnable else { return false }
        turns += 1
        if !links[index].pointee.mailbox.isEmpty {
            rings[index].leavingEpoch = rings[index].viewEpoch
            rings[index].viewEpoch = control.epoch
        }
        if !workers[index].turn() { hasEnded[index] = true }
        checkAfterTurn(index)
        checkRecords(index)
        return true
    }

    private func pumpSome() -> Bool {
        let listenerCount = network.listeners.count
        let choice = random.below(max(1, listenerCount + network.live.count))
        if choice < listenerCount { return network.pump(network.listeners[choice]) }
        return network.live.isEmpty ? false : network.pump(network.live[choice - listenerCount])
    }

    private func stepPeer(_ connection: SimulatedConnection) -> Bool {
        connection.peer?.step() ?? false
    }

    private func isDue(_ milliseconds: Int) -> Bool { network.now >= UInt64(1000 + milliseconds) }

    private func arrive() -> Bool {
        guard arrivalsDone < plan.arrivals.count, isDue(plan.arrivals[arrivalsDone].at) else { return false }
        let arrival = plan.arrivals[arrivalsDone]
        arrivalsDone += 1
        // Port 0: any that is open.
        let ports = control.openPorts
        let port = arrival.port != 0 || ports.isEmpty ? arrival.port : random.pick(ports)
        clients.append(network.arrive(at: port, script: arrival.script, client: arrival.client))
        return true
    }

    private func change() -> Bool {
        guard changesDone < plan.changes.count, isDue(plan.changes[changesDone].at) else { return false }
        let change = plan.changes[changesDone]
        guard control.isSettled || !change.needsSettled else { return false }
        changesDone += 1
        change.action(control, random)
        network.noteProgress()
        return true
    }

    /// Flows change their ways at moments that nothing prepares.
    private func changePolicy() -> Bool {
        guard plan.splicePolicies.count > 1 else { return false }
        let index = random.below(rings.count)
        workers[index].splicePolicy = random.pick(plan.splicePolicies)
        if rings[index].pipes.contains(where: { $0.count > 0 }) { network.splicing.policyChangesWithBytesInPipe += 1 }
        return true
    }

    // MARK: Time

    /// Nothing can happen at this time: goes on to when something can.
    private func advanceToNextEvent() -> Bool {
        var next = UInt64.max
        for (index, ring) in rings.enumerated() where !hasEnded[index] { next = min(next, ring.nextDeadline ?? .max) }
        for connection in network.live {
            next = min(next, connection.peer?.nextDeadline ?? .max)
            if let connect = connection.connectOperation, connect.fate != .silence { next = min(next, connect.readyAt) }
        }
        if arrivalsDone < plan.arrivals.count { next = min(next, UInt64(1000 + plan.arrivals[arrivalsDone].at)) }
        if changesDone < plan.changes.count { next = min(next, UInt64(1000 + plan.changes[changesDone].at)) }
        if let cut = cutTime { next = min(next, cut) }
        // Control looks again while a change is on its way.
        if !control.isSettled { next = min(next, network.now + 5) }
        guard next != .max else { return false }
        network.advance(to: max(next, network.now + 1))
        return true
    }

    private var cutTime: UInt64? {
        guard !hasCut, let after = plan.cutAfter else { return nil }
        return UInt64(1000 + (plan.arrivals.last?.at ?? 0) + after)
    }

    private func cutSessions() {
        hasCut = true
        log.note(network.now, "every session is cut")
        for (index, link) in links.enumerated() {
            rings[index].isCut = true
            network.splicing.cutsWhileSpliced += splicedFlowCount(index)
            link.pointee.command(WorkerLink.cutCommand)
            rings[index].wake()
        }
    }

    private func checkProgress() {
        if network.progress != progressSeen {
            progressSeen = network.progress
            turnsWithoutProgress = turns
        } else if turns - turnsWithoutProgress > 1000 {
            network.violate(.spin, "1000 turns in which nothing happened")
        }
    }

    // MARK: The end

    private var isFinished: Bool {
        arrivalsDone == plan.arrivals.count && changesDone == plan.changes.count && control.isSettled
            && network.live.isEmpty && (plan.cutAfter == nil || hasCut)
    }

    /// Closes every listener, stops the workers, and checks that nothing is left.
    private func finish() {
        checkCounters()
        _ = control.commit([])
        settle { self.control.isSettled }
        for (index, link) in links.enumerated() {
            rings[index].isCut = true
            link.pointee.command(WorkerLink.stopCommand)
            rings[index].wake()
        }
        settle { self.hasEnded.allSatisfy { $0 } }
        for index in workers.indices { workers[index].shutdown() }
        checkEnd()
    }

    private func settle(until isDone: () -> Bool) {
        var rounds = 0
        while !isDone(), log.violation == nil {
            rounds += 1
            if rounds > 2000 { return network.violate(.stuck, "workers do not stop") }
            if !sweep() { network.advance(to: network.now + 5) }
            if !control.isSettled { _ = control.progress() }
        }
    }
}

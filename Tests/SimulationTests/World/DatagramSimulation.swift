// Owns a run of UDP: real workers over simulated rings, and a control that changes the service meanwhile, in an order
// drawn from the seed; and what must hold at its end.
// Leaves to others: clients and backends (DatagramSimulation+Peers), sockets and buffers (SimulatedDatagrams), what each
// scenario promises besides.

import Synchronization

@testable import ShuttleEngine

final class DatagramSimulation {
    struct Plan {
        var name = "datagrams"
        var rings = 1
        var clients = 5
        /// Clients behind each sender, told apart by the headers that the service takes; the first says nothing of itself
        /// (LOCAL) where there are several.
        var clientsPerSender = 1
        /// In percent: datagrams whose header is missing, cut or of another kind.
        var badHeaders = 0
        /// Headers are taken for some of the time only.
        var mayPassHeaders = false
        /// Datagrams that clients send, all together.
        var datagrams = 200
        var service = ServiceConfiguration(name: "dns", address: "127.0.0.1:53")
        var ports: [UInt16] = [8001, 8002]
        var kernel = SimulatedDatagrams.Settings()
        /// Answers to each datagram.
        var answers = 0...2
        /// In percent: datagrams without bytes; datagrams to these backends' hosts that nobody takes.
        var empty = 10
        var refusals = 0
        var refusingPorts: Set<UInt16> = []
        /// Milliseconds between two events, at most.
        var pauseMax = 5
        /// Slots for sessions on a ring.
        var sessionsPerRing = 64
        /// After so many datagrams each.
        var changes: [(after: Int, change: (DatagramSimulation) -> Void)] = []
        var afterTurn: (DatagramSimulation) -> Void = { _ in }
    }

    struct Client {
        /// Of whoever sends for it.
        var path: DatagramPath
        /// What its sender says of it.
        var conveyed: SocketAddress?
        var ring: Int
        var sent = 0
        var answersTaken = 0
        /// Sockets that its datagrams came over, in their order.
        var sockets: [Int32] = []
    }

    let plan: Plan
    let random: SeededRandom
    let network: SimulatedNetwork
    let datagrams: SimulatedDatagrams
    let rings: [RingCore]
    let links: UnsafeMutableBufferPointer<UnsafeMutablePointer<WorkerLink>>
    private let workers: UnsafeMutableBufferPointer<Worker<SimulatedRing>>
    private var hasEnded: [Bool]
    /// Of the service that has the address, and of all that had it.
    private(set) var record: UnsafeMutablePointer<ServiceRecord>
    private(set) var records: [UnsafeMutablePointer<ServiceRecord>]
    private(set) var backends: [UInt16: UnsafeMutablePointer<BackendRecord>] = [:]

    // What control has published.
    private(set) var configuration: ServiceConfiguration
    private(set) var ports: [UInt16]
    private(set) var listeners: [SimulatedDatagramSocket] = []
    private(set) var listenerState = ListenerState.none
    private var listenerGeneration: UInt32 = 0
    private var snapshots: [Snapshot] = []
    private var epoch: UInt64 = 0
    private var drainChanges: UInt64 = 0
    private var previous: CompiledService?

    // What has happened.
    var clients: [Client] = []
    var sent = 0
    /// Of those, without a header although one must be there.
    var badSent = 0
    var deliveredToBackends = 0
    var deliveredToClients = 0
    var bytesToBackends = 0
    var bytesToClients = 0
    var headersSeen = 0
    var headersPassedOn = 0
    var byPort: [UInt16: Int] = [:]
    var owners: [Int32: Int] = [:]
    var lastNumbers: [Int32: Int] = [:]
    var answers: [(socket: Int32, bytes: [UInt8])] = []
    private var changesDone = 0
    /// Of the services that had the address, and of the one that has it.
    private(set) var occupiedMax = 0
    private(set) var occupiedMaxOfPresent = 0

    init(_ plan: Plan, seed: UInt64) {
        self.plan = plan
        let random = SeededRandom(seed: seed)
        self.random = random
        let network = SimulatedNetwork(random: random, log: EventLog(isVerbose: false), settings: NetworkSettings())
        self.network = network
        datagrams = SimulatedDatagrams(network: network, ringCount: plan.rings, settings: plan.kernel)
        let rings = (0..<plan.rings).map { RingCore(index: $0, network: network, settings: RingSettings()) }
        self.rings = rings
        links = .allocate(capacity: plan.rings)
        workers = .allocate(capacity: plan.rings)
        for (index, ring) in rings.enumerated() {
            ring.datagrams = datagrams
            let link = UnsafeMutablePointer<WorkerLink>.allocate(capacity: 1)
            link.initialize(to: WorkerLink(sessionCapacity: 64, waker: RingWaker(ring: Int32(index), event: -1)))
            links.initializeElement(at: index, to: link)
        }
        for (index, ring) in rings.enumerated() {
            guard
                let worker = Worker(
                    ring: SimulatedRing(core: ring), index: index, link: links[index],
                    links: UnsafeBufferPointer(links), sessionCapacity: plan.sessionsPerRing, splicePolicy: .never)
            else { preconditionFailure("no memory for a simulated worker") }
            workers.initializeElement(at: index, to: worker)
        }
        hasEnded = rings.map { _ in false }
        record = .allocate(capacity: 1)
        record.initialize(to: ServiceRecord(workerCount: plan.rings))
        records = [record]
        configuration = plan.service
        ports = plan.ports
        for number in 0..<plan.clients {
            let sender = number / plan.clientsPerSender
            var path = DatagramPath(client: .ipv4(0x0a00_0001 + UInt32(sender / 3), port: UInt16(5000 + sender)))
            path.localLow = 0xffff_7f00_0001 + UInt64(sender % 2)
            clients.append(Client(path: path, conveyed: conveyed(number), ring: sender % plan.rings))
        }
        datagrams.backendReceives = { [unowned self] in backendReceives($0, $1, $2) }
        datagrams.clientReceives = { [unowned self] in clientReceives($0, $1, $2) }
    }

    deinit {
        workers.deinitialize()
        workers.deallocate()
        snapshots.removeAll()
        previous = nil
        for record in backends.values {
            record.deinitialize(count: 1)
            record.deallocate()
        }
        for record in records {
            record.deinitialize(count: 1)
            record.deallocate()
        }
        for link in links {
            link.deinitialize(count: 1)
            link.deallocate()
        }
        links.deallocate()
    }

    // MARK: Control

    /// Publishes the service with these backends; from then on nothing is sent to others.
    func publish(_ change: (inout ServiceConfiguration) -> Void = { _ in }, ports newPorts: [UInt16]? = nil) {
        ports = newPorts ?? ports
        let states = Dictionary(uniqueKeysWithValues: configuration.backends.map { ($0.name, $0) })
        configuration.backends = ports.map { port in
            states["b\(port)"] ?? BackendConfiguration(name: "b\(port)", address: "127.0.0.1:\(port)")
        }
        configuration.network = .udp
        change(&configuration)
        let records = ports.map(backend)
        if listenerState == .none {
            listeners = rings.map { _ in datagrams.bind() }
            listenerState = .open
            listenerGeneration += 1
        }
        followDrains()
        let shares = CompiledService.shares(configuration, records)
        let keepsTurn = previous?.backends == records && previous?.rotationShares == shares
        let compiled = CompiledService(
            configuration: configuration, record: record, backends: records,
            rotation: keepsTurn ? previous!.rotation : Rotation(shares), rotationShares: shares, reusing: previous)
        previous = compiled
        publish([compiled])
    }

    /// The address passes to another service, which has these backends, without closing.
    func passToAnotherService(ports: [UInt16], _ change: (inout ServiceConfiguration) -> Void = { _ in }) {
        record = .allocate(capacity: 1)
        record.initialize(to: ServiceRecord(workerCount: rings.count))
        records.append(record)
        occupiedMaxOfPresent = 0
        previous = nil
        publish(change, ports: ports)
    }

    /// Takes the service away.
    func close() {
        listenerState = .closing
        publish([])
    }

    /// Says that a backend is up or down, as checks do.
    func setHealth(_ port: UInt16, isUp: Bool) {
        backend(port).pointee.isCheckedUp = isUp
        if backend(port).pointee.updateUp() { publish() }
    }

    private func backend(_ port: UInt16) -> UnsafeMutablePointer<BackendRecord> {
        if let record = backends[port] { return record }
        let record = UnsafeMutablePointer<BackendRecord>.allocate(capacity: 1)
        record.initialize(
            to: BackendRecord(
                identifier: UInt32(backends.count + 1), address: .loopbackIPv4(port: port), workerCount: rings.count))
        backends[port] = record
        return record
    }

    private func followDrains() {
        for (port, record) in backends {
            let isRunning = configuration.backends.contains { $0.name == "b\(port)" && $0.state == .ready }
            let period = isRunning ? 0 : UInt64(configuration.drainTimeoutMilliseconds)
            if record.pointee.drain.set(periodMilliseconds: period, now: network.now) { drainChanges += 1 }
        }
    }

    private func publish(_ services: [CompiledService]) {
        epoch += 1
        let entry = DatagramListenerEntry(
            state: listenerState, generation: listenerGeneration, firstSocket: 0, isIPv4: true,
            table: services.first.map { UnsafePointer($0.table) })
        let snapshot = Snapshot(
            epoch: epoch, after: snapshots.last, services: services, departing: [], listeners: [], sessionCapacity: 64,
            drainChanges: drainChanges, datagrams: ([entry], listeners.map(\.descriptor)),
            datagramCapacity: plan.sessionsPerRing, datagramDescriptors: plan.kernel.descriptorsMax)
        snapshots.append(snapshot)
        for link in links { _ = link.pointee.mailbox.put(snapshot.view) }
        for ring in rings { ring.wake() }
    }

    var isSettled: Bool {
        links.allSatisfy { $0.pointee.acknowledgedEpoch.load(ordering: .acquiring) == epoch }
    }

    private func progress() -> Bool {
        guard isSettled else {
            for ring in rings { ring.wake() }
            return false
        }
        snapshots.removeAll { $0.epoch < epoch }
        guard listenerState == .closing else { return false }
        for socket in listeners { datagrams.close(socket.descriptor) }
        listenerState = .none
        publish([])
        return true
    }

    // MARK: The run

    /// What was found wrong first, if anything.
    func run() -> Violation? {
        CrashReport.covering(plan.name, network.log) {
            publish()
            for _ in 0..<200_000 where network.log.violation == nil {
                if step() { continue }
                if isFinished { break }
                network.advance(to: nextTime)
            }
            if network.log.violation == nil, !isFinished { network.violate(.stuck, "the run does not end") }
            if network.log.violation == nil { finish() }
            return network.log.violation
        }
    }

    private func step() -> Bool {
        if random.chance(10) { network.advance(to: network.now + UInt64(random.below(plan.pauseMax + 1))) }
        for _ in 0..<8 {
            let didSomething: Bool
            switch random.below(6) {
            case 0, 1: didSomething = turn(random.below(rings.count))
            case 2: didSomething = pump()
            case 3: didSomething = clientSends()
            case 4: didSomething = backendAnswers()
            default: didSomething = change() || progress()
            }
            if didSomething || network.log.violation != nil { return true }
        }
        return sweep()
    }

    private func sweep() -> Bool {
        var didSomething = false
        for index in rings.indices { didSomething = turn(index) || didSomething }
        while pump() { didSomething = true }
        return clientSends() || backendAnswers() || change() || progress() || didSomething
    }

    private func pump() -> Bool {
        let armed = rings.flatMap(\.armed)
        guard !armed.isEmpty else { return false }
        let first = random.below(armed.count)
        for offset in armed.indices {
            let operation = armed[(first + offset) % armed.count]
            if operation.ring.pump(operation) { return true }
        }
        return false
    }

    private func turn(_ index: Int) -> Bool {
        guard !hasEnded[index], rings[index].isRunnable else { return false }
        if !workers[index].turn() { hasEnded[index] = true }
        let occupied = record.pointee.occupied.load(ordering: .relaxed)
        occupiedMax = max(occupiedMax, occupied)
        occupiedMaxOfPresent = max(occupiedMaxOfPresent, occupied)
        plan.afterTurn(self)
        return true
    }

    private func change() -> Bool {
        guard changesDone < plan.changes.count, sent >= plan.changes[changesDone].after, isSettled else { return false }
        changesDone += 1
        plan.changes[changesDone - 1].change(self)
        return true
    }

    private var nextTime: UInt64 {
        let deadlines = rings.indices.filter { !hasEnded[$0] }.compactMap { rings[$0].nextDeadline }
        return max(network.now + 1, min(deadlines.min() ?? .max, network.now + 10_000))
    }

    private var isFinished: Bool {
        sent == plan.datagrams && changesDone == plan.changes.count && isSettled && answers.isEmpty
            && records.allSatisfy { $0.pointee.occupied.load(ordering: .relaxed) == 0 }
    }

    // MARK: The end

    private func finish() {
        let sentOn = records.reduce(0) { $0 + $1.pointee.datagrams.sum { $0.sent.load(ordering: .relaxed) } }
        if sentOn != deliveredToBackends { network.violate(.counters, "\(sentOn) sent, \(deliveredToBackends) came") }
        let answered = records.reduce(0) { $0 + $1.pointee.datagrams.sum { $0.received.load(ordering: .relaxed) } }
        if answered != deliveredToClients {
            network.violate(.counters, "\(answered) answers sent, \(deliveredToClients) came")
        }
        // What waits in a socket that is closed is nobody's any more.
        if listenerState == .open, UInt64(sent) > sentOn + dropped {
            network.violate(.counters, "\(sent) datagrams are not \(sentOn) sent and \(dropped) dropped")
        }
        let bytes = records.reduce(0) { $0 + $1.pointee.counters.sum { $0.sentBytes.load(ordering: .relaxed) } }
        if bytes != bytesToBackends { network.violate(.counters, "\(bytes) bytes sent, \(bytesToBackends) came") }
        if listenerState == .open { close() }
        settle { self.listenerState == .none && self.isSettled }
        for (index, link) in links.enumerated() {
            link.pointee.command(WorkerLink.stopCommand)
            rings[index].wake()
        }
        settle { self.hasEnded.allSatisfy { $0 } }
        for index in workers.indices { workers[index].shutdown() }
        checkNothingIsLeft()
    }

    private func settle(_ isDone: () -> Bool) {
        for _ in 0..<2000 where !isDone() && network.log.violation == nil {
            if !sweep() { network.advance(to: network.now + 5) }
        }
        if !isDone() { network.violate(.stuck, "workers do not let go") }
    }

    private func checkNothingIsLeft() {
        if !datagrams.sockets.isEmpty { network.violate(.leak, "\(datagrams.sockets.count) sockets are left") }
        if datagrams.freeBuffers.contains(where: { $0 != plan.kernel.buffers }) {
            network.violate(.leak, "buffers are left: \(datagrams.freeBuffers)")
        }
        for index in workers.indices where workers[index].datagrams.table.count > 0 {
            network.violate(.leak, "ring \(index) has sessions")
        }
        for (port, record) in backends where record.pointee.active.load(ordering: .relaxed) != 0 {
            network.violate(.leak, "the backend at port \(port) has sessions")
        }
        for record in records
        where record.pointee.counters.active != 0 || record.pointee.occupied.load(ordering: .relaxed) != 0 {
            network.violate(.leak, "a service has sessions")
        }
        if !links[0].pointee.takeDatagramDescriptor(below: 1) {
            network.violate(.leak, "descriptors are counted that no session has")
        }
        checkRecords()
        if links.contains(where: { $0.pointee.sessions.load(ordering: .relaxed) != 0 }) {
            network.violate(.leak, "a ring counts sessions")
        }
    }

    /// Sessions that have not ended, on all rings.
    var liveCount: Int { workers.indices.reduce(0) { $0 + workers[$1].datagrams.table.liveCount } }

    var dropped: UInt64 {
        records.reduce(0) { $0 + $1.pointee.datagrams.sum { $0.dropped.load(ordering: .relaxed) } }
    }
    var limited: UInt64 { record.pointee.datagrams.sum { $0.limited.load(ordering: .relaxed) } }
    var evicted: UInt64 { record.pointee.datagrams.sum { $0.evicted.load(ordering: .relaxed) } }
    var refused: UInt64 { record.pointee.datagrams.sum { $0.refused.load(ordering: .relaxed) } }
    var connections: UInt64 { record.pointee.counters.sum { $0.connections.load(ordering: .relaxed) } }
    var denied: UInt64 { record.pointee.counters.sum { $0.denied.load(ordering: .relaxed) } }
    var turnedAway: UInt64 { record.pointee.counters.sum { $0.refused.load(ordering: .relaxed) } }
    var withoutHeader: UInt64 { record.pointee.counters.sum { $0.prereadFailures.load(ordering: .relaxed) } }
    var errors: UInt64 { record.pointee.counters.sum { $0.errors.load(ordering: .relaxed) } }
}

// Owns the control thread's part of a simulation: it builds snapshots and moves listeners through their states the way
// Engine does, and knows what each epoch allows. Leaves to others: sockets (SimulatedNetwork), when it acts (the driver).

import Synchronization

@testable import ShuttleEngine

final class SimulatedControl {
    /// A listener's place and how far it has come.
    private struct Place {
        var generation: UInt32 = 0
        var state = ListenerState.none
        var listener: SimulatedListener?
        var departing: CompiledService?
    }

    /// A backend's record for as long as the run lasts, so that a touch after its end is seen.
    final class TrackedBackend {
        let service: String
        let name: String
        let port: UInt16
        let record: UnsafeMutablePointer<BackendRecord>
        /// When its present drain must have ended every session; nil while they run on.
        var drainEnd: UInt64?
        /// The first epoch that does without it.
        var retiredIn: UInt64?
        /// Sent bytes, received bytes and connections when Engine would have freed it.
        var countersAtEnd: [UInt64]?

        init(service: String, plan: ServicePlan.Backend, identifier: UInt32, workerCount: Int) {
            self.service = service
            name = plan.name
            port = plan.port
            record = .allocate(capacity: 1)
            record.initialize(
                to: BackendRecord(
                    identifier: identifier,
                    address: plan.address,
                    workerCount: workerCount
                )
            )
        }

        deinit {
            record.deinitialize(count: 1)
            record.deallocate()
        }

        var counters: [UInt64] {
            [
                record.pointee.counters.sum { $0.sentBytes.load(ordering: .relaxed) },
                record.pointee.counters.sum { $0.receivedBytes.load(ordering: .relaxed) },
                record.pointee.counters.sum { $0.connections.load(ordering: .relaxed) },
            ]
        }

        var retried: UInt64 { record.pointee.counters.sum { $0.retried.load(ordering: .relaxed) } }
        var errors: UInt64 { record.pointee.counters.sum { $0.errors.load(ordering: .relaxed) } }
    }

    let network: SimulatedNetwork
    let links: [UnsafeMutablePointer<WorkerLink>]
    private let rings: [RingCore]
    private let sessionCapacity: Int

    private(set) var epoch: UInt64 = 0
    /// What the newest epoch serves.
    private(set) var plans: [ServicePlan] = []
    private var places: [Place] = []
    private var compiled: [CompiledService] = []
    private var compiledByPort: [UInt16: CompiledService] = [:]
    /// The newest snapshot; older ones until every worker has left them, then they are freed for good.
    private var snapshots: [Snapshot] = []
    /// Services of each epoch by the listener's port.
    private(set) var history: [[UInt16: ServicePlan]] = [[:]]
    private(set) var backends: [TrackedBackend] = []
    private(set) var serviceRecords: [(name: String, record: UnsafeMutablePointer<ServiceRecord>)] = []
    private(set) var isSettled = true
    private(set) var ejections = 0
    private var drainChanges: UInt64 = 0
    /// The largest limit that a backend's port ever had; 0 where it was without one.
    private(set) var connectionsMaxEver: [UInt16: Int] = [:]

    init(
        network: SimulatedNetwork,
        rings: [RingCore],
        links: [UnsafeMutablePointer<WorkerLink>],
        sessionCapacity: Int
    ) {
        self.network = network
        self.rings = rings
        self.links = links
        self.sessionCapacity = sessionCapacity
    }

    deinit {
        for entry in serviceRecords {
            entry.record.deinitialize(count: 1)
            entry.record.deallocate()
        }
    }

    // MARK: Changes, as Engine makes them

    /// Publishes a configuration; false when a listener cannot be opened, then nothing has changed.
    func commit(_ services: [ServicePlan]) -> Bool {
        precondition(isSettled)
        let services = services.map { $0.onUnixSockets(as: network.settings) }
        var opened: [SimulatedListener] = []
        for plan in services where !plan.isPool && openPlace(at: plan.port) == nil {
            guard let listener = network.listen(on: plan.port, isUnix: plan.isUnix) else {
                opened.forEach(network.close)
                return false
            }
            opened.append(listener)
        }
        let leaving = compiledByPort
        opened.forEach(open)
        let previous = plans
        plans = services
        for backend in services.flatMap(\.backends) {
            let (now, before) = (backend.connectionsMax, connectionsMaxEver[backend.port] ?? backend.connectionsMax)
            connectionsMaxEver[backend.port] = now * before == 0 ? 0 : max(before, now)
        }
        compiled = services.map { compile($0, previous.firstIndex(of: $0)) }
        followDrains(after: previous)
        compiledByPort = [:]
        for (plan, service) in zip(services, compiled) where !plan.isPool { compiledByPort[plan.port] = service }
        for index in places.indices where places[index].state == .open {
            guard let listener = places[index].listener, compiledByPort[listener.port] == nil else { continue }
            listener.isRefusingHandshakes = true
            places[index].state = .closing
            places[index].departing = leaving[listener.port]
        }
        publish()
        isSettled = false
        return true
    }

    /// Moves a committed change on; true when it is complete.
    func progress() -> Bool {
        let waiting = links.indices.filter { acknowledged($0) < epoch }
        guard waiting.isEmpty else {
            for index in waiting { rings[index].wake() }
            return false
        }
        if places.contains(where: { $0.state == .draining }) {
            for index in places.indices where places[index].state == .draining {
                if let listener = places[index].listener { network.close(listener) }
                places[index].state = .none
                places[index].listener = nil
                places[index].departing = nil
            }
            publish()
            retire()
            return true
        }
        if places.contains(where: { $0.state == .closing }) {
            for index in places.indices where places[index].state == .closing { places[index].state = .draining }
            publish()
            return false
        }
        retire()
        return true
    }

    func setHealth(_ backend: TrackedBackend, isUp: Bool) {
        backend.record.pointee.isCheckedUp = isUp
        guard backend.record.pointee.updateUp(),
            let index = plans.firstIndex(where: { $0.name == backend.service })
        else { return }
        network.log.note(network.now, "the backend at port % is up: %", Int(backend.port), isUp ? 1 : 0)
        renew(index)
        publish()
    }

    /// Looks at what traffic has met, as Engine does when its caller says so.
    func judgeTraffic() {
        var isStale = false
        for index in compiled.indices {
            if compiled[index].table.pointee.record.pointee.nextSlowStartStep <= network.now {
                renew(index)
                isStale = true
            }
            for change in compiled[index].judgeTraffic(at: network.now) {
                guard let backend = compiled[index].backendRecord(named: change.backend) else { continue }
                let port = Int(backend.pointee.address.pointee.simulatedPort)
                network.log.note(network.now, "the backend at port % is ejected: %", port, change.isEjected ? 1 : 0)
                if change.isEjected { ejections += 1 }
                renew(index)
                isStale = true
            }
        }
        if isStale { publish() }
    }

    private func renew(_ index: Int) {
        let old = compiled[index]
        let renewed = old.renewed(at: network.now)
        compiled[index] = renewed
        for (port, service) in compiledByPort where service === old { compiledByPort[port] = renewed }
    }

    // MARK: What is

    /// Backends of the present configuration.
    var present: [TrackedBackend] {
        backends.filter { backend in
            plans.contains { $0.name == backend.service && $0.backends.contains { $0.port == backend.port } }
        }
    }

    /// The newest record for a port, of a certain service or of any.
    func backend(at port: UInt16, of service: String? = nil) -> TrackedBackend? {
        backends.last { $0.port == port && (service == nil || $0.service == service) }
    }

    func acknowledged(_ worker: Int) -> UInt64 { links[worker].pointee.acknowledgedEpoch.load(ordering: .acquiring) }

    var isEverywhere: Bool { links.indices.allSatisfy { acknowledged($0) == epoch } }

    /// Ports that clients can reach.
    var openPorts: [UInt16] { network.listeners.filter { !$0.isRefusingHandshakes }.map(\.port) }

    var snapshotCount: Int { snapshots.count }

    func compiledService(named name: String) -> CompiledService? {
        compiled.first { $0.configuration.name == name }
    }

    /// Records that Engine has freed must not have been touched since.
    func checkReclaimed() {
        for backend in backends {
            guard let atEnd = backend.countersAtEnd else { continue }
            if atEnd != backend.counters || backend.record.pointee.active.load(ordering: .relaxed) != 0 {
                network.violate(.leak, "the record of the backend at port \(backend.port) was used after its end")
            }
        }
    }

    // MARK: Building

    private func openPlace(at port: UInt16) -> Int? {
        places.firstIndex { $0.state == .open && $0.listener?.port == port }
    }

    private func open(_ listener: SimulatedListener) {
        let index =
            places.firstIndex { $0.state == .none }
            ?? {
                places.append(Place())
                return places.count - 1
            }()
        places[index].generation += 1
        places[index].state = .open
        places[index].listener = listener
    }

    private func record(_ name: String) -> UnsafeMutablePointer<ServiceRecord> {
        if let found = serviceRecords.first(where: { $0.name == name }) { return found.record }
        let record = UnsafeMutablePointer<ServiceRecord>.allocate(capacity: 1)
        record.initialize(to: ServiceRecord(identifier: UInt32(serviceRecords.count + 1), workerCount: links.count))
        serviceRecords.append((name, record))
        return record
    }

    private func tracked(_ service: String, _ plan: ServicePlan.Backend) -> TrackedBackend {
        if let found = backends.first(where: {
            $0.retiredIn == nil && $0.service == service && $0.name == plan.name && $0.port == plan.port
        }) {
            return found
        }
        let made = TrackedBackend(
            service: service,
            plan: plan,
            identifier: UInt32(backends.count + 1),
            workerCount: links.count
        )
        backends.append(made)
        return made
    }

    /// Records of backends that nobody names any more end with this epoch; called when a change is complete.
    private func retire() {
        isSettled = true
        for backend in backends where backend.retiredIn == nil {
            let isKept = plans.contains { plan in
                plan.name == backend.service
                    && plan.backends.contains { $0.name == backend.name && $0.port == backend.port }
            }
            if !isKept { backend.retiredIn = epoch }
        }
        reclaim()
    }

    private func compile(_ plan: ServicePlan, _ unchanged: Int?) -> CompiledService {
        let previous = compiled.first { $0.configuration.name == plan.name }
        if unchanged != nil, let previous { return previous }
        var configuration = ServiceConfiguration(
            name: plan.name,
            address: plan.isUnix ? "unix:@\(plan.port)" : "127.0.0.1:\(plan.port)",
            backends: plan.backends.map {
                var backend = BackendConfiguration(
                    name: $0.name,
                    address: "\($0.address)",
                    weight: $0.weight,
                    connectionsMax: $0.connectionsMax,
                    isBackup: $0.isBackup,
                    state: $0.state
                )
                backend.slowStartMilliseconds = $0.slowStart
                return backend
            },
            balance: plan.balance,
            clientTimeoutMilliseconds: plan.clientTimeout,
            serverTimeoutMilliseconds: plan.serverTimeout,
            connectTimeoutMilliseconds: plan.connectTimeout,
            retries: plan.retries,
            retryTimeoutMilliseconds: plan.retryTimeout,
            connectionsMax: plan.connectionsMax,
            connectionsPerClientMax: plan.connectionsPerClientMax,
            queueLimit: plan.queueLimit,
            queueTimeoutMilliseconds: plan.queueTimeout,
            isInMaintenance: plan.isInMaintenance
        )
        configuration.passive = plan.passive
        configuration.halfClose = plan.halfClose
        configuration.halfCloseTimeoutMilliseconds = plan.halfCloseTimeout
        configuration.maxLifetimeMilliseconds = plan.maxLifetime
        configuration.maxLifetimeJitterPercent = plan.maxLifetimeJitter
        configuration.keepalive.idleMilliseconds = plan.keepaliveIdle
        configuration.userTimeoutMilliseconds = plan.userTimeout
        configuration.drainTimeoutMilliseconds = plan.drainTimeout
        configuration.sourceAddresses = plan.sources
        configuration.allow = plan.allow
        configuration.deny = plan.deny
        configuration.rateLimit = plan.rateLimit
        configuration.bandwidth = plan.bandwidth
        configuration.serviceBandwidth = plan.serviceBandwidth
        configuration.proxyProtocolSend = plan.proxyProtocolSend
        configuration.proxyProtocolAccept = plan.proxyProtocolAccept
        configuration.prereadTimeoutMilliseconds = plan.prereadTimeout
        configuration.prereadLimitBytes = plan.prereadLimit
        configuration.routes = plan.routes
        for index in plan.backends.indices {
            configuration.backends[index].proxyProtocolSend = plan.backends[index].proxyProtocolSend
        }
        let records = plan.backends.map { tracked(plan.name, $0).record }
        CompiledService.advanceSlowStarts(
            of: configuration, records, record: record(plan.name), isRunning: previous != nil, at: network.now)
        let shares = CompiledService.shares(configuration, records)
        let keepsTurn = previous?.backends == records && previous?.rotationShares == shares
        return CompiledService(
            configuration: configuration,
            record: record(plan.name),
            backends: records,
            rotation: keepsTurn ? previous!.rotation : Rotation(shares),
            rotationShares: shares,
            routeTargets: plan.routes.map { self.record($0.service) },
            reusing: previous
        )
    }

    /// As Engine has RecordRegistry do.
    private func followDrains(after previous: [ServicePlan]) {
        var periods: [String: Int] = [:]
        for plan in previous + plans { periods[plan.name] = plan.drainTimeout }
        var hasChanged = false
        for backend in backends where backend.countersAtEnd == nil {
            let isRunning = plans.contains { plan in
                plan.name == backend.service
                    && plan.backends.contains {
                        $0.name == backend.name && $0.port == backend.port && $0.state == .ready
                    }
            }
            guard let period = isRunning ? 0 : periods[backend.service],
                backend.record.pointee.drain.set(periodMilliseconds: UInt64(period), now: network.now)
            else { continue }
            hasChanged = true
            backend.drainEnd = period == 0 ? nil : network.now + UInt64(period)
            network.log.note(network.now, "the backend at port % drains over % ms", Int(backend.port), period)
        }
        let changesBandwidth = plans.contains { plan in
            previous.contains {
                $0.name == plan.name
                    && ($0.bandwidth != plan.bandwidth || $0.serviceBandwidth != plan.serviceBandwidth)
            }
        }
        if hasChanged || changesBandwidth { drainChanges += 1 }
    }

    private func publish() {
        epoch += 1
        let named = Set((compiled + places.compactMap(\.departing)).map(\.configuration.name))
        for entry in serviceRecords where !named.contains(entry.name) { entry.record.pointee.setSources(nil) }
        let snapshot = Snapshot(
            epoch: epoch,
            after: snapshots.last,
            services: compiled,
            departing: places.compactMap(\.departing),
            listeners: places.map(entry),
            sessionCapacity: sessionCapacity,
            drainChanges: drainChanges
        )
        snapshots.append(snapshot)
        var served: [UInt16: ServicePlan] = [:]
        for (plan, service) in zip(plans, compiled) {
            var plan = plan
            // What is chosen by, which is not what is configured while somebody ramps.
            for (index, effective) in service.weights.enumerated() {
                plan.backends[index].weight = effective.weight
                plan.backends[index].hashLimit = effective.hashLimit
            }
            served[plan.port] = plan
        }
        for place in places {
            guard place.departing != nil, let listener = place.listener, served[listener.port] == nil else { continue }
            served[listener.port] = history.last?[listener.port]
        }
        history.append(served)
        network.log.note(network.now, "epoch % is published", Int(epoch))
        for link in links { _ = link.pointee.mailbox.put(snapshot.view) }
        for ring in rings { ring.wake() }
        reclaim()
    }

    private func entry(_ place: Place) -> ListenerEntry {
        guard let listener = place.listener else {
            return ListenerEntry(state: .none, generation: place.generation, socket: -1, table: nil)
        }
        let service = place.departing ?? compiledByPort[listener.port]
        return ListenerEntry(
            state: place.state,
            generation: place.generation,
            socket: listener.descriptor,
            table: service.map { UnsafePointer($0.table) }
        )
    }

    private func reclaim() {
        let oldest = links.indices.map(acknowledged).min() ?? 0
        snapshots.removeAll { $0.epoch < oldest }
        for backend in backends where backend.countersAtEnd == nil {
            guard let retired = backend.retiredIn, retired <= oldest,
                backend.record.pointee.active.load(ordering: .acquiring) == 0
            else { continue }
            backend.countersAtEnd = backend.counters
        }
    }
}

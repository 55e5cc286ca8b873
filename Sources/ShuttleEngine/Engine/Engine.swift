// Owns the data plane as the control thread sees it: start, prepare and commit changes, health, stop.
// Leaves to others: running sessions (Worker), when a change is due and whether it is durable (shuttled/Control).

import Glibc
import Synchronization

/// A service with its addresses resolved: what the engine runs.
public struct ResolvedService: Sendable, Equatable {
    public var configuration: ServiceConfiguration
    /// Nil for a pool.
    public var listenAddress: SocketAddress?
    /// One for each of `configuration.backends`, in its order.
    public var backendAddresses: [SocketAddress]
    /// Who may connect, where it listens on a unix socket that has a file.
    public var socketAccess: SocketFileAccess

    public init(
        configuration: ServiceConfiguration, listenAddress: SocketAddress?, backendAddresses: [SocketAddress],
        socketAccess: SocketFileAccess = SocketFileAccess()
    ) {
        precondition(backendAddresses.count == configuration.backends.count)
        self.configuration = configuration
        self.listenAddress = listenAddress
        self.backendAddresses = backendAddresses
        self.socketAccess = socketAccess
    }
}

/// Why this machine cannot run the engine; `description` is for people: errno, cause, remedy.
public struct EngineUnavailable: Error, Sendable, CustomStringConvertible {
    public var description: String
}

/// A listening socket that could not be opened, or whose file could not be made what it is to be.
public struct ListenFailure: Error, Sendable {
    /// Index into the services given to `prepare`.
    public var serviceIndex: Int
    public var address: SocketAddress
    /// errno of the call that failed: EADDRINUSE, EADDRNOTAVAIL, EACCES, EMFILE, …
    public var code: Int32
    public var step = ListenError.Step.listen
}

extension ListenFailure {
    init(_ error: ListenError, at address: SocketAddress, of index: Int) {
        self.init(serviceIndex: index, address: address, code: error.code, step: error.step)
    }
}

/// A change whose listeners are bound and which has not been published; to be committed or abandoned.
public struct PreparedChange: ~Copyable {
    fileprivate let services: [ResolvedService]
    /// Listeners that the change opens; they close when it is abandoned.
    fileprivate let opened: [ListeningSocket]
    fileprivate let openedForDatagrams: [DatagramSockets]
    /// Files of sockets that stay and that others may connect to from now on, with what held before; it holds again when
    /// the change is abandoned.
    fileprivate let accessBefore: [(file: UnixSocketFile, access: SocketFileAccess)]
}

/// Number of a snapshot; grows with every publication.
public typealias Epoch = UInt64

/// How far a committed change has come.
public enum CommitProgress: Sendable, Equatable {
    /// Rings that have not taken the snapshot up yet.
    case waiting(rings: [Int])
    case complete
}

/// The data plane. Owned and called by one thread, the control thread.
public final class Engine {
    public struct Options: Sendable {
        /// 1…256
        public var ringCount: Int
        /// Open files of the process; `nil` asks RLIMIT_NOFILE.
        public var descriptorLimit: Int?
        /// Sessions that have ended and are remembered of each ring, 128 bytes each; 0 remembers only those that are to be
        /// logged.
        public var recentSessionsPerRing: Int
        /// Sockets that listen already: services at their addresses take them in place of binding their own.
        public var handed: [HandedSocket]
        /// Records that there is room for on each ring in any case: how far a log may be behind the sessions that end.
        public var recordsPerRingMin: Int

        public init(
            ringCount: Int, descriptorLimit: Int? = nil, recentSessionsPerRing: Int = 1000,
            recordsPerRingMin: Int = 1024, handed: [HandedSocket] = []
        ) {
            self.handed = handed
            self.ringCount = ringCount
            self.descriptorLimit = descriptorLimit
            self.recentSessionsPerRing = recentSessionsPerRing
            self.recordsPerRingMin = recordsPerRingMin
        }

        public static let recentSessionCounts = 0...1_000_000

        public static let ringCounts = 1...256
    }

    public let report: EngineReport

    let workers: [WorkerThread]
    let records: RecordRegistry
    /// As in the options.
    public let recentSessionsPerRing: Int
    private let capacity: SessionCapacity
    let handed: [HandedSocket]
    /// Of all workers, for each of them.
    private let links: UnsafeMutableBufferPointer<UnsafeMutablePointer<WorkerLink>>
    private let listeners = ListenerRegistry()
    private let datagramListeners = DatagramListenerRegistry()
    private(set) var epoch: Epoch = 0
    /// The newest first in use; older ones until every worker has left them.
    var snapshots: [Snapshot] = []
    /// In the order of the configuration.
    private(set) var services: [CompiledService] = []
    private(set) var serviceIndices: [String: Int] = [:]
    private(set) var keptBackends: Set<RecordRegistry.BackendIdentity> = []
    private var servicesByAddress: [SocketAddress: CompiledService] = [:]
    /// Of UDP, which has addresses of its own.
    private var datagramServicesByAddress: [SocketAddress: CompiledService] = [:]
    /// Times that drains have changed.
    private var drainChanges: UInt64 = 0
    /// Some service has, or had, source addresses.
    private var hasSources = false
    private var isRunning = false
    /// When traffic was last judged, in the caller's milliseconds.
    var judgedAt: UInt64 = 0
    /// When time by itself may change what traffic leads to.
    var nextJudgement = UInt64.max
    /// When a backend that ramps takes its next step.
    var nextSlowStartStep = UInt64.max
    /// What a ring is asked about its sessions, while it is not answered.
    var asked: (ring: Int, inspection: UnsafeMutablePointer<SessionInspection>)?
    /// Not yet told to the caller.
    var ejectionChanges: [EjectionChange] = []

    /// Creates every ring; no thread runs yet.
    ///
    /// - Throws: `EngineUnavailable` when the kernel refuses one, with diagnosis and remedy.
    public init(options: Options) throws(EngineUnavailable) {
        precondition(Options.ringCounts.contains(options.ringCount))
        let capacity = SessionCapacity(
            descriptorLimit: options.descriptorLimit ?? SessionCapacity.processDescriptorLimit(),
            ringCount: options.ringCount
        )
        var sizes = LinuxRing.Sizes()
        sizes.pipes = capacity.pipesPerRing
        var workers: [WorkerThread] = []
        let capabilities: RingCapabilities
        do throws(SystemCallError) {
            capabilities = try RingProbe.capabilities().withoutDisabledFeatures()
            for index in 0..<options.ringCount {
                let ring = try LinuxRing.make(sizes: sizes, capabilities: capabilities)
                workers.append(
                    WorkerThread(
                        ring: ring, index: index, sessionCapacity: capacity.slotsPerRing,
                        recentSessions: options.recentSessionsPerRing,
                        recordCapacityMin: options.recordsPerRingMin))
            }
        } catch {
            let diagnosis = RingDiagnosis(code: error.code, ringCount: options.ringCount, facts: .gather())
            throw EngineUnavailable(description: diagnosis.text)
        }
        self.workers = workers
        handed = options.handed
        self.capacity = capacity
        links = .allocate(capacity: workers.count)
        _ = links.initialize(from: workers.map(\.link))
        records = RecordRegistry(workerCount: options.ringCount)
        recentSessionsPerRing = options.recentSessionsPerRing
        report = EngineReport(
            capabilities: capabilities,
            ringCount: options.ringCount,
            sizes: sizes,
            capacity: capacity
        )
    }

    deinit {
        stop()
        links.deallocate()
    }

    /// Starts the ring threads with an empty configuration.
    public func start() {
        precondition(!isRunning)
        isRunning = true
        for worker in workers { worker.start(links: UnsafeBufferPointer(links)) }
        publish()
    }

    // MARK: Changes

    /// Binds the listeners of `services` that are new, and gives the files of unix sockets that stay their mode and owner. On
    /// failure nothing has changed.
    public func prepare(_ services: [ResolvedService]) throws(ListenFailure) -> PreparedChange {
        let wanted = Set(services.filter { $0.configuration.network == .tcp }.compactMap(\.listenAddress))
        let present = listeners.openSockets
        let presentAddresses = Set(present.map(\.address))
        let leaving = present.filter { !wanted.contains($0.address) }
        var opened: [ListeningSocket] = []
        for (index, service) in services.enumerated() {
            guard service.configuration.network == .tcp, let address = service.listenAddress,
                !presentAddresses.contains(address)
            else { continue }
            if let socket = try handedSocket(at: address, for: index) {
                opened.append(socket)
                continue
            }
            let overlapping = leaving.filter { $0.overlaps(address) }
            switch ListeningSocket.open(address, access: service.socketAccess, overlapping: overlapping) {
            case .success(let socket): opened.append(socket)
            case .failure(let error): throw ListenFailure(error, at: address, of: index)
            }
        }
        let openedForDatagrams = try openDatagramSockets(for: services)
        // The last that may fail: nobody has to take it back.
        let accessBefore = try Engine.changeAccess(of: present, services)
        return PreparedChange(
            services: services, opened: opened, openedForDatagrams: openedForDatagrams, accessBefore: accessBefore)
    }

    /// The same for UDP: a socket for each ring.
    private func openDatagramSockets(for services: [ResolvedService]) throws(ListenFailure) -> [DatagramSockets] {
        let wanted = Set(services.filter { $0.configuration.network == .udp }.compactMap(\.listenAddress))
        let present = datagramListeners.openSockets
        let presentAddresses = Set(present.map(\.address))
        let leaving = present.filter { !wanted.contains($0.address) }
        var opened: [DatagramSockets] = []
        for (index, service) in services.enumerated() {
            guard service.configuration.network == .udp, let address = service.listenAddress,
                !presentAddresses.contains(address)
            else { continue }
            let overlapping = leaving.filter { $0.overlaps(address) }
            switch DatagramSockets.open(address, count: workers.count, overlapping: overlapping) {
            case .success(let sockets): opened.append(sockets)
            case .failure(let error):
                throw ListenFailure(serviceIndex: index, address: address, code: error.code)
            }
        }
        return opened
    }

    /// Closes what `prepare` opened, and takes back what it has changed of files; nothing else has happened.
    public func abandon(_ change: consuming PreparedChange) {
        Engine.restore(change.accessBefore)
        _ = consume change
    }

    /// Publishes the change to every ring; it cannot fail any more. `progress` tells when it is complete.
    public func commit(_ change: consuming PreparedChange) -> Epoch {
        let leaving = servicesByAddress
        for socket in change.opened { listeners.open(socket) }
        for sockets in change.openedForDatagrams { datagramListeners.open(sockets) }
        let previous = services
        services = change.services.map { service in
            compile(service, reusing: serviceIndices[service.configuration.name].map { previous[$0] })
        }
        let rules = DrainRules(change.services, previous: previous)
        let changesBandwidth = services.contains { service in
            serviceIndices[service.configuration.name].map {
                service.configuration.changesBandwidth(of: previous[$0].configuration)
            } ?? false
        }
        if records.follow(rules, now: Engine.nowMilliseconds()) || changesBandwidth { drainChanges += 1 }
        serviceIndices = Dictionary(
            uniqueKeysWithValues: services.enumerated().map { ($1.configuration.name, $0) }
        )
        keptBackends = Set(
            change.services.flatMap { service in
                service.backendAddresses.indices.map { Engine.identity(of: $0, in: service) }
            }
        )
        servicesByAddress = Engine.byAddress(change.services, services, .tcp)
        datagramServicesByAddress = Engine.byAddress(change.services, services, .udp)
        listeners.startClosing(exceptAddresses: Set(servicesByAddress.keys)) { leaving[$0] }
        datagramListeners.startClosing(exceptAddresses: Set(datagramServicesByAddress.keys))
        publish()
        return epoch
    }

    /// Moves a committed change on and says how far it is. Removed listeners close in steps: every ring takes its
    /// accept back, then what is queued is served, then the socket closes.
    public func progress(_ committed: Epoch) -> CommitProgress {
        let waiting = workers.indices.filter { acknowledgedEpoch(of: $0) < epoch }
        guard waiting.isEmpty else {
            // A wake can be lost when a ring's queue is full; asking again costs nothing.
            wake(waiting)
            return .waiting(rings: waiting)
        }
        if listeners.hasDraining {
            listeners.finishClosing()
            datagramListeners.finishClosing()
            publish()
            retireUnused()
            return .complete
        }
        if listeners.hasClosing {
            listeners.startDraining()
            publish()
            return .waiting(rings: Array(workers.indices))
        }
        if datagramListeners.hasClosing {
            datagramListeners.finishClosing()
            publish()
        }
        retireUnused()
        return .complete
    }

    /// Closes every listener; sessions run on. `progress` tells when it is complete.
    public func stopAccepting() -> Epoch {
        listeners.startClosing(exceptAddresses: []) { servicesByAddress[$0] }
        datagramListeners.startClosing(exceptAddresses: [])
        publish()
        return epoch
    }

    // MARK: The end

    /// Sessions on all rings now, also those of removed services.
    public var activeSessions: Int {
        workers.reduce(0) { $0 + $1.link.pointee.sessions.load(ordering: .acquiring) }
    }

    /// Ends every session at once.
    public func cutSessions() {
        for worker in workers { worker.link.pointee.command(WorkerLink.cutCommand) }
        wake(Array(workers.indices))
    }

    /// Stops and joins the ring threads; sessions that remain are cut. Idempotent.
    public func stop() {
        guard isRunning else { return }
        for worker in workers { worker.stop() }
        isRunning = false
        forgetQuestion()
        snapshots.removeAll()
    }

    // MARK: Publishing

    private func compile(_ service: ResolvedService, reusing previous: CompiledService?) -> CompiledService {
        let configuration = service.configuration
        let backends = configuration.backends.indices.map { index in
            records.backend(Engine.identity(of: index, in: service))
        }
        let record = records.service(configuration.name)
        let targets = configuration.routes.map { records.service($0.service) }
        judgeTraffic(of: configuration, backends, record: record)
        advanceSlowStarts(of: configuration, backends, record: record, isRunning: previous != nil)
        let shares = CompiledService.shares(configuration, backends)
        if let previous, previous.backends == backends, previous.rotationShares == shares {
            let weights = CompiledService.effectiveWeights(configuration, backends)
            if previous.configuration == configuration, previous.weights == weights, previous.routeTargets == targets {
                return previous
            }
            return CompiledService(
                configuration: configuration,
                record: record,
                backends: backends,
                rotation: previous.rotation,
                rotationShares: shares,
                routeTargets: targets,
                reusing: previous
            )
        }
        return CompiledService(
            configuration: configuration,
            record: record,
            backends: backends,
            rotation: Rotation(shares),
            rotationShares: shares,
            routeTargets: targets,
            reusing: previous
        )
    }

    static func identity(of backend: Int, in service: ResolvedService) -> RecordRegistry.BackendIdentity {
        RecordRegistry.BackendIdentity(
            service: service.configuration.name,
            name: service.configuration.backends[backend].name,
            address: service.backendAddresses[backend]
        )
    }

    /// Puts another table in a service's place; `publish` shows it to the rings.
    func replace(_ index: Int, by renewed: CompiledService) {
        let old = services[index]
        services[index] = renewed
        for (address, compiled) in servicesByAddress where compiled === old { servicesByAddress[address] = renewed }
        for (address, compiled) in datagramServicesByAddress where compiled === old {
            datagramServicesByAddress[address] = renewed
        }
    }

    /// Puts the present state into every mailbox.
    func publish() {
        epoch += 1
        hasSources = hasSources || services.contains { !$0.configuration.sourceAddresses.isEmpty }
        if hasSources {
            let served = services + listeners.departing
            records.clearSources(exceptServices: Set(served.map(\.configuration.name)))
        }
        let listeningSockets = listeners.count + datagramListeners.count * workers.count
        let datagramSessions = datagramServicesByAddress.values.reduce(0) { $0 + $1.configuration.udpSessionsMax }
        let snapshot = Snapshot(
            epoch: epoch,
            after: snapshots.last,
            services: services,
            departing: listeners.departing,
            listeners: listeners.entries(serving: servicesByAddress),
            sessionCapacity: capacity.sessionsPerRing(
                listenerCount: listeningSockets, datagramSessions: datagramSessions),
            drainChanges: drainChanges,
            datagrams: datagramListeners.entries(serving: datagramServicesByAddress),
            datagramCapacity: capacity.datagramSessionsPerRing(
                listenerCount: listeningSockets, datagramSessions: datagramSessions),
            datagramDescriptors: capacity.datagramDescriptors(
                listenerCount: listeningSockets, datagramSessions: datagramSessions)
        )
        snapshots.append(snapshot)
        for worker in workers { _ = worker.link.pointee.mailbox.put(snapshot.view) }
        wake(Array(workers.indices))
        reclaim()
    }

    private static func byAddress(
        _ resolved: [ResolvedService], _ compiled: [CompiledService], _ network: Network
    ) -> [SocketAddress: CompiledService] {
        Dictionary(
            uniqueKeysWithValues: zip(resolved, compiled).filter { $0.0.configuration.network == network }
                .compactMap { resolved, compiled in resolved.listenAddress.map { ($0, compiled) } }
        )
    }

    func wake(_ rings: [Int]) {
        guard isRunning else { return }
        for index in rings { _ = workers[index].waker.wake() }
    }

    func acknowledgedEpoch(of worker: Int) -> Epoch {
        workers[worker].link.pointee.acknowledgedEpoch.load(ordering: .acquiring)
    }
}

// Owns the immutable world that rings run on: which listener serves which service. Compiled per service; services
// that did not change are shared with the snapshot before.

import Synchronization

/// A service compiled for the rings; frees what its table points to. Shared by consecutive snapshots.
final class CompiledService {
    let configuration: ServiceConfiguration
    let rotation: Rotation
    /// What the rotation was computed from.
    let rotationShares: [Rotation.Share]
    /// What is chosen by, in the order of the backends.
    let weights: [EffectiveWeight]
    /// For `hash` only; of the backends, and of the backups.
    let hashTables: (primary: MaglevTable, backup: MaglevTable)?
    let table: UnsafeMutablePointer<ServiceTable>
    /// The backends' records in the order of the configuration.
    let backends: [UnsafeMutablePointer<BackendRecord>]
    /// What each of the configuration's routes leads to.
    let routeTargets: [UnsafeMutablePointer<ServiceRecord>]
    private let routes: RouteStorage
    private let targets: UnsafeMutableBufferPointer<UnsafeMutablePointer<ServiceRecord>>
    private let entries: UnsafeMutableBufferPointer<ServiceTable.Entry>
    /// Nil where the kernel chooses.
    private let sources: UnsafeMutablePointer<SourceAddresses>?
    /// Nil where everybody may come in.
    private let access: CompiledAccess?
    /// Nil where clients may come as fast as they like.
    private let rateLimit: RateLimit?

    init(
        configuration: ServiceConfiguration,
        record: UnsafeMutablePointer<ServiceRecord>,
        backends: [UnsafeMutablePointer<BackendRecord>],
        rotation: Rotation,
        rotationShares: [Rotation.Share],
        routeTargets: [UnsafeMutablePointer<ServiceRecord>]? = nil,
        reusing previous: CompiledService? = nil
    ) {
        self.routeTargets = routeTargets ?? previous?.routeTargets ?? []
        precondition(self.routeTargets.count == configuration.routes.count)
        routes = RouteStorage(
            configuration.routes.map { RouteRule(names: $0.serverNames, protocols: $0.protocols) })
        targets = .allocate(capacity: self.routeTargets.count)
        _ = targets.initialize(from: self.routeTargets)
        self.configuration = configuration
        self.rotation = rotation
        self.rotationShares = rotationShares
        self.backends = backends
        let addresses = configuration.sourceAddresses.compactMap(SocketAddress.init(source:))
        if addresses.isEmpty {
            sources = nil
        } else {
            let list = UnsafeMutablePointer<SourceAddresses>.allocate(capacity: 1)
            list.initialize(to: SourceAddresses(addresses))
            sources = list
        }
        record.pointee.accessLogOneIn.store(UInt32(configuration.accessLog?.oneIn ?? 0), ordering: .relaxed)
        // Rings that are still on an older snapshot read these at once; they are as good for them.
        record.pointee.setSources(sources.map { UnsafePointer($0) })
        access = CompiledAccess.of(configuration, reusing: previous?.access, of: previous?.configuration)
        let keepsRate = previous?.configuration.rateLimit == configuration.rateLimit
        rateLimit = keepsRate ? previous?.rateLimit : configuration.rateLimit.map(RateLimit.init)
        weights = CompiledService.effectiveWeights(configuration, backends)
        hashTables = CompiledService.hashTables(configuration, reusing: previous?.hashTables)
        let nowhere = UnsafeBufferPointer<UInt16>(start: nil, count: 0)
        entries = .allocate(capacity: backends.count)
        for (index, backend) in backends.enumerated() {
            let entry = CompiledService.entry(of: configuration.backends[index], backend, weights[index])
            backend.pointee.setProxyProtocol(configuration.proxyProtocolSend(to: configuration.backends[index]))
            entries.initializeElement(at: index, to: entry)
        }
        // Before a session of the new snapshot asks; those that are there go by them at their next receive.
        record.pointee.bandwidth.set(configuration.bandwidth, configuration.serviceBandwidth)
        let limits = CompiledService.limits(of: configuration)
        let preread = PrereadRules(
            proxyHeader: configuration.proxyProtocolAccept,
            clientHello: !configuration.routes.isEmpty,
            timeoutMilliseconds: UInt32(configuration.prereadTimeoutMilliseconds),
            limit: UInt16(configuration.prereadLimitBytes)
        )
        // Before a ring can let the first one in under them.
        record.pointee.isLimited.store(limits.isAnyPlaceLimited, ordering: .relaxed)
        record.pointee.queue.prepare(limit: limits.queueLimit)
        table = .allocate(capacity: 1)
        table.initialize(
            to: ServiceTable(
                record: record,
                entries: UnsafeBufferPointer(entries),
                algorithm: configuration.balance,
                rotation: rotation.sequence,
                ticket: rotation.ticket,
                hashPlaces: hashTables?.primary.places ?? nowhere,
                backupHashPlaces: hashTables?.backup.places ?? nowhere,
                timeouts: SessionTimeouts(
                    clientMilliseconds: UInt32(configuration.clientTimeoutMilliseconds),
                    serverMilliseconds: UInt32(configuration.serverTimeoutMilliseconds),
                    connectMilliseconds: UInt32(configuration.connectTimeoutMilliseconds),
                    retryMilliseconds: UInt32(configuration.retryTimeoutMilliseconds),
                    halfCloseMilliseconds: UInt32(configuration.halfCloseTimeoutMilliseconds),
                    userMilliseconds: UInt32(configuration.userTimeoutMilliseconds),
                    keepalive: Keepalive(
                        idleSeconds: UInt16(configuration.keepalive.idleMilliseconds / 1000),
                        intervalSeconds: UInt16(configuration.keepalive.intervalMilliseconds / 1000),
                        count: UInt8(configuration.keepalive.count)
                    ),
                    hasUnixClient: configuration.isOnUnixSocket
                ),
                limits: limits,
                access: access.map { UnsafePointer($0.ranges) },
                rate: rateLimit.map { UnsafePointer($0.limiter) },
                preread: preread,
                routes: routes.table,
                routeTargets: UnsafeBufferPointer(targets),
                isLimited: limits.isAny || access != nil || rateLimit != nil || preread.isAny,
                lifetime: LifetimeLimit(
                    milliseconds: UInt32(configuration.maxLifetimeMilliseconds),
                    jitterPercent: UInt8(configuration.maxLifetimeJitterPercent)
                ),
                closesAtFirstEnd: !configuration.halfClose,
                isPaced: configuration.limitsBandwidth,
                retries: UInt8(configuration.retries),
                isOfDatagrams: configuration.network == .udp,
                datagrams: DatagramRules(configuration)
            )
        )
    }

    deinit {
        table.deallocate()
        entries.deallocate()
        targets.deallocate()
        sources?.pointee.deallocate()
        sources?.deallocate()
    }

    private static func limits(of configuration: ServiceConfiguration) -> ServiceLimits {
        ServiceLimits(
            sessionsMax: configuration.connectionsMax,
            sessionsPerClientMax: configuration.connectionsPerClientMax,
            queueLimit: configuration.queueLimit,
            queueTimeoutMilliseconds: UInt64(configuration.queueTimeoutMilliseconds),
            isInMaintenance: configuration.isInMaintenance,
            hasBackendLimits: configuration.backends.contains { $0.connectionsMax > 0 }
        )
    }

    func backendRecord(named name: String) -> UnsafeMutablePointer<BackendRecord>? {
        configuration.backends.firstIndex { $0.name == name }.map { backends[$0] }
    }

    private static func entry(
        of backend: BackendConfiguration,
        _ record: UnsafeMutablePointer<BackendRecord>,
        _ effective: EffectiveWeight
    ) -> ServiceTable.Entry {
        let isLimited = backend.connectionsMax > 0
        record.pointee.isLimited.store(isLimited, ordering: .relaxed)
        return ServiceTable.Entry(
            record: record,
            weight: effective.weight,
            connectionsMax: isLimited ? backend.connectionsMax : ServiceTable.Entry.unlimited,
            isBackup: backend.isBackup,
            hashLimit: effective.hashLimit
        )
    }

    /// Of what the configuration says alone: health does not change who has which places.
    private static func hashTables(
        _ configuration: ServiceConfiguration,
        reusing previous: (primary: MaglevTable, backup: MaglevTable)?
    ) -> (primary: MaglevTable, backup: MaglevTable)? {
        guard configuration.balance == .hash else { return nil }
        func table(areBackups: Bool, _ previous: MaglevTable?) -> MaglevTable {
            let shares = configuration.backends.enumerated().compactMap { index, backend in
                backend.isBackup == areBackups && weight(of: backend) > 0
                    ? MaglevTable.Share(
                        backend: UInt32(index), weight: weight(of: backend), key: ClientHash.of(backend.name)) : nil
            }
            if let previous, previous.shares == shares { return previous }
            return MaglevTable(shares)
        }
        return (table(areBackups: false, previous?.primary), table(areBackups: true, previous?.backup))
    }

    /// Only a backend that is ready gets anything new.
    static func weight(of backend: BackendConfiguration) -> Int {
        backend.state == .ready ? backend.weight : 0
    }

    /// What round robin turns over: the usable backends with their weights; the backups when there are only those.
    static func shares(
        _ configuration: ServiceConfiguration,
        _ backends: [UnsafeMutablePointer<BackendRecord>]
    ) -> [Rotation.Share] {
        let weights = effectiveWeights(configuration, backends)
        func usable(areBackups: Bool) -> [Rotation.Share] {
            backends.indices.compactMap { index in
                let backend = configuration.backends[index]
                guard backend.isBackup == areBackups, weights[index].weight > 0,
                    backends[index].pointee.isUp.load(ordering: .relaxed)
                else { return nil }
                return Rotation.Share(backend: UInt32(index), weight: weights[index].weight)
            }
        }
        let primaries = usable(areBackups: false)
        return primaries.isEmpty ? usable(areBackups: true) : primaries
    }
}

/// What a ring is to do with a listener.
enum ListenerState: UInt8 {
    /// The place is empty.
    case none
    /// Accept.
    case open
    /// Take the armed accept back; somebody else will serve what is queued.
    case closing
    /// Serve what is queued without waiting for more.
    case draining
}

/// A listener's place in a snapshot.
struct ListenerEntry: Equatable {
    var state: ListenerState
    /// Grows whenever the place is given to another listener.
    var generation: UInt32
    var socket: Int32
    /// The service that a connection accepted here belongs to.
    var table: UnsafePointer<ServiceTable>?

    static var empty: ListenerEntry { ListenerEntry(state: .none, generation: 0, socket: -1, table: nil) }
}

/// What workers read: plain memory, valid until every worker has acknowledged a later epoch.
struct SnapshotView {
    let epoch: UInt64
    let listeners: UnsafeBufferPointer<ListenerEntry>
    /// Where `listeners` has changed, so that adopting takes as long as there are changes, not services.
    let listenerChanges: PlaceChanges
    /// Every service's table, for sessions that look theirs up again.
    let tables: UnsafeBufferPointer<UnsafePointer<ServiceTable>>
    /// Sessions one worker may hold.
    let sessionCapacity: Int
    /// Grows whenever backends begin to drain, or drain otherwise, and when limits of bandwidth change.
    let drainChanges: UInt64
    /// Of UDP, at places of their own.
    let datagramListeners: UnsafeBufferPointer<DatagramListenerEntry>
    let datagramListenerChanges: PlaceChanges
    /// Of each listener one for each ring.
    let datagramSockets: UnsafeBufferPointer<Int32>
    /// UDP sessions one worker may hold.
    let datagramCapacity: Int
    /// Sockets that UDP sessions of all workers may have, those that have ended and are not closed yet included.
    let datagramDescriptors: Int
}

/// Owns a view and keeps alive what it points to. Lives on the control thread.
final class Snapshot {
    let epoch: UInt64
    let view: UnsafeMutablePointer<SnapshotView>
    let services: [CompiledService]
    // Services whose listeners are still draining though the configuration names them no more.
    private let departing: [CompiledService]

    /// `previous` is the one that was published before: without it everything counts as changed.
    init(
        epoch: UInt64,
        after previous: Snapshot? = nil,
        services: [CompiledService],
        departing: [CompiledService],
        listeners: [ListenerEntry],
        sessionCapacity: Int,
        drainChanges: UInt64 = 0,
        datagrams: (entries: [DatagramListenerEntry], sockets: [Int32]) = ([], []),
        datagramCapacity: Int = 0,
        datagramDescriptors: Int = .max
    ) {
        self.epoch = epoch
        self.services = services
        self.departing = departing
        let entries = UnsafeMutableBufferPointer<ListenerEntry>.allocate(capacity: listeners.count)
        _ = entries.initialize(from: listeners)
        let tables = UnsafeMutableBufferPointer<UnsafePointer<ServiceTable>>.allocate(capacity: services.count)
        _ = tables.initialize(from: services.map { UnsafePointer($0.table) })
        let datagramEntries = UnsafeMutableBufferPointer<DatagramListenerEntry>.allocate(
            capacity: datagrams.entries.count)
        _ = datagramEntries.initialize(from: datagrams.entries)
        let datagramSockets = UnsafeMutableBufferPointer<Int32>.allocate(capacity: datagrams.sockets.count)
        _ = datagramSockets.initialize(from: datagrams.sockets)
        let before = previous?.view.pointee
        view = .allocate(capacity: 1)
        view.initialize(
            to: SnapshotView(
                epoch: epoch,
                listeners: UnsafeBufferPointer(entries),
                listenerChanges: PlaceChanges(
                    of: UnsafeBufferPointer(entries), epoch: epoch,
                    since: before.map { ($0.listeners, $0.listenerChanges) }
                ),
                tables: UnsafeBufferPointer(tables),
                sessionCapacity: sessionCapacity,
                drainChanges: drainChanges,
                datagramListeners: UnsafeBufferPointer(datagramEntries),
                datagramListenerChanges: PlaceChanges(
                    of: UnsafeBufferPointer(datagramEntries), epoch: epoch,
                    since: before.map { ($0.datagramListeners, $0.datagramListenerChanges) }
                ),
                datagramSockets: UnsafeBufferPointer(datagramSockets),
                datagramCapacity: datagramCapacity,
                datagramDescriptors: datagramDescriptors
            )
        )
    }

    deinit {
        view.pointee.listeners.deallocate()
        view.pointee.listenerChanges.deallocate()
        view.pointee.datagramListenerChanges.deallocate()
        view.pointee.tables.deallocate()
        view.pointee.datagramListeners.deallocate()
        view.pointee.datagramSockets.deallocate()
        view.deallocate()
    }
}

// Owns the immutable world that rings run on: which listener serves which service. Compiled per service; services
// that did not change are shared with the snapshot before.

import Synchronization

/// A service compiled for the rings; frees what its table points to. Shared by consecutive snapshots.
final class CompiledService {
    let configuration: ServiceConfiguration
    let rotation: Rotation
    /// What the rotation was computed from.
    let rotationShares: [Rotation.Share]
    /// For `hash` only; of the backends, and of the backups.
    let hashTables: (primary: MaglevTable, backup: MaglevTable)?
    let table: UnsafeMutablePointer<ServiceTable>
    /// The backends' records in the order of the configuration.
    let backends: [UnsafeMutablePointer<BackendRecord>]
    private let entries: UnsafeMutableBufferPointer<ServiceTable.Entry>
    /// Nil where the kernel chooses.
    private let sources: UnsafeMutablePointer<SourceAddresses>?

    init(
        configuration: ServiceConfiguration,
        record: UnsafeMutablePointer<ServiceRecord>,
        backends: [UnsafeMutablePointer<BackendRecord>],
        rotation: Rotation,
        rotationShares: [Rotation.Share],
        reusing previous: CompiledService? = nil
    ) {
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
        // Rings that are still on an older snapshot read these at once; they are as good for them.
        record.pointee.setSources(sources.map { UnsafePointer($0) })
        hashTables = CompiledService.hashTables(configuration, reusing: previous?.hashTables)
        let nowhere = UnsafeBufferPointer<UInt16>(start: nil, count: 0)
        entries = .allocate(capacity: backends.count)
        for (index, backend) in backends.enumerated() {
            let entry = CompiledService.entry(of: configuration.backends[index], backend)
            entries.initializeElement(at: index, to: entry)
        }
        let limits = CompiledService.limits(of: configuration)
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
                    )
                ),
                limits: limits,
                isLimited: limits.isAny,
                lifetime: LifetimeLimit(
                    milliseconds: UInt32(configuration.maxLifetimeMilliseconds),
                    jitterPercent: UInt8(configuration.maxLifetimeJitterPercent)
                ),
                closesAtFirstEnd: !configuration.halfClose,
                retries: UInt8(configuration.retries)
            )
        )
    }

    deinit {
        table.deallocate()
        entries.deallocate()
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
        _ record: UnsafeMutablePointer<BackendRecord>
    ) -> ServiceTable.Entry {
        let isLimited = backend.connectionsMax > 0
        record.pointee.isLimited.store(isLimited, ordering: .relaxed)
        return ServiceTable.Entry(
            record: record,
            weight: weight(of: backend),
            connectionsMax: isLimited ? backend.connectionsMax : ServiceTable.Entry.unlimited,
            isBackup: backend.isBackup
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
        func usable(areBackups: Bool) -> [Rotation.Share] {
            backends.indices.compactMap { index in
                let backend = configuration.backends[index]
                guard backend.isBackup == areBackups, weight(of: backend) > 0,
                    backends[index].pointee.isUp.load(ordering: .relaxed)
                else { return nil }
                return Rotation.Share(backend: UInt32(index), weight: weight(of: backend))
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
struct ListenerEntry {
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
    /// Every service's table, for sessions that look theirs up again.
    let tables: UnsafeBufferPointer<UnsafePointer<ServiceTable>>
    /// Sessions one worker may hold.
    let sessionCapacity: Int
    /// Grows whenever backends begin to drain, or drain otherwise.
    let drainChanges: UInt64
}

/// Owns a view and keeps alive what it points to. Lives on the control thread.
final class Snapshot {
    let epoch: UInt64
    let view: UnsafeMutablePointer<SnapshotView>
    let services: [CompiledService]
    // Services whose listeners are still draining though the configuration names them no more.
    private let departing: [CompiledService]

    init(
        epoch: UInt64,
        services: [CompiledService],
        departing: [CompiledService],
        listeners: [ListenerEntry],
        sessionCapacity: Int,
        drainChanges: UInt64 = 0
    ) {
        self.epoch = epoch
        self.services = services
        self.departing = departing
        let entries = UnsafeMutableBufferPointer<ListenerEntry>.allocate(capacity: listeners.count)
        _ = entries.initialize(from: listeners)
        let tables = UnsafeMutableBufferPointer<UnsafePointer<ServiceTable>>.allocate(capacity: services.count)
        _ = tables.initialize(from: services.map { UnsafePointer($0.table) })
        view = .allocate(capacity: 1)
        view.initialize(
            to: SnapshotView(
                epoch: epoch,
                listeners: UnsafeBufferPointer(entries),
                tables: UnsafeBufferPointer(tables),
                sessionCapacity: sessionCapacity,
                drainChanges: drainChanges
            )
        )
    }

    deinit {
        view.pointee.listeners.deallocate()
        view.pointee.tables.deallocate()
        view.deallocate()
    }
}

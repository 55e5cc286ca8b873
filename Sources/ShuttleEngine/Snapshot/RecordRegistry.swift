// Owns the records of services and backends: finding them by identity, and freeing them when nobody can reach them.
// Control thread only.

import Synchronization

/// A record is freed when it was retired, every worker has acknowledged the epoch in which it was, and no session is
/// left on it.
final class RecordRegistry {
    /// What makes a backend the same backend.
    struct BackendIdentity: Hashable {
        var service: String
        var name: String
        var address: SocketAddress
    }

    private let workerCount: Int
    private var services: [String: UnsafeMutablePointer<ServiceRecord>] = [:]
    private var backends: [BackendIdentity: UnsafeMutablePointer<BackendRecord>] = [:]
    private var retiredServices: [(record: UnsafeMutablePointer<ServiceRecord>, epoch: UInt64)] = []
    private var retiredBackends: [(record: UnsafeMutablePointer<BackendRecord>, epoch: UInt64)] = []
    private var nextIdentifier: UInt32 = 1

    init(workerCount: Int) {
        self.workerCount = workerCount
    }

    /// Every worker must have stopped.
    deinit {
        for record in services.values { RecordRegistry.free(record) }
        for record in backends.values { RecordRegistry.free(record) }
        for retired in retiredServices { RecordRegistry.free(retired.record) }
        for retired in retiredBackends { RecordRegistry.free(retired.record) }
    }

    func service(_ name: String) -> UnsafeMutablePointer<ServiceRecord> {
        if let record = services[name] { return record }
        let record = UnsafeMutablePointer<ServiceRecord>.allocate(capacity: 1)
        record.initialize(to: ServiceRecord(workerCount: workerCount))
        services[name] = record
        return record
    }

    func backend(_ identity: BackendIdentity) -> UnsafeMutablePointer<BackendRecord> {
        if let record = backends[identity] { return record }
        let record = UnsafeMutablePointer<BackendRecord>.allocate(capacity: 1)
        record.initialize(
            to: BackendRecord(identifier: nextIdentifier, address: identity.address, workerCount: workerCount)
        )
        nextIdentifier &+= 1
        backends[identity] = record
        return record
    }

    /// Retires the records that a configuration does not name; `epoch` is the first that does without them.
    func retire(
        exceptServices keptServices: Set<String>,
        exceptBackends keptBackends: Set<BackendIdentity>,
        epoch: UInt64
    ) {
        for (name, record) in services where !keptServices.contains(name) {
            services[name] = nil
            retiredServices.append((record, epoch))
        }
        for (identity, record) in backends where !keptBackends.contains(identity) {
            backends[identity] = nil
            retiredBackends.append((record, epoch))
        }
    }

    /// Frees what nobody can reach any more: `acknowledged` is the oldest epoch a worker runs on.
    func collect(acknowledged: UInt64) {
        retiredServices.removeAll { retired in
            guard retired.epoch <= acknowledged, retired.record.pointee.counters.active == 0 else { return false }
            RecordRegistry.free(retired.record)
            return true
        }
        retiredBackends.removeAll { retired in
            guard retired.epoch <= acknowledged, retired.record.pointee.active.load(ordering: .acquiring) == 0 else {
                return false
            }
            RecordRegistry.free(retired.record)
            return true
        }
    }

    /// Records retired and still reachable.
    var retiredCount: Int { retiredServices.count + retiredBackends.count }

    private static func free(_ record: UnsafeMutablePointer<ServiceRecord>) {
        record.deinitialize(count: 1)
        record.deallocate()
    }

    private static func free(_ record: UnsafeMutablePointer<BackendRecord>) {
        record.deinitialize(count: 1)
        record.deallocate()
    }
}

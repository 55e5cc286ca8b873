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

    /// A backend that no configuration names and that still has sessions, or may be found by a ring.
    private struct RetiredBackend {
        let identity: BackendIdentity
        let record: UnsafeMutablePointer<BackendRecord>
        let epoch: UInt64
    }

    private let workerCount: Int
    private var services: [String: UnsafeMutablePointer<ServiceRecord>] = [:]
    private var backends: [BackendIdentity: UnsafeMutablePointer<BackendRecord>] = [:]
    private var retiredServices: [(record: UnsafeMutablePointer<ServiceRecord>, epoch: UInt64)] = []
    private var retiredBackends: [RetiredBackend] = []
    /// Of every record that is not freed, retired or not: sessions have no names but these.
    private var serviceNames: [UnsafeMutablePointer<ServiceRecord>: String] = [:]
    private var backendIdentities: [UnsafeMutablePointer<BackendRecord>: BackendIdentity] = [:]
    private var nextIdentifier: UInt32 = 1
    private var nextServiceIdentifier: UInt32 = 1
    /// Of every record, and of those that are gone as long as somebody may ask.
    let names = RecordNames()

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
        record.initialize(to: ServiceRecord(identifier: nextServiceIdentifier, workerCount: workerCount))
        names.add(service: name, nextServiceIdentifier)
        nextServiceIdentifier &+= 1
        services[name] = record
        serviceNames[record] = name
        return record
    }

    func backend(_ identity: BackendIdentity) -> UnsafeMutablePointer<BackendRecord> {
        if let record = backends[identity] { return record }
        let record = UnsafeMutablePointer<BackendRecord>.allocate(capacity: 1)
        record.initialize(
            to: BackendRecord(identifier: nextIdentifier, address: identity.address, workerCount: workerCount)
        )
        names.add(backend: identity, nextIdentifier)
        nextIdentifier &+= 1
        backends[identity] = record
        backendIdentities[record] = identity
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
            retiredBackends.append(RetiredBackend(identity: identity, record: record, epoch: epoch))
        }
    }

    /// Frees what nobody can reach any more: `acknowledged` is the oldest epoch a worker runs on.
    func collect(acknowledged: UInt64) {
        retiredServices.removeAll { retired in
            guard retired.epoch <= acknowledged, retired.record.pointee.counters.active == 0 else { return false }
            names.depart(service: retired.record.pointee.identifier)
            serviceNames[retired.record] = nil
            RecordRegistry.free(retired.record)
            return true
        }
        retiredBackends.removeAll { retired in
            guard retired.epoch <= acknowledged, retired.record.pointee.active.load(ordering: .acquiring) == 0 else {
                return false
            }
            names.depart(backend: retired.record.pointee.identifier)
            backendIdentities[retired.record] = nil
            RecordRegistry.free(retired.record)
            return true
        }
    }

    /// Before a snapshot is published that does without some services: what their records point to ends with the
    /// snapshots of before, while sessions of theirs may still be connecting.
    func clearSources(exceptServices keptServices: Set<String>) {
        for (name, record) in services where !keptServices.contains(name) { record.pointee.setSources(nil) }
    }

    // MARK: Names

    func name(of record: UnsafeMutablePointer<ServiceRecord>) -> String? { serviceNames[record] }
    func name(of record: UnsafeMutablePointer<BackendRecord>) -> String? { backendIdentities[record]?.name }

    /// The service of this name, and those that had it before and still have sessions.
    func services(named name: String) -> [UnsafeMutablePointer<ServiceRecord>] {
        serviceNames.filter { $0.value == name }.map(\.key)
    }

    /// The same of backends, of one service or of all: one whose address has changed is another one.
    func backends(named name: String, of service: String?) -> [UnsafeMutablePointer<BackendRecord>] {
        backendIdentities.filter { $0.value.name == name && (service == nil || $0.value.service == service) }
            .map(\.key)
    }

    // MARK: Drains

    /// Has every record drain or run on as the rules say, and returns whether that changed for any. One that is
    /// configured again runs on, though its sessions belong to the record of before.
    func follow(_ rules: DrainRules, now: UInt64) -> Bool {
        var hasChanged = false
        for (identity, record) in backends where rules.apply(to: identity, record, now: now) { hasChanged = true }
        for retired in retiredBackends where rules.apply(to: retired.identity, retired.record, now: now) {
            hasChanged = true
        }
        return hasChanged
    }

    /// Sessions that drain, by the name of their service.
    func drainingSessions() -> [String: Int] {
        var counts: [String: Int] = [:]
        func add(_ identity: BackendIdentity, _ record: UnsafeMutablePointer<BackendRecord>) {
            guard record.pointee.drain.isActive else { return }
            counts[identity.service, default: 0] += record.pointee.active.load(ordering: .acquiring)
        }
        for (identity, record) in backends { add(identity, record) }
        for retired in retiredBackends { add(retired.identity, retired.record) }
        return counts
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

/// Which backends' sessions come to an end, and over what time.
struct DrainRules {
    /// Backends whose sessions run on.
    var running: Set<RecordRegistry.BackendIdentity> = []
    /// By service: milliseconds in which the sessions of its other backends end, 0 lets them run on as well. Of a service
    /// that is not here nothing is known any more, and what holds stays.
    var periods: [String: UInt64] = [:]

    /// Whether anything changed.
    func apply(
        to identity: RecordRegistry.BackendIdentity,
        _ record: UnsafeMutablePointer<BackendRecord>,
        now: UInt64
    ) -> Bool {
        if running.contains(identity) { return record.pointee.drain.set(periodMilliseconds: 0, now: now) }
        guard let period = periods[identity.service] else { return false }
        return record.pointee.drain.set(periodMilliseconds: period, now: now)
    }
}

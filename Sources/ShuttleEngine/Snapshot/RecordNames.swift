// Owns what the numbers in records of sessions stand for: services and backends, also those that are configured no more.
// Control thread only. Leaves to others: giving the numbers (RecordRegistry), which are still in use (Engine+Records).

/// Names by number. Those of services and backends that are gone are kept until no record of a ring has them any more.
final class RecordNames {
    private(set) var services: [UInt32: String] = [:]
    private(set) var backends: [UInt32: RecordRegistry.BackendIdentity] = [:]
    private var departedServices: Set<UInt32> = []
    private var departedBackends: Set<UInt32> = []

    func add(service name: String, _ identifier: UInt32) { services[identifier] = name }

    func add(backend identity: RecordRegistry.BackendIdentity, _ identifier: UInt32) {
        backends[identifier] = identity
    }

    /// No session will end any more that names it.
    func depart(service identifier: UInt32) { departedServices.insert(identifier) }
    func depart(backend identifier: UInt32) { departedBackends.insert(identifier) }

    /// Names that are only kept for records.
    var departedCount: Int { departedServices.count + departedBackends.count }

    /// Forgets the names of what is gone and that no record has.
    func forget(exceptServices usedServices: Set<UInt32>, exceptBackends usedBackends: Set<UInt32>) {
        for identifier in departedServices.subtracting(usedServices) { services[identifier] = nil }
        departedServices.formIntersection(usedServices)
        for identifier in departedBackends.subtracting(usedBackends) { backends[identifier] = nil }
        departedBackends.formIntersection(usedBackends)
    }
}

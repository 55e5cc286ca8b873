// Owns summing what the workers counted.

import Synchronization

extension Engine {
    /// Statistics of every service, in the order of the configuration last committed.
    ///
    /// Gauges are read before counters: a session that is seen to have ended has all its bytes counted.
    public func statistics() -> [ServiceStatistics] {
        services.map { service in
            let record = service.table.pointee.record
            let active = record.pointee.counters.active
            let backends = service.configuration.backends.indices.map { index in
                Engine.statistics(of: service.backends[index], service.configuration.backends[index])
            }
            return ServiceStatistics(
                configuration: service.configuration,
                sentBytes: record.pointee.counters.sum { $0.sentBytes.load(ordering: .relaxed) },
                receivedBytes: record.pointee.counters.sum { $0.receivedBytes.load(ordering: .relaxed) },
                errors: record.pointee.counters.sum { $0.errors.load(ordering: .relaxed) },
                connections: record.pointee.counters.sum { $0.connections.load(ordering: .relaxed) },
                active: active,
                backends: backends
            )
        }
    }

    private static func statistics(
        of record: UnsafeMutablePointer<BackendRecord>,
        _ configuration: BackendConfiguration
    ) -> BackendStatistics {
        let active = record.pointee.active.load(ordering: .acquiring)
        return BackendStatistics(
            configuration: configuration,
            isUp: record.pointee.isUp.load(ordering: .relaxed),
            sentBytes: record.pointee.counters.sum { $0.sentBytes.load(ordering: .relaxed) },
            receivedBytes: record.pointee.counters.sum { $0.receivedBytes.load(ordering: .relaxed) },
            errors: record.pointee.counters.sum { $0.errors.load(ordering: .relaxed) },
            connections: record.pointee.counters.sum { $0.connections.load(ordering: .relaxed) },
            active: active,
            checkSuccesses: record.pointee.checkSuccesses,
            checkFailures: record.pointee.checkFailures
        )
    }
}

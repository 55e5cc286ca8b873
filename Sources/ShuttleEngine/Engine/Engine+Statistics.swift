// Owns gathering what the workers counted: summed by service, and of each ring by itself.

import Synchronization

extension Engine {
    /// Statistics of every service, in the order of the configuration last committed.
    ///
    /// Gauges are read before counters: a session that is seen to have ended has all its bytes counted.
    public func statistics() -> [ServiceStatistics] {
        let draining = records.drainingSessions()
        return services.map { service in
            let record = service.table.pointee.record
            let queued = record.pointee.counters.queued
            // Those that have a place: never more than the limit allows.
            let active = record.pointee.occupied.load(ordering: .acquiring)
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
                panics: record.pointee.panics,
                queued: queued,
                refused: record.pointee.counters.sum { $0.refused.load(ordering: .relaxed) },
                refusedPerClient: record.pointee.counters.sum { $0.refusedPerClient.load(ordering: .relaxed) },
                queueTimeouts: record.pointee.counters.sum { $0.queueTimeouts.load(ordering: .relaxed) },
                queueOverflows: record.pointee.counters.sum { $0.queueOverflows.load(ordering: .relaxed) },
                denied: record.pointee.counters.sum { $0.denied.load(ordering: .relaxed) },
                refusedByRate: record.pointee.refusedByRate.load(ordering: .relaxed),
                delayed: record.pointee.delayed.load(ordering: .relaxed),
                delays: record.pointee.delays.load(ordering: .relaxed),
                bandwidthHolds: record.pointee.bandwidth.holds.load(ordering: .relaxed),
                retried: record.pointee.counters.sum { $0.retried.load(ordering: .relaxed) },
                prereadFailures: record.pointee.counters.sum { $0.prereadFailures.load(ordering: .relaxed) },
                prereadTimeouts: record.pointee.counters.sum { $0.prereadTimeouts.load(ordering: .relaxed) },
                routed: record.pointee.counters.sum { $0.routed.load(ordering: .relaxed) },
                draining: draining[service.configuration.name] ?? 0,
                ended: Engine.ends(record.pointee.counters),
                datagrams: Engine.datagrams(record.pointee.datagrams),
                backends: backends
            )
        }
    }

    /// What each ring says of itself, in the order of the rings.
    public func ringStatistics() -> [RingStatistics] {
        workers.indices.map { index in
            workers[index].foldCounts()
            return Engine.statistics(ofRing: index, workers[index])
        }
    }

    private static func statistics(ofRing index: Int, _ worker: WorkerThread) -> RingStatistics {
        let link = worker.link
        let adoptions = link.pointee.adoptions.summary()
        let inspections = link.pointee.inspectionTurns.summary()
        return RingStatistics(
            index: index,
            sessions: link.pointee.sessions.load(ordering: .acquiring),
            turns: link.pointee.turns.load(ordering: .relaxed),
            submissions: worker.submissions,
            completions: worker.completions,
            completionOverflows: link.pointee.completionOverflows.load(ordering: .relaxed),
            starvations: link.pointee.starvations.load(ordering: .relaxed),
            acceptPauses: link.pointee.acceptPauses.load(ordering: .relaxed),
            staleCompletions: link.pointee.staleCompletions.load(ordering: .relaxed),
            splicedBytes: link.pointee.splicedBytes.load(ordering: .relaxed),
            adoptions: adoptions.count,
            adoptionMicrosecondsP999: microsecondsRoundedUp(adoptions.quantileNanoseconds(perMille: 999)),
            adoptionMicrosecondsMax: microsecondsRoundedUp(adoptions.longestNanoseconds),
            inspectionTurns: inspections.count,
            inspectionMicrosecondsP999: microsecondsRoundedUp(inspections.quantileNanoseconds(perMille: 999)),
            inspectionMicrosecondsMax: microsecondsRoundedUp(inspections.longestNanoseconds),
            adoptionDurations: adoptions.counts.enumerated().compactMap { bucket, count in
                count == 0
                    ? nil
                    : RingStatistics.DurationCount(
                        nanosecondsMax: DurationHistogram.upperEdge(of: bucket), count: count)
            }
        )
    }

    static func microsecondsRoundedUp(_ nanoseconds: UInt64) -> UInt64 {
        nanoseconds / 1000 + (nanoseconds % 1000 == 0 ? 0 : 1)
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
            checkFailures: record.pointee.checkFailures,
            isEjected: record.pointee.passive.isEjected,
            ejections: record.pointee.passive.ejections,
            lastFailure: record.pointee.failures.last,
            retried: record.pointee.counters.sum { $0.retried.load(ordering: .relaxed) },
            slowStartPercent: record.pointee.slowStart.percent,
            draining: record.pointee.drain.isActive ? active : 0,
            ended: ends(record.pointee.counters),
            lastCheck: record.pointee.lastCheck
        )
    }

    private static func datagrams(_ counters: borrowing DatagramCounterBlocks) -> DatagramStatistics {
        DatagramStatistics(
            sent: counters.sum { $0.sent.load(ordering: .relaxed) },
            received: counters.sum { $0.received.load(ordering: .relaxed) },
            dropped: counters.sum { $0.dropped.load(ordering: .relaxed) },
            refused: counters.sum { $0.refused.load(ordering: .relaxed) },
            evicted: counters.sum { $0.evicted.load(ordering: .relaxed) },
            limited: counters.sum { $0.limited.load(ordering: .relaxed) }
        )
    }

    private static func ends(_ counters: borrowing CounterBlocks) -> SessionEnds {
        SessionEnds(
            idle: counters.sum { $0.idleEnds.load(ordering: .relaxed) },
            halfClose: counters.sum { $0.halfCloseEnds.load(ordering: .relaxed) },
            lifetime: counters.sum { $0.lifetimeEnds.load(ordering: .relaxed) },
            drain: counters.sum { $0.drainEnds.load(ordering: .relaxed) },
            operator: counters.sum { $0.operatorEnds.load(ordering: .relaxed) }
        )
    }
}

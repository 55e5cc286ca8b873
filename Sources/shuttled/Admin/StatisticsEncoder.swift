// Owns the printed form of statistics: the configuration's fields in their order, then the live ones, backends last; and
// that of the rings.
// Leaves to others: gathering them (ControlPlane), and the fields of a configuration (ConfigurationEncoder).

import ShuttleEngine

/// Prints statistics under the names that clients know.
enum StatisticsEncoder {
    /// All services, as `GET /` answers.
    static func bytes(of services: [ServiceReport]) -> [UInt8] {
        let backendCount = services.reduce(0) { $0 + $1.backends.count }
        var writer = JSONWriter(capacity: 64 + services.count * 576 + backendCount * 448)
        writer.list { writer in
            for service in services {
                write(service, to: &writer)
            }
        }
        return writer.finish(trailingNewline: true)
    }

    static func bytes(of service: ServiceReport) -> [UInt8] {
        var writer = JSONWriter(capacity: 640 + service.backends.count * 448)
        write(service, to: &writer)
        return writer.finish(trailingNewline: true)
    }

    static func bytes(of backend: BackendReport) -> [UInt8] {
        var writer = JSONWriter()
        write(backend, to: &writer)
        return writer.finish(trailingNewline: true)
    }

    /// All rings, as `GET /v1/rings` answers.
    static func bytes(of rings: [RingStatistics]) -> [UInt8] {
        var writer = JSONWriter(capacity: 64 + rings.count * 320)
        writer.list { writer in
            for ring in rings {
                write(ring, to: &writer)
            }
        }
        return writer.finish(trailingNewline: true)
    }

    private static func write(_ ring: RingStatistics, to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("ring", ring.index)
            writer.member("sessions", ring.sessions)
            writer.member("turns", ring.turns)
            writer.member("submissions", ring.submissions)
            writer.member("completions", ring.completions)
            writer.member("completion_overflows", ring.completionOverflows)
            writer.member("starvations", ring.starvations)
            writer.member("accept_pauses", ring.acceptPauses)
            writer.member("stale_completions", ring.staleCompletions)
            writer.member("spliced_bytes", ring.splicedBytes)
            writer.member("adoptions", ring.adoptions)
            writer.member("adoption_microseconds_p999", ring.adoptionMicrosecondsP999)
            writer.member("adoption_microseconds_max", ring.adoptionMicrosecondsMax)
            writer.member("inspection_turns", ring.inspectionTurns)
            writer.member("inspection_microseconds_p999", ring.inspectionMicrosecondsP999)
            writer.member("inspection_microseconds_max", ring.inspectionMicrosecondsMax)
            writer.list("adoption_durations") { writer in
                for duration in ring.adoptionDurations {
                    writer.object { writer in
                        writer.member("nanoseconds_max", duration.nanosecondsMax)
                        writer.member("count", duration.count)
                    }
                }
            }
        }
    }

    private static func write(_ report: ServiceReport, to writer: inout JSONWriter) {
        let service = report.statistics
        writer.object { writer in
            ConfigurationEncoder.writeFields(of: service.configuration, to: &writer)
            let isUDP = service.configuration.network == .udp
            for field in ServiceStatisticsField.allCases where isUDP || !field.isOfDatagrams {
                writer.name(field.rawValue)
                switch field {
                case .sent: writer.value(service.sentBytes)
                case .received: writer.value(service.receivedBytes)
                case .errors: writer.value(service.errors)
                case .connections: writer.value(service.connections)
                case .active: writer.value(service.active)
                case .panics: writer.value(service.panics)
                case .queued: writer.value(service.queued)
                case .refused: writer.value(service.refused)
                case .refusedPerClient: writer.value(service.refusedPerClient)
                case .queueTimeouts: writer.value(service.queueTimeouts)
                case .queueOverflows: writer.value(service.queueOverflows)
                case .denied: writer.value(service.denied)
                case .refusedByRate: writer.value(service.refusedByRate)
                case .delayed: writer.value(service.delayed)
                case .delays: writer.value(service.delays)
                case .bandwidthHolds: writer.value(service.bandwidthHolds)
                case .retried: writer.value(service.retried)
                case .prereadFailures: writer.value(service.prereadFailures)
                case .prereadTimeouts: writer.value(service.prereadTimeouts)
                case .routed: writer.value(service.routed)
                case .draining: writer.value(service.draining)
                case .ended: write(service.ended, to: &writer)
                case .datagramsSent: writer.value(service.datagrams.sent)
                case .datagramsReceived: writer.value(service.datagrams.received)
                case .datagramsDropped: writer.value(service.datagrams.dropped)
                case .datagramsLimited: writer.value(service.datagrams.limited)
                case .datagramsRefused: writer.value(service.datagrams.refused)
                case .evicted: writer.value(service.datagrams.evicted)
                }
            }
            writer.list("backends") { writer in
                for backend in report.backends {
                    write(backend, to: &writer)
                }
            }
        }
    }

    private static func write(_ report: BackendReport, to writer: inout JSONWriter) {
        let backend = report.statistics
        writer.object { writer in
            ConfigurationEncoder.writeFields(of: backend.configuration, to: &writer)
            for field in BackendStatisticsField.allCases {
                let name = field.rawValue
                switch field {
                case .up: writer.member(name, backend.isUp)
                case .sent: writer.member(name, backend.sentBytes)
                case .received: writer.member(name, backend.receivedBytes)
                case .errors: writer.member(name, backend.errors)
                case .connections: writer.member(name, backend.connections)
                case .active: writer.member(name, backend.active)
                case .checkSuccess: writer.member(name, backend.checkSuccesses)
                case .checkFail: writer.member(name, backend.checkFailures)
                case .ejected: writer.member(name, backend.isEjected)
                case .ejections: writer.member(name, backend.ejections)
                case .lastFailure:
                    if let failure = backend.lastFailure { writer.member(name, failure.reason) }
                case .retried: writer.member(name, backend.retried)
                case .slowStartPercent: writer.member(name, backend.slowStartPercent)
                case .draining: writer.member(name, backend.draining)
                case .ended:
                    writer.name(name)
                    write(backend.ended, to: &writer)
                case .checkStatus:
                    if let check = backend.lastCheck { writer.member(name, check.status.rawValue) }
                case .checkReason:
                    if let reason = backend.lastCheck?.reason { writer.member(name, reason) }
                case .checkDurationMicroseconds:
                    if let check = backend.lastCheck { writer.member(name, check.durationMicroseconds) }
                case .checkLast:
                    if let check = backend.lastCheck {
                        writer.member(name, Timestamp.text(milliseconds: check.endedAtMilliseconds))
                    }
                }
            }
            if let name = report.name {
                write(name, to: &writer)
            }
            if let targets = report.targets {
                writer.list(NameField.targets.rawValue) { writer in
                    for target in targets {
                        write(target, to: &writer)
                    }
                }
            }
        }
    }

    /// Fields that only backends with a name have.
    private static func write(_ name: NameReport, to writer: inout JSONWriter) {
        if let address = name.resolvedAddress {
            writer.member(NameField.resolvedAddress.rawValue, address)
        }
        if let outcome = name.outcome {
            let time = outcome.answerTime.map { Timestamp.text(milliseconds: $0 * 1000) }
            writer.member(NameField.resolveError.rawValue, outcome.failure ?? "")
            writer.member(NameField.resolveTime.rawValue, time ?? "")
        }
    }

    private static func write(_ ends: SessionEnds, to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("idle", ends.idle)
            writer.member("half_close", ends.halfClose)
            writer.member("lifetime", ends.lifetime)
            writer.member("drain", ends.drain)
            writer.member("operator", ends.operator)
        }
    }
}

// Owns carrying out what failures of real traffic lead to: from the records to the decision and back to what rings read.
// Leaves to others: deciding (PassiveEjection), renewing rotations and publishing (Engine).

import Synchronization

/// A backend that traffic has taken out, or that is back.
public struct EjectionChange: Equatable, Sendable {
    public var service: String
    public var backend: String
    public var isEjected: Bool
    public var lastFailure: TrafficFailure?
}

extension CompiledService {
    /// Judges the backends by what has been counted. What is returned has changed; `isUp` of the records knows already.
    func judgeTraffic(at now: UInt64) -> [EjectionChange] {
        CompiledService.judgeTraffic(of: configuration, backends, record: table.pointee.record, at: now)
    }

    /// The same before there is a compiled service: one that rings never get must not exist, since they read what the
    /// newest has put into the service's record.
    static func judgeTraffic(
        of configuration: ServiceConfiguration,
        _ backends: [UnsafeMutablePointer<BackendRecord>],
        record: UnsafeMutablePointer<ServiceRecord>,
        at now: UInt64
    ) -> [EjectionChange] {
        var ejection = PassiveEjection(
            backends.indices.map { index in
                let rule = rule(of: configuration.backends[index], in: configuration, backends[index])
                let failures = backends[index].pointee.failures.count
                backends[index].pointee.passive.observe(failures: failures, rule, at: now)
                return PassiveEjection.Backend(
                    tracker: backends[index].pointee.passive,
                    rule: rule,
                    isOtherwiseUsable: weight(of: configuration.backends[index]) > 0
                        && backends[index].pointee.isCheckedUp
                )
            }
        )
        ejection.judge(at: now)
        record.pointee.panics += ejection.panics
        record.pointee.nextJudgement = ejection.nextChange ?? .max
        var changes: [EjectionChange] = []
        for index in backends.indices {
            let wasEjected = backends[index].pointee.passive.isEjected
            backends[index].pointee.passive = ejection.backends[index].tracker
            let isEjected = ejection.backends[index].tracker.isEjected
            guard isEjected != wasEjected else { continue }
            backends[index].pointee.updateUp()
            changes.append(
                EjectionChange(
                    service: configuration.name,
                    backend: configuration.backends[index].name,
                    isEjected: isEjected,
                    lastFailure: backends[index].pointee.failures.last
                )
            )
        }
        return changes
    }

    /// Whether traffic has anything against a backend of the service.
    var hasAccused: Bool { CompiledService.hasAccused(backends) }

    static func hasAccused(_ backends: [UnsafeMutablePointer<BackendRecord>]) -> Bool {
        backends.contains { $0.pointee.passive.accusedAt != nil }
    }

    private static func rule(
        of backend: BackendConfiguration,
        in service: ServiceConfiguration,
        _ record: UnsafeMutablePointer<BackendRecord>
    ) -> PassiveRule {
        // One that is to be checked and is not, since its check address does not resolve, would never be back.
        let isChecked = record.pointee.checkSuccesses + record.pointee.checkFailures > 0
        return PassiveRule(
            configuration: backend.passive ?? service.passive,
            isReturnedByCheck: service.checkIntervalMilliseconds > 0 && !backend.checkAddress.isEmpty && isChecked
        )
    }
}

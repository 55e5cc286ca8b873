// Owns carrying slow starts from the records to what rings choose by: looking at the backends, their effective weights,
// and the table that takes a step. Leaves to others: deciding (SlowStart, EffectiveWeight), when it is looked and
// publishing (Engine).

import Synchronization

extension CompiledService {
    /// Looks at every backend before a service is compiled. `isRunning` says that the service was there before: who is
    /// added to it ramps.
    static func advanceSlowStarts(
        of configuration: ServiceConfiguration,
        _ backends: [UnsafeMutablePointer<BackendRecord>],
        record: UnsafeMutablePointer<ServiceRecord>,
        isRunning: Bool,
        at now: UInt64
    ) {
        var next = UInt64.max
        for (backend, configuration) in zip(backends, configuration.backends) {
            backend.pointee.slowStart.update(
                isUsable: weight(of: configuration) > 0 && backend.pointee.isUp.load(ordering: .relaxed),
                isServiceRunning: isRunning,
                milliseconds: configuration.slowStartMilliseconds,
                at: now
            )
            next = min(next, backend.pointee.slowStart.nextStep ?? .max)
        }
        record.pointee.nextSlowStartStep = next
    }

    /// What the choice goes by, in the order of the backends.
    static func effectiveWeights(
        _ configuration: ServiceConfiguration,
        _ backends: [UnsafeMutablePointer<BackendRecord>]
    ) -> [EffectiveWeight] {
        EffectiveWeight.all(
            of: zip(backends, configuration.backends).map { backend, configuration in
                EffectiveWeight.Backend(
                    weight: weight(of: configuration),
                    share: backend.pointee.slowStart.share,
                    isBackup: configuration.isBackup,
                    isUp: backend.pointee.isUp.load(ordering: .relaxed)
                )
            }
        )
    }

    /// The same service with the health and the slow starts that its backends have now; it must be published.
    func renewed(at now: UInt64) -> CompiledService {
        let record = table.pointee.record
        CompiledService.advanceSlowStarts(of: configuration, backends, record: record, isRunning: true, at: now)
        let shares = CompiledService.shares(configuration, backends)
        return CompiledService(
            configuration: configuration,
            record: record,
            backends: backends,
            rotation: rotation(for: shares),
            rotationShares: shares,
            reusing: self
        )
    }

    /// Who takes turns goes on where it was: a cycle that began anew with every step of a ramp would be over, where few
    /// clients come, before anybody but the first has had a turn.
    private func rotation(for shares: [Rotation.Share]) -> Rotation {
        if shares == rotationShares { return rotation }
        let isSame = shares.map(\.backend) == rotationShares.map(\.backend)
        return Rotation(shares, after: isSame ? rotation : nil)
    }
}

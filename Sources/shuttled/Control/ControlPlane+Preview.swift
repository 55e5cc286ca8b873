// Owns asking what a change would come to: everything that can be judged without binding an address, and nothing done.
// Leaves to others: making the change (ControlPlane), what it does to traffic (ChangeEffects).

import ShuttleEngine

extension ControlPlane {
    /// Judges a change as `apply` would, as far as the machine need not be asked to listen. Nothing is changed.
    ///
    /// It does not stand in line: a preview keeps no change waiting, and another may come before the change itself.
    func preview(
        _ change: ConfigurationChange, origin: ChangeOrigin, if condition: ChangeCondition
    ) async throws(ChangeRefusal) -> ChangePreview {
        guard acceptsChanges else {
            throw .shuttingDown
        }
        let live = configuration()
        let next = try judged(change, origin: origin, if: condition)
        if next.services != live.services {
            _ = try await resolved(next)
            try await checkWayBack(of: next)
        }
        return ChangePreview(
            diff: ConfigurationDiff(from: live.services, to: next.services),
            effects: effects(from: live.services, to: next.services), current: live
        )
    }

    private func effects(from old: [ServiceConfiguration], to new: [ServiceConfiguration]) -> ChangeEffects {
        var active: [String: (service: Int, backends: [String: Int])] = [:]
        for report in statistics().services {
            let backends = report.backends.map { ($0.configuration.name, Int($0.statistics.active)) }
            active[report.configuration.name] = (
                Int(report.statistics.active), Dictionary(uniqueKeysWithValues: backends)
            )
        }
        return ChangeEffects(from: old, to: new) { service, backend in
            guard let numbers = active[service] else {
                return 0
            }
            return backend.map { numbers.backends[$0] ?? 0 } ?? numbers.service
        }
    }
}

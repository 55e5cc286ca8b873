// Owns which changes the role `operate` reaches: by what a change does to the configuration, not by how it is asked for.
// Leaves to others: who has which role (Access), when changes are judged (ControlPlane).

import ShuttleEngine

/// What may be changed without `write`: the `weight` and `state` of backends, and `maintenance` of services.
enum OperateScope {
    /// What of a change lies outside, in a line; nil where nothing does.
    static func excess(from old: [ServiceConfiguration], to new: [ServiceConfiguration]) -> String? {
        guard old != new else {
            return nil
        }
        let reached = reachable(from: old, towards: new)
        guard reached != new else {
            return nil
        }
        return ConfigurationDiff(from: reached, to: new).lines.first ?? "~ something else"
    }

    /// The old configuration with all that may be changed as the new one has it. What still differs then may not.
    private static func reachable(
        from old: [ServiceConfiguration], towards new: [ServiceConfiguration]
    ) -> [ServiceConfiguration] {
        let wanted = Dictionary(uniqueKeysWithValues: new.map { ($0.name, $0) })
        return old.map { service in
            guard let next = wanted[service.name], next != service else {
                return service
            }
            var service = service
            service.isInMaintenance = next.isInMaintenance
            let backends = Dictionary(uniqueKeysWithValues: next.backends.map { ($0.name, $0) })
            for index in service.backends.indices {
                if let backend = backends[service.backends[index].name] {
                    service.backends[index].weight = backend.weight
                    service.backends[index].state = backend.state
                }
            }
            return service
        }
    }
}

extension Caller {
    /// Throws where it may not make a change that leads from one configuration to the other.
    func checkPermission(
        from old: [ServiceConfiguration], to new: [ServiceConfiguration]
    ) throws(ChangeRefusal) {
        switch role {
        case .write: return
        case .operate:
            if let excess = OperateScope.excess(from: old, to: new) {
                throw .notPermitted(self, needed: .write, excess: excess)
            }
        case .read:
            let excess = OperateScope.excess(from: old, to: new)
            throw .notPermitted(self, needed: excess == nil ? .operate : .write, excess: excess ?? "")
        }
    }
}

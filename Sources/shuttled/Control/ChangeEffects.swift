// Owns what a change would do to traffic: listeners, services and backends that come and go, and the sessions that these
// have now; pure.
// Leaves to others: what differs (ChangePlan), the numbers (the engine's statistics), printing it (Admin).

import ShuttleEngine

/// What a change does to traffic, with the numbers of the moment at which it is asked.
struct ChangeEffects: Equatable, Sendable {
    /// A service or a backend that gets nothing new after the change.
    struct Affected: Equatable, Sendable {
        var service: String
        /// Nil for a service itself.
        var backend: String?
        var address: String
        /// Sessions now.
        var active: Int
        var fate: Fate
    }

    /// What becomes of sessions.
    enum Fate: Equatable, Sendable {
        case runOn
        /// Ended one after the other, over so many milliseconds.
        case drain(milliseconds: Int)
        /// The service's listener goes, and datagrams have no other way.
        case end
        /// Of UDP: with their clients' next datagrams.
        case move
    }

    var plan: ChangePlan
    var servicesRemoved: [Affected] = []
    /// Also those of services that come.
    var backendsAdded: [ChangePlan.Backend] = []
    /// Also those of services that go.
    var backendsRemoved: [Affected] = []
    /// They stay, and get nothing new from now on.
    var backendsDrained: [Affected] = []
    /// Sessions of services whose listener changes its address, where that ends them.
    var servicesMoved: [Affected] = []

    /// `active` says how many sessions a service, or one of its backends, has.
    init(
        from old: [ServiceConfiguration], to new: [ServiceConfiguration],
        active: (_ service: String, _ backend: String?) -> Int
    ) {
        plan = ChangePlan(from: old, to: new)
        let before = Dictionary(uniqueKeysWithValues: old.map { ($0.name, $0) })
        let after = Dictionary(uniqueKeysWithValues: new.map { ($0.name, $0) })
        for name in plan.servicesRemoved {
            guard let service = before[name] else { continue }
            let fate = Fate.ofSessions(leaving: service, isListening: false)
            servicesRemoved.append(
                Affected(service: name, address: service.address, active: active(name, nil), fate: fate)
            )
            backendsRemoved += service.backends.map {
                Affected(
                    service: name, backend: $0.name, address: $0.address, active: active(name, $0.name), fate: fate)
            }
        }
        for name in plan.servicesAdded {
            backendsAdded += (after[name]?.backends ?? []).map {
                ChangePlan.Backend(service: name, name: $0.name, address: $0.address)
            }
        }
        backendsAdded += plan.backendsAdded
        for backend in plan.backendsRemoved {
            guard let service = after[backend.service] else { continue }
            backendsRemoved.append(
                Affected(
                    service: backend.service, backend: backend.name, address: backend.address,
                    active: active(backend.service, backend.name),
                    fate: .ofSessions(leaving: service, isListening: true)
                )
            )
        }
        for change in plan.backendsChanged {
            addDrained(change.subject, before, after, active: active)
        }
        for service in new {
            guard let earlier = before[service.name], earlier.network == .udp,
                earlier.network != service.network || earlier.address != service.address
            else { continue }
            servicesMoved.append(
                Affected(service: service.name, address: earlier.address, active: active(service.name, nil), fate: .end)
            )
        }
    }

    private mutating func addDrained(
        _ subject: ChangePlan.Backend, _ before: [String: ServiceConfiguration],
        _ after: [String: ServiceConfiguration], active: (_ service: String, _ backend: String?) -> Int
    ) {
        guard let service = after[subject.service],
            let now = service.backends.first(where: { $0.name == subject.name }),
            let earlier = before[subject.service]?.backends.first(where: { $0.name == subject.name }),
            earlier.state == .ready, earlier.weight > 0, now.state != .ready || now.weight == 0
        else { return }
        // A weight of zero ends nobody.
        let drain = now.state == .ready ? 0 : service.drainTimeoutMilliseconds
        backendsDrained.append(
            Affected(
                service: subject.service, backend: subject.name, address: now.address,
                active: active(subject.service, subject.name),
                fate: drain > 0 ? .drain(milliseconds: drain) : .runOn
            )
        )
    }

    /// Sessions that are on what goes, each once.
    var sessionsAffected: Int {
        let removed = Set(servicesRemoved.map(\.service)).union(servicesMoved.map(\.service))
        return (servicesRemoved + servicesMoved).reduce(0) { $0 + $1.active }
            + (backendsRemoved + backendsDrained).filter { !removed.contains($0.service) }.reduce(0) { $0 + $1.active }
    }
}

extension ChangeEffects.Fate {
    fileprivate static func ofSessions(leaving service: ServiceConfiguration, isListening: Bool) -> Self {
        if service.network == .udp {
            return isListening ? .move : .end
        }
        return service.drainTimeoutMilliseconds > 0 ? .drain(milliseconds: service.drainTimeoutMilliseconds) : .runOn
    }
}

/// What a change would come to, asked without making it.
struct ChangePreview: Sendable {
    var diff: ConfigurationDiff
    var effects: ChangeEffects
    /// What it was compared with, and would be.
    var current: LiveConfiguration
}

// Owns what differs between two configurations, and saying it in a line; pure.
// Leaves to others: making it so (ChangeExecutor).

import ShuttleEngine

/// What a change comes to: services, listeners and backends that are added, removed or changed.
struct ChangePlan: Equatable, Sendable {
    struct Listener: Equatable, Sendable {
        var service: String
        /// As it was given.
        var address: String
    }

    /// A listener that stays open while it passes to another service.
    struct Move: Equatable, Sendable {
        var address: String
        var from: String
        var to: String
    }

    /// A backend is its service, name and address: with another address it is another backend.
    struct Backend: Equatable, Sendable {
        var service: String
        var name: String
        var address: String
    }

    /// What stays what it is, with fields that have other values.
    struct Change<Subject: Equatable & Sendable>: Equatable, Sendable {
        var subject: Subject
        /// Names on the wire.
        var fields: [String]
    }

    var servicesAdded: [String] = []
    var servicesRemoved: [String] = []
    /// `fields` may be `backends`: they are in another order then.
    var servicesChanged: [Change<String>] = []
    var listenersOpened: [Listener] = []
    var listenersClosed: [Listener] = []
    var listenersMoved: [Move] = []
    /// Of services that stay; those of services that come or go come and go with them.
    var backendsAdded: [Backend] = []
    var backendsRemoved: [Backend] = []
    var backendsChanged: [Change<Backend>] = []

    /// Compares two valid configurations.
    init(from old: [ServiceConfiguration], to new: [ServiceConfiguration]) {
        let oldByName = Dictionary(uniqueKeysWithValues: old.map { ($0.name, $0) })
        let newNames = Set(new.map(\.name))
        for service in new {
            guard let before = oldByName[service.name] else {
                servicesAdded.append(service.name)
                continue
            }
            if before != service {
                compare(before, service)
            }
        }
        servicesRemoved = old.map(\.name).filter { !newNames.contains($0) }
        compareListeners(old, new)
    }

    var isEmpty: Bool {
        servicesAdded.isEmpty && servicesRemoved.isEmpty && servicesChanged.isEmpty && backendsAdded.isEmpty
            && backendsRemoved.isEmpty && backendsChanged.isEmpty
    }

    private mutating func compare(_ old: ServiceConfiguration, _ new: ServiceConfiguration) {
        let oldBackends = Dictionary(uniqueKeysWithValues: old.backends.map { ($0.name, $0) })
        let newNames = Set(new.backends.map(\.name))
        for backend in new.backends {
            let subject = Backend(service: new.name, name: backend.name, address: backend.address)
            guard let before = oldBackends[backend.name] else {
                backendsAdded.append(subject)
                continue
            }
            guard ChangePlan.isSame(before.address, backend.address) else {
                backendsRemoved.append(Backend(service: new.name, name: before.name, address: before.address))
                backendsAdded.append(subject)
                continue
            }
            let fields = ChangePlan.fields(of: before, backend)
            if !fields.isEmpty {
                backendsChanged.append(Change(subject: subject, fields: fields))
            }
        }
        for backend in old.backends where !newNames.contains(backend.name) {
            backendsRemoved.append(Backend(service: new.name, name: backend.name, address: backend.address))
        }
        var fields = ChangePlan.fields(of: old, new)
        // Those that are there before and after, in another order.
        let kept = new.backends.map(\.name).filter { oldBackends[$0] != nil }
        if kept != old.backends.map(\.name).filter({ newNames.contains($0) }) {
            fields.append("backends")
        }
        if !fields.isEmpty {
            servicesChanged.append(Change(subject: new.name, fields: fields))
        }
    }

    private mutating func compareListeners(_ old: [ServiceConfiguration], _ new: [ServiceConfiguration]) {
        var before: [String: Listener] = [:]
        for service in old where !service.isPool {
            before[ChangePlan.listener(of: service)] = Listener(service: service.name, address: service.address)
        }
        for service in new where !service.isPool {
            guard let listener = before.removeValue(forKey: ChangePlan.listener(of: service)) else {
                listenersOpened.append(Listener(service: service.name, address: service.address))
                continue
            }
            if listener.service != service.name {
                listenersMoved.append(Move(address: service.address, from: listener.service, to: service.name))
            }
        }
        listenersClosed = before.values.sorted { $0.service < $1.service }
    }

    /// UDP has addresses of its own.
    private static func listener(of service: ServiceConfiguration) -> String {
        "\(service.network.rawValue) \(canonical(service.address))"
    }

    private static func canonical(_ address: String) -> String {
        (try? ListenAddress(parsing: address))?.description ?? address
    }

    private static func isSame(_ first: String, _ second: String) -> Bool {
        first == second || canonical(first) == canonical(second)
    }

    private static func fields<Object: ConfigurationObject>(of old: Object, _ new: Object) -> [String] {
        Object.fields.filter { $0.differs(old, new) }.map(\.name)
    }
}

extension ChangePlan {
    /// Parts of a summary at most: a log line is read by people.
    private static let partsMax = 6

    /// What happens, in one line: `added service web on :80; removed backend db/one`.
    var summary: String {
        var parts: [String] = []
        let addresses = Dictionary(uniqueKeysWithValues: listenersOpened.map { ($0.service, $0.address) })
        parts += servicesAdded.map { name in
            "added service \(name)" + (addresses[name].map { " on \($0)" } ?? "")
        }
        parts += servicesRemoved.map { "removed service \($0)" }
        parts += servicesChanged.map { change in
            "changed service \(change.subject) (\(change.fields.joined(separator: ", ")))"
        }
        parts += listenersMoved.map { "passed \($0.address) from service \($0.from) to \($0.to)" }
        parts += backendsAdded.map { "added backend \($0.service)/\($0.name)" }
        parts += backendsRemoved.map { "removed backend \($0.service)/\($0.name)" }
        parts += backendsChanged.map { change in
            "changed backend \(change.subject.service)/\(change.subject.name) (\(change.fields.joined(separator: ", ")))"
        }
        if parts.isEmpty {
            return "nothing changed"
        }
        if parts.count > ChangePlan.partsMax {
            let more = parts.count - ChangePlan.partsMax
            parts = parts.prefix(ChangePlan.partsMax) + ["\(more) more"]
        }
        return parts.joined(separator: "; ")
    }
}

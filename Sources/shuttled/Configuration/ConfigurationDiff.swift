// Owns how one configuration becomes another, step by step: what people read as lines and scripts apply as a JSON Patch
// (RFC 6902) to what `GET /config` prints; pure.
// Leaves to others: printing it (ConfigurationDiff+Printing), and what it does to traffic (Control/ChangeEffects).

import ShuttleEngine

/// The steps from one valid configuration to another, each at its place in what the steps before it have made.
struct ConfigurationDiff: Sendable {
    /// What is written at a place.
    enum Content: Sendable {
        case service(ServiceConfiguration)
        case backend(BackendConfiguration)
        case backends([BackendConfiguration])
        /// One field of an object, by its place in the table of fields.
        case serviceField(ServiceConfiguration, Int)
        case backendField(BackendConfiguration, Int)
    }

    enum Action: Sendable {
        case add(Content)
        case replace(Content)
        case remove
    }

    struct Step: Sendable {
        var action: Action
        /// JSON pointer into the list of services.
        var path: String
    }

    private(set) var steps: [Step] = []
    /// One for each thing that changes.
    private(set) var lines: [String] = []

    var isEmpty: Bool { steps.isEmpty }

    /// Both are sorted by name, as configurations are everywhere.
    init(from old: [ServiceConfiguration], to new: [ServiceConfiguration]) {
        var (before, after, place) = (old[...], new[...], 0)
        while before.first != nil || after.first != nil {
            let path = "/\(place)"
            guard let next = after.first, !ConfigurationDiff.precedes(before.first?.name, next.name) else {
                let removed = before.removeFirst()
                steps.append(Step(action: .remove, path: path))
                lines.append("- service \(removed.name)\(ConfigurationDiff.summary(of: removed))")
                continue
            }
            after.removeFirst()
            place += 1
            guard let earlier = before.first, earlier.name == next.name else {
                steps.append(Step(action: .add(.service(next)), path: path))
                lines.append("+ service \(next.name)\(ConfigurationDiff.summary(of: next))")
                continue
            }
            before.removeFirst()
            if earlier != next {
                compare(earlier, next, at: path)
            }
        }
    }

    private static func precedes(_ first: String?, _ second: String) -> Bool {
        first.map { $0.utf8.lexicographicallyPrecedes(second.utf8) } ?? false
    }

    private static func summary(of service: ServiceConfiguration) -> String {
        let place = service.isPool ? "a pool" : "on \(service.address)"
        return " (\(place), backends: \(service.backends.count))"
    }

    private mutating func compare(_ old: ServiceConfiguration, _ new: ServiceConfiguration, at path: String) {
        compareFields(old, new, at: path, subject: "service \(new.name)") { .serviceField($0, $1) }
        guard old.backends != new.backends else {
            return
        }
        let oldNames = Set(old.backends.map(\.name))
        let newNames = Set(new.backends.map(\.name))
        let list = "\(path)/\(ServiceConfiguration.backendsName)"
        let isMoved =
            new.backends.map(\.name).filter(oldNames.contains) != old.backends.map(\.name).filter(newNames.contains)
        // The steps of a new order would be no shorter than the list, and nobody could read them.
        let listed = steps
        compareBackends(old.backends, new.backends, oldNames, newNames, service: new.name, at: list)
        if isMoved {
            steps = listed
            steps.append(Step(action: .replace(.backends(new.backends)), path: list))
            lines.append("~ service \(new.name): the backends come in another order")
        }
    }

    /// The steps are right where those that stay keep their order; the lines always are.
    private mutating func compareBackends(
        _ old: [BackendConfiguration], _ new: [BackendConfiguration], _ oldNames: Set<String>, _ newNames: Set<String>,
        service: String, at list: String
    ) {
        let before = Dictionary(uniqueKeysWithValues: old.map { ($0.name, $0) })
        var gone = old[...]
        var place = 0
        for backend in new {
            if let earlier = before[backend.name] {
                while let first = gone.popFirst(), first.name != backend.name {
                    remove(first, unlessIn: newNames, service: service, at: "\(list)/\(place)")
                }
                compareFields(
                    earlier, backend, at: "\(list)/\(place)", subject: "backend \(service)/\(backend.name)"
                ) { .backendField($0, $1) }
            } else {
                steps.append(Step(action: .add(.backend(backend)), path: "\(list)/\(place)"))
                lines.append("+ backend \(service)/\(backend.name) (\(backend.address))")
            }
            place += 1
        }
        for backend in gone {
            remove(backend, unlessIn: newNames, service: service, at: "\(list)/\(place)")
        }
    }

    private mutating func remove(
        _ backend: BackendConfiguration, unlessIn names: Set<String>, service: String, at path: String
    ) {
        if !names.contains(backend.name) {
            steps.append(Step(action: .remove, path: path))
            lines.append("- backend \(service)/\(backend.name) (\(backend.address))")
        }
    }

    private mutating func compareFields<Object: ConfigurationObject>(
        _ old: Object, _ new: Object, at path: String, subject: String, content: (Object, Int) -> Content
    ) {
        guard old != new else {
            return
        }
        let blank = Object.blank
        for (index, field) in Object.fields.enumerated() where field.differs(old, new) {
            let place = "\(path)/\(field.name)"
            let wasPrinted = field.isPrinted(of: old, blank: blank)
            if !field.isPrinted(of: new, blank: blank) {
                steps.append(Step(action: .remove, path: place))
            } else if wasPrinted {
                steps.append(Step(action: .replace(content(new, index)), path: place))
            } else {
                steps.append(Step(action: .add(content(new, index)), path: place))
            }
            let (first, second) = (
                ConfigurationDiff.text(of: field, in: old), ConfigurationDiff.text(of: field, in: new)
            )
            lines.append("~ \(subject): \(field.name): \(first) -> \(second)")
        }
    }
}

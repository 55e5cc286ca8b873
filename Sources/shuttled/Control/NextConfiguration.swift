// Owns what a configuration is after a change, and where each of its parts stands in the body that was sent.
// Leaves to others: what the machine says to it (AddressResolver, ListenConflicts, ChangeExecutor).

import ShuttleEngine

/// The configuration that a change leads to; pure.
struct NextConfiguration {
    /// Sorted by name.
    let services: [ServiceConfiguration]

    private let body: Body

    /// What the body that was sent consists of: issues can only point at what is in it.
    private enum Body {
        case services(prefix: String, indices: [String: Int])
        case service(prefix: String, name: String)
        case backend(prefix: String, service: String, name: String)
        case none
    }

    /// Applies `change` to `current`, which is sorted by name and valid.
    init(
        applying change: ConfigurationChange, prefix: String = "", to current: [ServiceConfiguration]
    ) throws(ChangeRefusal) {
        switch change {
        case .replaceAll(let services):
            try NextConfiguration.refuse(ConfigurationValidator.issues(in: services, prefix: prefix))
            self.services = ConfigurationEncoder.sorted(services)
            body = .services(
                prefix: prefix,
                // Names are unique: the validator has seen to it.
                indices: Dictionary(uniqueKeysWithValues: services.enumerated().map { ($0.element.name, $0.offset) })
            )
        case .putService(let service):
            try NextConfiguration.refuse(ConfigurationValidator.issues(in: service, prefix: prefix))
            var next = current
            if let index = current.firstIndex(where: { $0.name == service.name }) {
                next[index] = service
            } else {
                try NextConfiguration.refuse(tooMany: next.count + 1, .services, pointer: prefix)
                next.append(service)
            }
            self.services = ConfigurationEncoder.sorted(next)
            body = .service(prefix: prefix, name: service.name)
        case .deleteService(let name):
            guard let index = current.firstIndex(where: { $0.name == name }) else {
                throw .unknownService(name)
            }
            var next = current
            next.remove(at: index)
            self.services = next
            body = .none
        case .putBackend(let serviceName, let backend):
            guard let index = current.firstIndex(where: { $0.name == serviceName }) else {
                throw .unknownService(serviceName)
            }
            try NextConfiguration.refuse(ConfigurationValidator.issues(in: backend, prefix: prefix))
            var next = current
            if let place = next[index].backends.firstIndex(where: { $0.name == backend.name }) {
                next[index].backends[place] = backend
            } else {
                try NextConfiguration.refuse(tooMany: next[index].backends.count + 1, .backends, pointer: prefix)
                next[index].backends.append(backend)
            }
            try NextConfiguration.refuse(ConfigurationValidator.combinationIssues(in: next[index], pointer: prefix))
            self.services = next
            body = .backend(prefix: prefix, service: serviceName, name: backend.name)
        case .deleteBackend(let serviceName, let name):
            guard let index = current.firstIndex(where: { $0.name == serviceName }) else {
                throw .unknownService(serviceName)
            }
            guard let place = current[index].backends.firstIndex(where: { $0.name == name }) else {
                throw .unknownBackend(service: serviceName, name: name)
            }
            var next = current
            next[index].backends.remove(at: place)
            try NextConfiguration.refuse(ConfigurationValidator.combinationIssues(in: next[index], pointer: prefix))
            self.services = next
            body = .none
        }
    }

    /// What is live already, with nothing that was sent.
    init(unchanged services: [ServiceConfiguration]) {
        self.services = services
        body = .none
    }

    /// Where a service stands in the body, or nil when it is not in it.
    func pointer(toService name: String) -> String? {
        switch body {
        case .services(let prefix, let indices):
            return indices[name].map { "\(prefix)/\($0)" }
        case .service(let prefix, name):
            return prefix
        default:
            return nil
        }
    }

    /// Where a backend stands in the body; `index` is its place among those of its service.
    func pointer(toBackend index: Int, named name: String, of service: String) -> String? {
        if case .backend(let prefix, service, name) = body {
            return prefix
        }
        return pointer(toService: service).map { "\($0)/backends/\(index)" }
    }

    private enum Counted {
        case services, backends
    }

    private static func refuse(_ issues: [ConfigurationIssue]) throws(ChangeRefusal) {
        if !issues.isEmpty {
            throw .invalid(issues)
        }
    }

    private static func refuse(tooMany count: Int, _ counted: Counted, pointer: String) throws(ChangeRefusal) {
        let issue: ConfigurationIssue?
        switch counted {
        case .services:
            issue = ConfigurationValidator.countIssue(
                count, of: ServiceConfiguration.objectName, max: ConfigurationRanges.services.upperBound,
                pointer: pointer
            )
        case .backends:
            issue = ConfigurationValidator.countIssue(
                count, of: BackendConfiguration.objectName, max: ConfigurationRanges.backendsPerService.upperBound,
                pointer: pointer
            )
        }
        try refuse(issue.map { [$0] } ?? [])
    }
}

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
        /// A patch in which backends are named.
        case patch(service: String)
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
        case .patchService(let name, let document):
            let index = try NextConfiguration.index(of: name, in: current)
            var next = current
            next[index] = try NextConfiguration.patched { () throws(ConfigurationDecodingError) in
                try ConfigurationPatch.apply(document, to: current[index])
            }
            self.services = next
            body =
                ConfigurationPatch.hasBackendsByName(document)
                ? .patch(service: name) : .service(prefix: prefix, name: name)
        case .deleteService(let name):
            let index = try NextConfiguration.index(of: name, in: current)
            var next = current
            next.remove(at: index)
            self.services = next
            body = .none
        case .putBackend(let serviceName, let backend):
            let index = try NextConfiguration.index(of: serviceName, in: current)
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
        case .patchBackend(let serviceName, let name, let document):
            let index = try NextConfiguration.index(of: serviceName, in: current)
            let place = try NextConfiguration.index(of: name, in: current[index])
            var next = current
            next[index].backends[place] = try NextConfiguration.patched { () throws(ConfigurationDecodingError) in
                try ConfigurationPatch.apply(document, to: current[index].backends[place])
            }
            try NextConfiguration.refuse(ConfigurationValidator.combinationIssues(in: next[index], pointer: prefix))
            self.services = next
            body = .backend(prefix: prefix, service: serviceName, name: name)
        case .deleteBackend(let serviceName, let name):
            let index = try NextConfiguration.index(of: serviceName, in: current)
            let place = try NextConfiguration.index(of: name, in: current[index])
            var next = current
            next[index].backends.remove(at: place)
            try NextConfiguration.refuse(ConfigurationValidator.combinationIssues(in: next[index], pointer: prefix))
            self.services = next
            body = .none
        }
        try NextConfiguration.refuse(routeIssues(prefix: prefix))
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
        case .patch(name):
            return ""
        default:
            return nil
        }
    }

    /// Where a backend stands in the body; `index` is its place among those of its service.
    func pointer(toBackend index: Int, named name: String, of service: String) -> String? {
        if case .backend(let prefix, service, name) = body {
            return prefix
        }
        if case .patch(service) = body {
            return ConfigurationPatch.pointer(toBackend: name)
        }
        return pointer(toService: service).map { "\($0)/backends/\(index)" }
    }

    private static func index(
        of name: String, in services: [ServiceConfiguration]
    ) throws(ChangeRefusal) -> Int {
        guard let index = services.firstIndex(where: { $0.name == name }) else {
            throw .unknownService(name)
        }
        return index
    }

    private static func index(of name: String, in service: ServiceConfiguration) throws(ChangeRefusal) -> Int {
        guard let index = service.backends.firstIndex(where: { $0.name == name }) else {
            throw .unknownBackend(service: service.name, name: name)
        }
        return index
    }

    private static func patched<Object>(
        _ body: () throws(ConfigurationDecodingError) -> Object
    ) throws(ChangeRefusal) -> Object {
        do throws(ConfigurationDecodingError) {
            return try body()
        } catch {
            throw .invalid(error.issues)
        }
    }

    /// Routes that lead nowhere, told where they stand in the body or, where that is about what they lead to, there.
    private func routeIssues(prefix: String) -> [ConfigurationIssue] {
        RouteProblem.all(in: services).map { problem in
            let place = "/routes/\(problem.route)/service"
            let name = Quoted(problem.target)
            if let pointer = pointer(toService: problem.service) {
                let reason =
                    switch problem.kind {
                    case .unknown: "which is no service; create it, or name another"
                    case .hasAddress: "which has an \"address\" of its own; name one whose \"address\" is \"\""
                    case .hasRoutes: "which has \"routes\" itself; name one that has none"
                    }
                return ConfigurationIssue(pointer: pointer + place, detail: "\"service\" is \(name), \(reason)")
            }
            let intro =
                "route \(problem.route) of service \(Quoted(problem.service)) (its \"\(place)\") leads to \(name)"
            let pointer = pointer(toService: problem.target) ?? prefix
            switch problem.kind {
            case .unknown:
                return ConfigurationIssue(pointer: pointer, detail: "\(intro); change that route first")
            case .hasAddress:
                return ConfigurationIssue(
                    pointer: pointer + "/address",
                    detail: "\(intro), so \"address\" must stay \"\"; change that route first")
            case .hasRoutes:
                return ConfigurationIssue(
                    pointer: pointer + "/routes",
                    detail: "\(intro), so it can have none itself; change that route first")
            }
        }
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

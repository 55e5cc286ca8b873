// Owns turning the addresses of a configuration into socket addresses: what is numeric, what is known, and what has to be
// looked up.
// Leaves to others: the lookup itself (SystemNames), looking again (NameWatch), whether addresses go together
// (ListenConflicts).

import Glibc
import ShuttleEngine

/// What resolving a configuration has come to.
struct ResolvedConfiguration {
    var services: [AppliedService]
    /// Names of backends that were not in use before, with what was learned of them.
    var fresh: [NameQuestion: NameMemory]
    /// Names of backends that do not resolve, where that was tolerated.
    var tolerated: [ConfigurationIssue] = []
}

/// Resolves the addresses of a configuration.
struct AddressResolver {
    let lookup: NameLookup
    /// Where `:port` listens: `[::]` takes IPv4 as well; a machine without IPv6 has only `0.0.0.0`.
    let hasIPv6: Bool

    init(hasIPv6: Bool = AddressResolver.machineHasIPv6(), lookup: @escaping NameLookup) {
        self.lookup = lookup
        self.hasIPv6 = hasIPv6
    }

    /// The services of `next` with their addresses.
    ///
    /// A name that backends use already stands for what it stood for: a change elsewhere must not move a backend because
    /// DNS has moved, nor be refused because DNS is out of order. `watched` says what is known of those. A listening
    /// address whose text is what it was stays what it was. With `toleratesSilence` backends whose name does not
    /// resolve are left out until it does, instead of refusing them.
    nonisolated(nonsending) func resolve(
        _ next: NextConfiguration, live: [String: AppliedService], toleratesSilence: Bool = false,
        watched: @escaping (NameQuestion) -> NameMemory?
    ) async throws(ChangeRefusal) -> ResolvedConfiguration {
        var pass = ResolverPass(resolver: self, toleratesSilence: toleratesSilence, live: live, watched: watched)
        _ = pass.services(of: next)
        if !pass.unknown.isEmpty {
            let questions = pass.unknown.sorted { $0.description < $1.description }
            let answers = await lookup(questions)
            let now = time(nil)
            let fresh = answers.mapValues { answer in
                var memory = NameMemory()
                _ = memory.take(answer, time: now)
                return memory
            }
            pass = ResolverPass(
                resolver: self, toleratesSilence: toleratesSilence, live: live, watched: watched, fresh: fresh
            )
        }
        let services = pass.services(of: next)
        if !pass.issues.isEmpty {
            throw .invalid(Array(pass.issues.prefix(ConfigurationIssue.countMax)))
        }
        return ResolvedConfiguration(
            services: services, fresh: pass.fresh,
            tolerated: Array(pass.tolerated.prefix(ConfigurationIssue.countMax))
        )
    }

    /// The live services once more, with what their names stand for now.
    func refresh(
        _ live: [AppliedService], watched: @escaping (NameQuestion) -> NameMemory?
    ) -> [AppliedService] {
        live.map { service in
            guard !service.names.isEmpty else {
                return service
            }
            var pass = ResolverPass(
                resolver: self, toleratesSilence: true, live: [service.configuration.name: service], watched: watched
            )
            return pass.resolve(service.configuration, pointers: nil)
        }
    }

    /// Whether a socket can be bound to `[::]`.
    static func machineHasIPv6() -> Bool {
        let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else {
            return false
        }
        defer { close(descriptor) }
        return ShuttleEngine.SocketAddress.anyIPv6(port: 0).withSockAddr {
            bind(descriptor, $0.assumingMemoryBound(to: sockaddr.self), $1)
        } == 0
    }
}

/// One walk over a configuration. The first finds out which names are needed, the second knows them.
private struct ResolverPass {
    let resolver: AddressResolver
    let toleratesSilence: Bool
    let live: [String: AppliedService]
    let watched: (NameQuestion) -> NameMemory?
    let fresh: [NameQuestion: NameMemory]
    private(set) var unknown: Set<NameQuestion> = []
    private(set) var issues: [ConfigurationIssue] = []
    /// What would be one if names that do not resolve were not tolerated.
    private(set) var tolerated: [ConfigurationIssue] = []
    /// What the machine has said of users and groups.
    private var owners: [SocketOwners.Name: UInt32?] = [:]

    /// Stands in for a listening address that is not known yet, or that has an issue.
    private static let placeholder = ShuttleEngine.SocketAddress.anyIPv4(port: 0)

    init(
        resolver: AddressResolver, toleratesSilence: Bool, live: [String: AppliedService],
        watched: @escaping (NameQuestion) -> NameMemory?, fresh: [NameQuestion: NameMemory] = [:]
    ) {
        self.resolver = resolver
        self.toleratesSilence = toleratesSilence
        self.live = live
        self.watched = watched
        self.fresh = fresh
    }

    /// Where the fields of a service stand in the body that was sent.
    struct Pointers {
        let next: NextConfiguration
        let service: String

        var ofService: String { next.pointer(toService: service) ?? "" }

        func ofBackend(_ index: Int, named name: String) -> String {
            next.pointer(toBackend: index, named: name, of: service) ?? ""
        }
    }

    mutating func services(of next: NextConfiguration) -> [AppliedService] {
        next.services.map { service in
            if let old = live[service.name], old.configuration == service, old.names.isEmpty {
                return old
            }
            return resolve(service, pointers: Pointers(next: next, service: service.name))
        }
    }

    mutating func resolve(_ service: ServiceConfiguration, pointers: Pointers?) -> AppliedService {
        let listenAddress: ShuttleEngine.SocketAddress?
        if service.isPool {
            listenAddress = nil
        } else if let old = live[service.name], old.configuration.address == service.address {
            listenAddress = old.resolved.listenAddress
        } else {
            listenAddress = self.listenAddress(of: service, pointers)
        }
        let backends = service.backends.enumerated().map { index, backend in
            let pointer = { pointers?.ofBackend(index, named: backend.name) ?? "" }
            let target = target(of: backend.address, field: "address", pointer)
            let checkTarget =
                backend.checkAddress.isEmpty
                ? nil : self.target(of: backend.checkAddress, field: "check_address", pointer)
            guard let target else {
                return BackendExpansion()
            }
            return BackendExpansion(of: backend, at: target, checkedAt: checkTarget) { question in
                memory(of: question)?.targets ?? []
            }
        }
        return AppliedService(
            configuration: service, listenAddress: listenAddress, socketAccess: socketAccess(of: service, pointers),
            backends: backends
        )
    }

    /// A name stands for what it stood for as long as its text stays, as with addresses.
    private mutating func socketAccess(of service: ServiceConfiguration, _ pointers: Pointers?) -> SocketFileAccess {
        let old = live[service.name]
        let before = old?.resolved.socketAccess ?? SocketFileAccess()
        var access = SocketFileAccess(mode: SocketPermissions.mode(of: service.socketMode) ?? before.mode)
        access.owner =
            old?.configuration.socketOwner == service.socketOwner
            ? before.owner : number(of: service.socketOwner, .user, pointers)
        access.group =
            old?.configuration.socketGroup == service.socketGroup
            ? before.group : number(of: service.socketGroup, .group, pointers)
        return access
    }

    private mutating func number(of name: String, _ kind: SocketOwners.Kind, _ pointers: Pointers?) -> UInt32? {
        guard !name.isEmpty else {
            return nil
        }
        let key = SocketOwners.Name(kind: kind, text: name)
        let number = owners[key] ?? SocketOwners.number(of: name, kind)
        owners[key] = .some(number)
        if number == nil {
            let issue = ConfigurationIssue(
                pointer: "\(pointers?.ofService ?? "")/\(kind.field)", detail: SocketOwners.problem(with: name, kind)
            )
            // The walk may be the second one.
            if issues.count < ConfigurationIssue.countMax, !issues.contains(issue) {
                issues.append(issue)
            }
        }
        return number
    }

    private func memory(of question: NameQuestion) -> NameMemory? {
        watched(question) ?? fresh[question]
    }

    private mutating func listenAddress(
        of service: ServiceConfiguration, _ pointers: Pointers?
    ) -> ShuttleEngine.SocketAddress {
        let pointer = { pointers?.ofService ?? "" }
        switch parsed(service.address, field: "address", pointer) {
        case .endpoint(.wildcard(let port)):
            return resolver.hasIPv6 ? .anyIPv6(port: UInt16(port)) : .anyIPv4(port: UInt16(port))
        case .endpoint(.host(let host, let port)):
            if let address = NumericHost.address(host, port: port) {
                return address
            }
            let question = NameQuestion.host(host)
            let isKnown = require(question, field: "address", text: service.address, toleratesSilence: false, pointer)
            let address = isKnown ? memory(of: question)?.targets.first?.address : nil
            return address?.with(port: UInt16(port)) ?? ResolverPass.placeholder
        case .unix(let address):
            return ShuttleEngine.SocketAddress(address)
        case .service, nil:
            // The validator lets no service listen at the name of another.
            return ResolverPass.placeholder
        }
    }

    /// Where an address of a backend leads, nil when it cannot be told. Notes what has to be looked up for it.
    private mutating func target(of text: String, field: String, _ pointer: () -> String) -> BackendTarget? {
        let target: BackendTarget
        switch parsed(text, field: field, pointer) {
        case .endpoint(.host(let host, let port)):
            if let address = NumericHost.address(host, port: port) {
                return .fixed(address)
            }
            target = .host(host, port: UInt16(port))
        case .endpoint(.wildcard(let port)):
            return .targets(port: UInt16(port))
        case .unix(let address):
            return .fixed(ShuttleEngine.SocketAddress(address))
        case .service(let name):
            target = .service(name)
        case nil:
            return nil
        }
        // In use already: whatever is wrong with it is known, and is not this change's fault.
        if let question = target.question, watched(question) == nil {
            _ = require(question, field: field, text: text, toleratesSilence: toleratesSilence, pointer)
        }
        return target
    }

    /// Whether a name is known to stand for something. Notes that it has to be looked up, or that it does not resolve.
    private mutating func require(
        _ question: NameQuestion, field: String, text: String, toleratesSilence: Bool, _ pointer: () -> String
    ) -> Bool {
        guard let memory = memory(of: question) else {
            unknown.insert(question)
            return false
        }
        guard memory.targets.isEmpty else {
            return true
        }
        if let failure = memory.failure {
            let issue = ConfigurationIssue(
                pointer: "\(pointer())/\(field)",
                detail: "\"\(field)\" is \(Quoted(text)); \(question) \(failure.reason)"
            )
            if toleratesSilence {
                tolerated.append(issue)
            } else {
                issues.append(issue)
            }
        }
        return false
    }

    private mutating func parsed(_ text: String, field: String, _ pointer: () -> String) -> BackendAddress? {
        do throws(EndpointError) {
            return try BackendAddress(parsing: text)
        } catch {
            // The validator lets none of these through.
            issues.append(
                ConfigurationIssue(
                    pointer: "\(pointer())/\(field)",
                    detail: "\"\(field)\" is \(Quoted(text)); \(error.explanation)"
                )
            )
            return nil
        }
    }
}

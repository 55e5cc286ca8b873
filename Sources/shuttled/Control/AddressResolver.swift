// Owns turning the addresses of a configuration into socket addresses: what stays as it was, what is numeric, and what
// has to be looked up.
// Leaves to others: the lookup itself (HostLookup) and whether addresses go together (ListenConflicts).

import Glibc
import ShuttleEngine

/// A service with its addresses found: what the engine and the health checks work with.
struct AppliedService: Sendable, Equatable {
    var resolved: ResolvedService
    /// One for each backend, in their order; nil where there are no checks.
    var checkAddresses: [ShuttleEngine.SocketAddress?]

    var configuration: ServiceConfiguration { resolved.configuration }
}

/// Resolves the addresses of a configuration.
struct AddressResolver {
    let lookup: HostLookup
    /// Where `:port` listens: `[::]` takes IPv4 as well; a machine without IPv6 has only `0.0.0.0`.
    let hasIPv6: Bool

    init(hasIPv6: Bool = AddressResolver.machineHasIPv6(), lookup: @escaping HostLookup) {
        self.lookup = lookup
        self.hasIPv6 = hasIPv6
    }

    /// The services of `next` with their addresses. An address whose text is what it was, at the place where it was,
    /// keeps what it resolved to then: a change elsewhere must not move a backend because DNS has moved.
    nonisolated(nonsending) func resolve(
        _ next: NextConfiguration, live: [String: AppliedService]
    ) async throws(ChangeRefusal) -> [AppliedService] {
        var pass = ResolverPass(resolver: self, known: [:])
        _ = pass.services(of: next, live: live)
        if !pass.unknownNames.isEmpty {
            pass = ResolverPass(resolver: self, known: await lookup(pass.unknownNames.sorted()))
        }
        let services = pass.services(of: next, live: live)
        if !pass.issues.isEmpty {
            throw .invalid(Array(pass.issues.prefix(ConfigurationIssue.countMax)))
        }
        return services
    }

    /// The socket address of a numeric host, brackets left out, or nil when it is a name. Never blocks.
    static func numeric(host: String, port: Int) -> ShuttleEngine.SocketAddress? {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0 else {
            return nil
        }
        defer { list.map(freeaddrinfo) }
        guard let info = list?.pointee, let address = info.ai_addr else {
            return nil
        }
        return ShuttleEngine.SocketAddress(copying: address, length: Int(info.ai_addrlen))?.unmapped
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
    let known: [String: Result<ShuttleEngine.SocketAddress, HostLookupFailure>]
    private(set) var unknownNames: Set<String> = []
    private(set) var issues: [ConfigurationIssue] = []

    /// Stands in for an address that is not known yet, or that has an issue.
    private static let placeholder = ShuttleEngine.SocketAddress.anyIPv4(port: 0)

    init(
        resolver: AddressResolver, known: [String: Result<ShuttleEngine.SocketAddress, HostLookupFailure>]
    ) {
        self.resolver = resolver
        self.known = known
    }

    mutating func services(of next: NextConfiguration, live: [String: AppliedService]) -> [AppliedService] {
        next.services.map { service in
            if let old = live[service.name], old.configuration == service {
                return old
            }
            return resolve(service, of: next, old: live[service.name])
        }
    }

    private mutating func resolve(
        _ service: ServiceConfiguration, of next: NextConfiguration, old: AppliedService?
    ) -> AppliedService {
        let listenAddress: ShuttleEngine.SocketAddress
        if let old, old.configuration.address == service.address {
            listenAddress = old.resolved.listenAddress
        } else {
            listenAddress = resolve(service.address, field: "address") { next.pointer(toService: service.name) }
        }
        // Found by name once, not by a search for each: there may be thousands.
        var oldIndices: [String: Int] = [:]
        for (index, backend) in (old?.configuration.backends ?? []).enumerated() {
            oldIndices[backend.name] = index
        }
        var addresses: [ShuttleEngine.SocketAddress] = []
        var checkAddresses: [ShuttleEngine.SocketAddress?] = []
        for (index, backend) in service.backends.enumerated() {
            let pointer = { next.pointer(toBackend: index, named: backend.name, of: service.name) }
            let oldIndex = oldIndices[backend.name]
            let oldBackend = oldIndex.flatMap { old?.configuration.backends[$0] }
            if let old, let oldIndex, oldBackend?.address == backend.address {
                addresses.append(old.resolved.backendAddresses[oldIndex])
            } else {
                addresses.append(resolve(backend.address, field: "address", pointer))
            }
            if backend.checkAddress.isEmpty {
                checkAddresses.append(nil)
            } else if let old, let oldIndex, oldBackend?.checkAddress == backend.checkAddress {
                checkAddresses.append(old.checkAddresses[oldIndex])
            } else {
                checkAddresses.append(resolve(backend.checkAddress, field: "check_address", pointer))
            }
        }
        return AppliedService(
            resolved: ResolvedService(
                configuration: service, listenAddress: listenAddress, backendAddresses: addresses
            ),
            checkAddresses: checkAddresses
        )
    }

    private mutating func resolve(
        _ text: String, field: String, _ pointer: () -> String?
    ) -> ShuttleEngine.SocketAddress {
        let endpoint: Endpoint
        do throws(EndpointError) {
            endpoint = try Endpoint(parsing: text)
        } catch {
            // The validator lets none of these through.
            issues.append(
                ConfigurationIssue(
                    pointer: "\(pointer() ?? "")/\(field)",
                    detail: "\"\(field)\" is \(Quoted(text)); \(error.explanation)"
                )
            )
            return ResolverPass.placeholder
        }
        switch endpoint {
        case .wildcard(let port):
            let port = UInt16(port)
            return resolver.hasIPv6 ? .anyIPv6(port: port) : .anyIPv4(port: port)
        case .host(let host, let port):
            if let address = AddressResolver.numeric(host: host, port: port) {
                return address
            }
            switch known[host] {
            case .success(let address):
                return address.with(port: UInt16(port))
            case .failure(let failure):
                issues.append(
                    ConfigurationIssue(
                        pointer: "\(pointer() ?? "")/\(field)",
                        detail: "\"\(field)\" is \(Quoted(text)); the host \(Quoted(host)) \(failure.reason)"
                    )
                )
            case nil:
                unknownNames.insert(host)
            }
            return ResolverPass.placeholder
        }
    }
}

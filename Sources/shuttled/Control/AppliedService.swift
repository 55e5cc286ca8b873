// Owns the form of a service with its addresses found, and how its backends came to those.
// Leaves to others: finding addresses (AddressResolver).

import ShuttleEngine

/// A service with its addresses found: what the engine and the health checks work with.
struct AppliedService: Sendable, Equatable {
    /// As it was written.
    let configuration: ServiceConfiguration
    /// What the engine runs. A backend that was written stands for none in it while its name does not resolve,
    /// and for several where it is the name of SRV records.
    let resolved: ResolvedService
    /// One for each backend of `resolved`, in their order; nil where there are no checks.
    let checkAddresses: [ShuttleEngine.SocketAddress?]
    /// For each backend that was written, which of those in `resolved` it stands for.
    let places: [Range<Int>]
    /// What its backends ask of DNS.
    let names: Set<NameQuestion>

    init(
        configuration: ServiceConfiguration, listenAddress: ShuttleEngine.SocketAddress?,
        socketAccess: SocketFileAccess = SocketFileAccess(), backends: [BackendExpansion]
    ) {
        self.configuration = configuration
        var running = configuration
        running.backends = backends.flatMap(\.members).map(\.configuration)
        resolved = ResolvedService(
            configuration: running, listenAddress: listenAddress,
            backendAddresses: backends.flatMap(\.members).map(\.address), socketAccess: socketAccess
        )
        checkAddresses = backends.flatMap(\.members).map(\.checkAddress)
        var next = 0
        places = backends.map { backend in
            defer { next += backend.members.count }
            return next..<next + backend.members.count
        }
        names = backends.reduce(into: []) { $0.formUnion($1.names) }
    }
}

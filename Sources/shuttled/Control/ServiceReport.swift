// Owns what is reported of a service: the engine's statistics of what runs, in terms of what was written.
// Leaves to others: counting (the engine), what is known of names (NameWatch), printing (Admin).

import ShuttleEngine

/// What is reported of a service.
struct ServiceReport: Sendable {
    /// Its own numbers; its configuration is the one that was written.
    var statistics: ServiceStatistics
    /// In the order in which they were written.
    var backends: [BackendReport]

    var configuration: ServiceConfiguration { statistics.configuration }
}

/// What is reported of a backend.
struct BackendReport: Sendable {
    var statistics: BackendStatistics
    /// Of a backend whose address has a host name.
    var name: NameReport?

    var configuration: BackendConfiguration { statistics.configuration }
}

/// What is known of a backend's host name.
struct NameReport: Sendable, Equatable {
    /// What the name stands for, with the port; empty as long as it has not resolved.
    var resolvedAddress: String
    /// What is wrong with the name now; what it stood for before stays in use.
    var failure: String?
    /// When it was last found out successfully, in seconds since 1970.
    var answerTime: Int?
}

extension ServiceReport {
    /// Of a service none of whose backends has a host name.
    init(_ statistics: ServiceStatistics) {
        self.statistics = statistics
        backends = statistics.backends.map { BackendReport(statistics: $0, name: nil) }
    }

    /// `statistics` are those of what runs for `service`, `memory` what is known of its names.
    init(of service: AppliedService, _ statistics: ServiceStatistics, memory: (NameQuestion) -> NameMemory?) {
        self.statistics = statistics
        self.statistics.configuration = service.configuration
        backends = zip(service.configuration.backends, service.places).map { backend, place in
            let members = statistics.backends[place]
            let address = service.resolved.backendAddresses[place].first
            return BackendReport(
                statistics: members.first ?? .none(of: backend),
                name: NameReport(of: backend, at: address, memory: memory)
            )
        }
    }
}

extension NameReport {
    fileprivate init?(
        of backend: BackendConfiguration, at address: ShuttleEngine.SocketAddress?,
        memory: (NameQuestion) -> NameMemory?
    ) {
        guard case .host(let host, _)? = try? Endpoint(parsing: backend.address), let memory = memory(.host(host))
        else {
            return nil
        }
        resolvedAddress = address?.description ?? ""
        failure = memory.failure.map { "the host \(Quoted(host)) \($0.reason)" }
        answerTime = memory.answerTime
    }
}

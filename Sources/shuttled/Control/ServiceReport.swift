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
    /// Of one that stands for several servers, the sums of theirs.
    var statistics: BackendStatistics
    /// Of a backend whose address has a name.
    var name: NameReport?
    /// The servers that a backend stands for whose address is the name of SRV records; nil for all others.
    var targets: [BackendReport]?

    var configuration: BackendConfiguration { statistics.configuration }
}

/// What is known of a backend's name.
struct NameReport: Sendable, Equatable {
    /// The address in use, with the port, empty as long as there is none; nil where a list of targets says it.
    var resolvedAddress: String?
    /// Nil where the backend whose target this is says it.
    var outcome: Outcome?

    struct Outcome: Sendable, Equatable {
        /// What is wrong with the name now; what it stood for before stays in use.
        var failure: String?
        /// When it was last found out successfully, in seconds since 1970.
        var answerTime: Int?
    }
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
            BackendReport(
                of: backend, members: Array(statistics.backends[place]),
                addresses: Array(service.resolved.backendAddresses[place]), memory: memory
            )
        }
    }
}

extension BackendReport {
    /// `members` and `addresses` are of what runs for it.
    fileprivate init(
        of backend: BackendConfiguration, members: [BackendStatistics], addresses: [ShuttleEngine.SocketAddress],
        memory: (NameQuestion) -> NameMemory?
    ) {
        func outcome(of question: NameQuestion) -> NameReport.Outcome? {
            memory(question).map { memory in
                NameReport.Outcome(
                    failure: memory.failure.map { "\(question) \($0.reason)" }, answerTime: memory.answerTime
                )
            }
        }
        statistics = members.first ?? .none(of: backend)
        switch try? BackendAddress(parsing: backend.address) {
        case .service(let name):
            statistics = .sum(of: members, as: backend)
            self.name = NameReport(outcome: outcome(of: .service(name)))
            targets = zip(members, addresses).map { member, address in
                BackendReport(statistics: member, name: NameReport(resolvedAddress: address.description))
            }
        case .endpoint(.host(let host, _)):
            name = outcome(of: .host(host)).map { outcome in
                NameReport(resolvedAddress: addresses.first?.description ?? "", outcome: outcome)
            }
        default:
            break
        }
    }
}

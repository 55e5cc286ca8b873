// Owns what a health check has to know about a backend, and how a backend is told from another.

import ShuttleEngine

/// What makes a backend the same one across changes: its service, its name, its address. A new address is a new backend.
struct BackendIdentity: Hashable, Sendable {
    var service: String
    var backend: String
    var address: ShuttleEngine.SocketAddress
}

/// A backend that is checked.
struct HealthTarget: Equatable, Sendable {
    var identity: BackendIdentity
    var checkAddress: ShuttleEngine.SocketAddress
    /// At least 1: a service with 0 has no targets.
    var intervalMilliseconds: Int
    var connectTimeoutMilliseconds: Int
    var probe: CheckProbe
    /// What a connection to the backend begins with, where it is checked at its own address; nil for nothing.
    var proxyProtocol: ProxyProtocolVersion?
    /// For all that comes after the connect.
    var probeTimeoutMilliseconds: Int
    var fall: Int
    var rise: Int
}

extension HealthTarget {
    /// Whether a result of the one says something about the other.
    func isCheckedAs(_ other: HealthTarget) -> Bool {
        checkAddress == other.checkAddress && probe == other.probe && proxyProtocol == other.proxyProtocol
    }

    /// The backends of a service that are checked, in their order. `backendAddresses` and `checkAddresses` go with its
    /// backends one by one.
    static func targets(
        of service: ServiceConfiguration, backendAddresses: [ShuttleEngine.SocketAddress],
        checkAddresses: [ShuttleEngine.SocketAddress?]
    ) -> [HealthTarget] {
        guard service.checkIntervalMilliseconds > 0 else {
            return []
        }
        return service.backends.indices.compactMap { index in
            checkAddresses[index].map { checkAddress in
                HealthTarget(
                    identity: BackendIdentity(
                        service: service.name, backend: service.backends[index].name,
                        address: backendAddresses[index]
                    ),
                    checkAddress: checkAddress,
                    intervalMilliseconds: service.checkIntervalMilliseconds,
                    connectTimeoutMilliseconds: service.connectTimeoutMilliseconds,
                    probe: CheckProbe(
                        service.check, checkAddress: service.backends[index].checkAddress,
                        backendAddress: service.backends[index].address
                    ),
                    proxyProtocol: checkAddress == backendAddresses[index]
                        ? service.proxyProtocolSend(to: service.backends[index]) : nil,
                    probeTimeoutMilliseconds: service.check.timeoutMilliseconds,
                    fall: service.fall,
                    rise: service.rise
                )
            }
        }
    }
}

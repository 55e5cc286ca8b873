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
    var timeoutMilliseconds: Int
    var fall: Int
    var rise: Int
}

extension HealthTarget {
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
                    timeoutMilliseconds: service.connectTimeoutMilliseconds,
                    fall: service.fall,
                    rise: service.rise
                )
            }
        }
    }
}

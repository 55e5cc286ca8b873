// Owns what tests say of a service. Leaves to others: making a configuration of it (SimulatedControl).

@testable import ShuttleEngine

/// A service as tests describe it.
struct ServicePlan: Equatable {
    struct Backend: Equatable {
        var name: String
        var port: UInt16
        var weight = 1
        /// 0 is no limit.
        var connectionsMax = 0
        var isBackup = false
        var state = BackendState.ready

        /// As far as the configuration goes.
        var getsSessions: Bool { weight > 0 && state == .ready }

        func hasRoom(beside active: Int) -> Bool { connectionsMax == 0 || active < connectionsMax }
    }

    var name: String
    var port: UInt16
    var backends: [Backend] = []
    var balance = BalanceAlgorithm.roundRobin
    var clientTimeout = 0
    var serverTimeout = 0
    var connectTimeout = 1000
    var retries = 2
    var retryTimeout = 0
    var passive = PassiveConfiguration()
    var connectionsMax = 0
    var connectionsPerClientMax = 0
    var queueLimit = 0
    var queueTimeout = 0
    var isInMaintenance = false
    var halfCloseTimeout = 0
    var halfClose = true
    var maxLifetime = 0
    var maxLifetimeJitter = 0
    var keepaliveIdle = 60_000
    var userTimeout = 0
    var drainTimeout = 0
    var sources: [String] = []

    /// Clients are turned away for other reasons than want of backends.
    var isLimited: Bool { connectionsMax > 0 || connectionsPerClientMax > 0 || queueLimit > 0 || isInMaintenance }

    func idleLimits() -> IdleLimits {
        IdleLimits(
            client: clientTimeout,
            server: serverTimeout,
            halfClose: halfCloseTimeout,
            lifetime: maxLifetime,
            lifetimeJitterPercent: maxLifetimeJitter,
            closesAtFirstEnd: !halfClose,
            keepaliveIdle: keepaliveIdle,
            userTimeout: userTimeout
        )
    }
}

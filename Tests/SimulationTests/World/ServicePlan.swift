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
        var slowStart = 0
        /// Only in what is known of an epoch, where the weight is the effective one as well.
        var hashLimit = UInt32.max
        var proxyProtocolSend: ProxyProtocolVersion?
        /// The port stands for the name of a unix socket.
        var isUnix = false

        var address: SocketAddress {
            isUnix ? .unix(name: "\(port)", isAbstract: true) : .loopbackIPv4(port: port)
        }

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
    var allow: [String] = []
    var deny: [String] = []
    var rateLimit: RateLimitConfiguration?
    var bandwidth = BandwidthConfiguration()
    var serviceBandwidth = BandwidthConfiguration()
    var halfCloseTimeout = 0
    var halfClose = true
    var maxLifetime = 0
    var maxLifetimeJitter = 0
    var keepaliveIdle = 60_000
    var userTimeout = 0
    var drainTimeout = 0
    var sources: [String] = []
    var proxyProtocolSend: ProxyProtocolVersion?
    var proxyProtocolAccept = false
    var prereadTimeout = 5000
    var prereadLimit = 16_384
    var routes: [RouteConfiguration] = []
    /// It listens nowhere; its port only tells it from others.
    var isPool = false
    /// Clients come by a unix socket.
    var isUnix = false

    /// Clients are turned away for other reasons than want of backends.
    var isLimited: Bool {
        connectionsMax > 0 || connectionsPerClientMax > 0 || queueLimit > 0 || isInMaintenance || hasAccessLists
            || rateLimit != nil
    }

    /// With those of its ports on unix sockets that stand for such, and lists that speak of their clients.
    func onUnixSockets(as settings: NetworkSettings) -> ServicePlan {
        guard settings.unixBackends > 0 || settings.unixListeners > 0 else { return self }
        var plan = self
        for index in backends.indices where settings.isUnixBackend(backends[index].port) {
            plan.backends[index].isUnix = true
        }
        guard settings.isUnixListener(port), !isPool else { return plan }
        plan.isUnix = true
        let says = settings.draw(port, 3)
        if !allow.isEmpty, !allow.contains("unix"), says % 2 == 0 { plan.allow.append("unix") }
        if !deny.isEmpty, !deny.contains("unix"), says % 4 == 1 { plan.deny.append("unix") }
        // Nobody at all, where clients are turned away for other reasons as well.
        if isLimited, deny.isEmpty, says % 4 == 3 { plan.deny = ["unix"] }
        return plan
    }

    var hasAccessLists: Bool { !allow.isEmpty || !deny.isEmpty }

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

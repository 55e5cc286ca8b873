// Owns the values a service is configured with, their names on the wire, ranges and defaults.
// Leaves to others: reading and writing JSON (shuttled/Configuration), resolving names (shuttled/Control).

/// How a service chooses the backend of its next connection.
public enum BalanceAlgorithm: String, Sendable, CaseIterable, Hashable {
    /// Weighted round robin: smooth, and exact over each cycle across all rings.
    case roundRobin = "RR"
    /// Weighted least connections over all rings.
    case leastConnections = "LC"
    /// Of two backends drawn by weight the one with fewer sessions for its weight.
    case twoChoices = "P2C"
    /// Drawn by weight.
    case random = "RANDOM"
    /// By a consistent hash of the client's address.
    case hash = "HASH"
}

/// One service: a listening address and the backends behind it.
public struct ServiceConfiguration: Equatable, Hashable, Sendable {
    /// `[A-Za-z0-9_.:-]{1,128}`, unique in a configuration, not `.`, `..` or a reserved route.
    public var name: String
    /// The listening address as the user wrote it: `host:port`, `[v6]:port`, `:port`, `unix:/path`, `/path` or
    /// `unix:@name`; empty for a pool, which only routes of other services lead to.
    public var address: String
    /// In the order given: order matters for balancing.
    public var backends: [BackendConfiguration]
    public var balance: BalanceAlgorithm
    /// Milliseconds between two health checks of a backend; 0 disables checks.
    public var checkIntervalMilliseconds: Int
    /// Failed checks in a row before a backend is DOWN.
    public var fall: Int
    /// Good checks in a row before a backend is UP.
    public var rise: Int
    /// Longest inactivity of the client's socket in milliseconds; 0 means no limit.
    public var clientTimeoutMilliseconds: Int
    /// Longest inactivity of the backend's socket in milliseconds; 0 means no limit.
    public var serverTimeoutMilliseconds: Int
    /// Longest time a connect to a backend may take in milliseconds, also for checks.
    public var connectTimeoutMilliseconds: Int
    /// Other backends tried when a connect fails, each once for the same client.
    public var retries: Int
    /// Longest time that all tries for one client may take together, in milliseconds; 0 means no limit but that of each.
    public var retryTimeoutMilliseconds: Int
    /// Milliseconds until the host names of backends are resolved again; 0 means by the time to live of the answers.
    public var resolveIntervalMilliseconds: Int
    /// When failures of real traffic take a backend out.
    public var passive = PassiveConfiguration()
    /// Sessions of the service at a time; 0 means no limit.
    public var connectionsMax: Int
    /// Sessions at a time from one client address; 0 means no limit.
    public var connectionsPerClientMax: Int
    /// Clients that may wait for a place beyond the limits; 0 means none.
    public var queueLimit: Int
    /// Longest wait for a place in milliseconds; 0 means as long as it takes.
    public var queueTimeoutMilliseconds: Int
    /// Nothing new is accepted.
    public var isInMaintenance: Bool
    /// Whether one direction of a session may go on when the other has ended; else the first end closes both sides.
    public var halfClose = true
    /// Longest inactivity in milliseconds of the direction that remains when the other has ended; 0 means no limit.
    public var halfCloseTimeoutMilliseconds = 0
    /// Longest life of a session in milliseconds; 0 means no limit.
    public var maxLifetimeMilliseconds = 0
    /// By how many percent of it a session's life may be longer.
    public var maxLifetimeJitterPercent = 0
    /// How silent peers are probed, on both sides.
    public var keepalive = KeepaliveConfiguration()
    /// Longest time in milliseconds that bytes to either side may stay unacknowledged; 0 leaves it to the system.
    public var userTimeoutMilliseconds = 0
    /// Milliseconds over which the sessions of a backend end that drains or is removed; 0 lets them run on.
    public var drainTimeoutMilliseconds = 0
    /// Addresses that connections to backends come from, in turn; none leaves it to the kernel.
    public var sourceAddresses: [String] = []
    /// Networks and addresses whose clients may come in; none means all.
    public var allow: [String] = []
    /// Networks and addresses whose clients may not, whatever `allow` says.
    public var deny: [String] = []
    /// How fast connections may come in; nil means no limit.
    public var rateLimit: RateLimitConfiguration?
    /// Bytes a second of each session.
    public var bandwidth = BandwidthConfiguration()
    /// Bytes a second of all sessions together.
    public var serviceBandwidth = BandwidthConfiguration()
    /// What clients speak to the service, and the service to its backends.
    public var network = Network.tcp
    /// Milliseconds without a datagram either way after which a UDP session ends.
    public var udpIdleTimeoutMilliseconds = ConfigurationDefaults.udpIdleTimeoutMilliseconds
    /// UDP sessions at a time; one more ends the one that has been idle for longest.
    public var udpSessionsMax = ConfigurationDefaults.udpSessionsMax
    /// Datagrams of the backend after which a UDP session ends, unless some of the client's are unanswered; 0 for never.
    public var udpResponses = 0
    /// Datagrams of a client after which its next one begins another UDP session; 0 for never.
    public var udpRequests = 0
    /// Every connection begins with a header of the PROXY protocol, which says where the client comes from.
    public var proxyProtocolAccept = false
    /// Services that clients are led to by what their ClientHello says; others stay with this one.
    public var routes: [RouteConfiguration] = []
    /// Longest time in milliseconds in which what is read before a backend is chosen must have come.
    public var prereadTimeoutMilliseconds = ConfigurationDefaults.prereadTimeoutMilliseconds
    /// Bytes that it may have.
    public var prereadLimitBytes = ConfigurationDefaults.prereadLimitBytes
    /// What connections to backends begin with, where a backend does not say otherwise; nil for nothing.
    public var proxyProtocolSend: ProxyProtocolVersion?
    /// Who may connect to a unix socket that has a file: its permissions in octal digits, its owner and its group by name
    /// or number, empty for those that it gets by itself.
    public var socketMode = ConfigurationDefaults.socketMode
    public var socketOwner = ""
    public var socketGroup = ""
    /// Which sessions the access log is to have; nil for none.
    public var accessLog: AccessLogConfiguration?
    /// What a check does once it has connected.
    public var check: CheckConfiguration

    public init(
        name: String,
        address: String,
        backends: [BackendConfiguration] = [],
        balance: BalanceAlgorithm = .roundRobin,
        checkIntervalMilliseconds: Int = ConfigurationDefaults.checkIntervalMilliseconds,
        fall: Int = ConfigurationDefaults.fall,
        rise: Int = ConfigurationDefaults.rise,
        clientTimeoutMilliseconds: Int = 0,
        serverTimeoutMilliseconds: Int = 0,
        connectTimeoutMilliseconds: Int = ConfigurationDefaults.connectTimeoutMilliseconds,
        retries: Int = ConfigurationDefaults.retries,
        retryTimeoutMilliseconds: Int = 0,
        resolveIntervalMilliseconds: Int = 0,
        connectionsMax: Int = 0,
        connectionsPerClientMax: Int = 0,
        queueLimit: Int = 0,
        queueTimeoutMilliseconds: Int = 0,
        isInMaintenance: Bool = false,
        check: CheckConfiguration = CheckConfiguration()
    ) {
        self.name = name
        self.address = address
        self.backends = backends
        self.balance = balance
        self.checkIntervalMilliseconds = checkIntervalMilliseconds
        self.fall = fall
        self.rise = rise
        self.clientTimeoutMilliseconds = clientTimeoutMilliseconds
        self.serverTimeoutMilliseconds = serverTimeoutMilliseconds
        self.connectTimeoutMilliseconds = connectTimeoutMilliseconds
        self.retries = retries
        self.retryTimeoutMilliseconds = retryTimeoutMilliseconds
        self.resolveIntervalMilliseconds = resolveIntervalMilliseconds
        self.connectionsMax = connectionsMax
        self.connectionsPerClientMax = connectionsPerClientMax
        self.queueLimit = queueLimit
        self.queueTimeoutMilliseconds = queueTimeoutMilliseconds
        self.isInMaintenance = isInMaintenance
        self.check = check
    }
}

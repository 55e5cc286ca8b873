// Owns the values a service is configured with, their names on the wire, ranges and defaults.
// Leaves to others: reading and writing JSON (shuttled/Configuration), resolving names (shuttled/Control).

/// How a service chooses the backend of its next connection.
public enum BalanceAlgorithm: String, Sendable, CaseIterable, Hashable {
    /// Weighted round robin: smooth, and exact over each cycle across all rings.
    case roundRobin = "RR"
    /// Weighted least connections over all rings.
    case leastConnections = "LC"
}

/// One service: a listening address and the backends behind it.
public struct ServiceConfiguration: Equatable, Hashable, Sendable {
    /// `[A-Za-z0-9_.:-]{1,128}`, unique in a configuration, not `.`, `..` or a reserved route.
    public var name: String
    /// The listening address as the user wrote it: `host:port`, `[v6]:port` or `:port`.
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
    /// What a check does once it has connected.
    public var check: CheckConfiguration
    /// When failures of real traffic take a backend out.
    public var passive = PassiveConfiguration()

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
        self.check = check
    }
}

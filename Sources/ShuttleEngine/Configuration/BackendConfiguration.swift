// Owns the values a backend is configured with.

/// What an operator has said of a backend. Sessions that it has run on in every state.
public enum BackendState: String, Sendable, CaseIterable, Hashable {
    case ready
    /// Nothing new, while sessions come to their end.
    case drain
    /// Nothing new, while somebody works on it.
    case maintenance
}

/// One server behind a service.
public struct BackendConfiguration: Equatable, Hashable, Sendable {
    /// `[A-Za-z0-9_.:-]{1,128}`, unique within its service.
    public var name: String
    /// Where sessions connect to, as the user wrote it: `host:port`, `[v6]:port`, `unix:/path`, `/path` or `unix:@name`.
    public var address: String
    /// Where health checks connect to; empty means no active check.
    public var checkAddress: String
    /// Share of new connections, 0…256; 0 means no new connections.
    public var weight: Int
    /// Sessions that all rings together give it at a time, those still connecting included; 0 means no limit.
    public var connectionsMax: Int
    /// Used only when no backend that is not a backup can be used.
    public var isBackup: Bool
    public var state: BackendState
    /// In place of the service's, which holds where this is nil.
    public var passive: PassiveConfiguration?
    /// Milliseconds over which a backend that has come up gets its share of new connections; 0 gives it at once.
    public var slowStartMilliseconds = 0
    /// In place of the service's, which holds where this is nil.
    public var proxyProtocolSend: ProxyProtocolVersion?

    public init(
        name: String,
        address: String,
        checkAddress: String = "",
        weight: Int = ConfigurationDefaults.weight,
        connectionsMax: Int = 0,
        isBackup: Bool = false,
        state: BackendState = .ready
    ) {
        self.name = name
        self.address = address
        self.checkAddress = checkAddress
        self.weight = weight
        self.connectionsMax = connectionsMax
        self.isBackup = isBackup
        self.state = state
    }
}

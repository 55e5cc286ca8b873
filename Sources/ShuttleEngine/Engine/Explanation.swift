// Owns the values in which is told what would become of a client. Leaves to others: finding it out (Engine+Explain).

/// The client that is asked for.
public struct ExplainedClient: Sendable, Equatable {
    /// Nil for one that comes by a unix socket.
    public var address: SocketAddress?
    /// What its ClientHello would name; nil for one that does not speak TLS, or names nothing.
    public var serverName: String?
    public var protocols: [String]

    public init(address: SocketAddress?, serverName: String? = nil, protocols: [String] = []) {
        self.address = address
        self.serverName = serverName
        self.protocols = protocols
    }

    /// The address of a numeric host, such as `192.0.2.1` or `2001:db8::1`; nil for every other text.
    public static func address(ofHost text: String, port: UInt16) -> SocketAddress? {
        if let number = AddressLiteral.ipv4(text.utf8) { return .ipv4(UInt32(number), port: port) }
        guard let groups = AddressLiteral.ipv6(Array(text.utf8)) else { return nil }
        let halves = [groups[..<4], groups[4...]].map { $0.reduce(UInt64(0)) { $0 << 16 | UInt64($1) } }
        return SocketAddress.ipv6(high: halves[0], low: halves[1], port: port).unmapped
    }
}

/// What becomes of the next session of a client. The raw values are their names on the wire.
public enum ExplainedOutcome: String, Sendable, CaseIterable {
    /// It gets the backend that is chosen.
    case backend
    /// It gets one of the candidates, by chance.
    case drawn
    /// It waits for a place in the queue.
    case queued
    /// It waits for its service's rate limit, and is given a backend then.
    case delayed
    /// It is closed: its address may not come in.
    case denied
    /// It is closed: nothing new is let in.
    case maintenance
    /// It is closed: it comes too early for the rate limit.
    case rateLimited = "rate-limited"
    /// It is closed: its address has as many sessions as it may have.
    case clientLimit = "client-limit"
    /// It is closed: there is no place, and none in a queue.
    case full
    /// It is closed: no backend can be used.
    case noBackend = "no-backend"
}

/// Why one backend is chosen or not.
public struct ExplainedBackend: Sendable, Equatable {
    public var configuration: BackendConfiguration
    public var verdict: BackendVerdict
    public var active: Int
    /// What is chosen by, which is not the weight that is configured while some backend ramps.
    public var effectiveWeight: Int
    public var isEjected: Bool
    public var lastCheck: CheckResult?
    public var lastFailure: TrafficFailure?
    /// How far it is in its slow start.
    public var slowStartPercent: Int
    /// Of being drawn, in thousandths; nil where nothing is drawn.
    public var probabilityThousandths: Int?
}

/// What becomes of a client, at one moment; nothing is changed by asking.
public struct Explanation: Sendable, Equatable {
    public var outcome: ExplainedOutcome
    /// The service whose backends were looked at: the one that was asked for, or the one that a route leads to.
    public var service: ServiceConfiguration
    /// The route that was taken, by its place in the configuration.
    public var route: Int?
    /// Of `backends`.
    public var chosen: Int?
    /// False where another client that comes before may change it, or chance does: a hash does not move.
    public var isCertain: Bool
    /// Whether probabilities were counted out, and not estimated.
    public var areProbabilitiesExact: Bool
    /// Sessions that have a place of the service, and that wait.
    public var occupied: Int
    public var queued: Int
    /// In the order of the configuration. What would be chosen is told also where the client does not come so far.
    public var backends: [ExplainedBackend]
}

// Owns the words that say why a session ended, and by whose doing. One vocabulary for records of sessions, the access log,
// `/v1/recent` and their documentation. Leaves to others: finding out which holds (Worker+Record), counting (CounterBlock).

/// Why a session ended. The raw value is how records keep it; what is printed is `name`.
public enum TerminationReason: UInt8, Sendable, CaseIterable {
    /// The client ended its side first, and all went as it should.
    case clientClosed = 1
    /// The client reset its connection.
    case clientReset
    /// The client's host answered no more: its connection timed out or could not be reached.
    case clientLost
    case backendClosed
    case backendReset
    case backendLost
    /// The last backend that was tried refused the connection.
    case connectRefused
    case connectTimeout
    case connectUnreachable
    /// The last connect failed for another reason; most often want of ports or descriptors here.
    case connectFailed
    /// No backend was usable.
    case noBackend
    /// The service, or every backend, had as many sessions as it may.
    case serviceFull
    case queueFull
    case queueTimeout
    /// The client's address had its share of sessions.
    case clientLimit
    /// The lists do not let the client in.
    case denied
    /// It came too early for the rate limit.
    case rateLimited
    case maintenance
    /// What was to be read before a backend is chosen was not what it must be.
    case prereadFailed
    case prereadTimeout
    /// The client was inactive for `client_timeout`.
    case clientIdle
    case backendIdle
    case halfCloseTimeout
    case maxLifetime
    /// Its backend drains, and its turn had come.
    case drained
    /// Somebody ended it by the admin API.
    case `operator`
    /// It was cut when shuttled stopped.
    case cut
    /// Its service was removed, or passed its address on.
    case serviceRemoved
    /// UDP: no datagram for `udp_idle_timeout`.
    case idle
    /// UDP: the backend's host refuses datagrams or cannot be reached.
    case backendRefused
    /// UDP: it made room for another.
    case evicted
    /// UDP: every answer of `udp_responses` has come.
    case answered
    /// UDP: its backend went down or away, and its client is given another.
    case backendGone
}

extension TerminationReason {
    /// As in records, logs and queries.
    public var name: String {
        switch self {
        case .clientClosed: "client_closed"
        case .clientReset: "client_reset"
        case .clientLost: "client_lost"
        case .backendClosed: "backend_closed"
        case .backendReset: "backend_reset"
        case .backendLost: "backend_lost"
        case .connectRefused: "connect_refused"
        case .connectTimeout: "connect_timeout"
        case .connectUnreachable: "connect_unreachable"
        case .connectFailed: "connect_failed"
        case .noBackend: "no_backend"
        case .serviceFull: "service_full"
        case .queueFull: "queue_full"
        case .queueTimeout: "queue_timeout"
        case .clientLimit: "client_limit"
        case .denied: "denied"
        case .rateLimited: "rate_limited"
        case .maintenance: "maintenance"
        case .prereadFailed: "preread_failed"
        case .prereadTimeout: "preread_timeout"
        case .clientIdle: "client_idle"
        case .backendIdle: "backend_idle"
        case .halfCloseTimeout: "half_close_timeout"
        case .maxLifetime: "max_lifetime"
        case .drained: "drained"
        case .operator: "operator"
        case .cut: "cut"
        case .serviceRemoved: "service_removed"
        case .idle: "idle"
        case .backendRefused: "backend_refused"
        case .evicted: "evicted"
        case .answered: "answered"
        case .backendGone: "backend_gone"
        }
    }

    /// The reason of that name; nil where there is none.
    public init?(name: some StringProtocol) {
        guard let reason = TerminationReason.allCases.first(where: { $0.name == name }) else { return nil }
        self = reason
    }
}

extension TerminationReason {
    /// What a session that was ended here by time is told to have ended by. `isBackends`: it was the backend's side that
    /// was inactive.
    init(_ reason: EndReason, isBackends: Bool) {
        switch reason {
        case .idle: self = isBackends ? .backendIdle : .clientIdle
        case .halfClose: self = .halfCloseTimeout
        case .lifetime: self = .maxLifetime
        case .drain: self = .drained
        case .operator: self = .operator
        }
    }
}

// Owns the values that statistics are reported in; summing them is Engine+Statistics's.

/// Sessions that were ended here and not by their peers, by the reason.
public struct SessionEnds: Sendable, Equatable {
    /// A side was inactive for its timeout.
    public var idle: UInt64 = 0
    /// One direction had ended and the other was inactive for its timeout.
    public var halfClose: UInt64 = 0
    /// They had lived for as long as they may.
    public var lifetime: UInt64 = 0
    /// Their backend drained.
    public var drain: UInt64 = 0
    /// Somebody asked for their end.
    public var `operator`: UInt64 = 0

    public init(
        idle: UInt64 = 0, halfClose: UInt64 = 0, lifetime: UInt64 = 0, drain: UInt64 = 0, operator: UInt64 = 0
    ) {
        self.idle = idle
        self.halfClose = halfClose
        self.lifetime = lifetime
        self.drain = drain
        self.operator = `operator`
    }

    mutating func add(_ other: SessionEnds) {
        idle += other.idle
        halfClose += other.halfClose
        lifetime += other.lifetime
        drain += other.drain
        `operator` += other.operator
    }
}

/// What a UDP service has done with datagrams, ever.
public struct DatagramStatistics: Sendable, Equatable {
    /// Sent on from clients to backends.
    public var sent: UInt64 = 0
    /// Sent on from backends to clients.
    public var received: UInt64 = 0
    /// Received and not sent on, in either direction.
    public var dropped: UInt64 = 0
    /// Sessions that ended since their backend's host refused what was sent to it.
    public var refused: UInt64 = 0
    /// Sessions that ended to make room for others.
    public var evicted: UInt64 = 0
    /// Of those dropped, for a limit of bandwidth.
    public var limited: UInt64 = 0

    public init(
        sent: UInt64 = 0, received: UInt64 = 0, dropped: UInt64 = 0, refused: UInt64 = 0, evicted: UInt64 = 0,
        limited: UInt64 = 0
    ) {
        self.sent = sent
        self.received = received
        self.dropped = dropped
        self.refused = refused
        self.evicted = evicted
        self.limited = limited
    }
}

/// What a service has done since it was created, summed over all rings at one moment.
public struct ServiceStatistics: Sendable, Equatable {
    public var configuration: ServiceConfiguration
    /// Bytes sent on from clients to backends.
    public var sentBytes: UInt64
    /// Bytes sent on from backends to clients.
    public var receivedBytes: UInt64
    /// Failed connects and resets of its backends, and clients for whom no backend was usable.
    public var errors: UInt64
    /// Connections accepted, ever.
    public var connections: UInt64
    /// Sessions now, those of removed backends included; those that wait for a place are not.
    public var active: Int
    /// Times that a backend was let stay although its traffic fails, because too many would have been out.
    public var panics: UInt64
    /// Clients that wait for a place now.
    public var queued: Int
    /// Clients closed at once, ever: over a limit without a queue, or in maintenance.
    public var refused: UInt64
    /// Clients closed at once, ever, since their address had its share.
    public var refusedPerClient: UInt64
    /// Clients whose time in the queue was over, ever.
    public var queueTimeouts: UInt64
    /// Clients for whom the queue had no place, ever.
    public var queueOverflows: UInt64
    /// Clients closed at once, ever, since the lists do not let their addresses in.
    public var denied: UInt64 = 0
    /// Clients closed at once, ever, since they came too early for the rate limit.
    public var refusedByRate: UInt64 = 0
    /// Clients that wait now until they are in time for it.
    public var delayed = 0
    /// Clients that had to, ever.
    public var delays: UInt64 = 0
    /// Times that a session was held back to its bandwidth, ever.
    public var bandwidthHolds: UInt64 = 0
    /// Further tries for clients whose connect had failed, ever.
    public var retried: UInt64 = 0
    /// Clients closed, ever, since what was to be read before a backend is chosen was not what it must be.
    public var prereadFailures: UInt64 = 0
    /// Clients closed, ever, since it did not come in time.
    public var prereadTimeouts: UInt64 = 0
    /// Clients, ever, that routes have led to other services: these count them.
    public var routed: UInt64 = 0
    /// Those of them that drain, on backends that are still configured or not.
    public var draining = 0
    public var ended = SessionEnds()
    /// All 0 for a TCP service.
    public var datagrams = DatagramStatistics()
    /// In the order of the configuration.
    public var backends: [BackendStatistics]
}

/// What a backend has done since it was created, summed over all rings at one moment.
public struct BackendStatistics: Sendable, Equatable {
    public var configuration: BackendConfiguration
    /// Whether it can get sessions: checks call it up, and it is not ejected.
    public var isUp: Bool
    public var sentBytes: UInt64
    public var receivedBytes: UInt64
    /// Failed connects and resets by the backend.
    public var errors: UInt64
    /// Sessions established, ever.
    public var connections: UInt64
    /// Sessions now, those still connecting included.
    public var active: Int
    public var checkSuccesses: UInt64
    public var checkFailures: UInt64
    /// Whether failures of its traffic have taken it out.
    public var isEjected: Bool
    /// Times that they have, ever.
    public var ejections: UInt64
    /// Nil before the first.
    public var lastFailure: TrafficFailure?
    /// Further tries that came here, ever, since connects to another backend had failed.
    public var retried: UInt64 = 0
    /// What counts of its weight since it came up, in percent; 100 unless it ramps.
    public var slowStartPercent = 100
    /// Sessions that are still to end of those that drain.
    public var draining = 0
    public var ended = SessionEnds()
    /// Nil before the first.
    public var lastCheck: CheckResult?
}

extension BackendStatistics {
    /// Of a backend that is not there: its name does not resolve.
    public static func none(of configuration: BackendConfiguration) -> BackendStatistics {
        BackendStatistics(
            configuration: configuration, isUp: false, sentBytes: 0, receivedBytes: 0, errors: 0, connections: 0,
            active: 0, checkSuccesses: 0, checkFailures: 0, isEjected: false, ejections: 0, lastFailure: nil
        )
    }

    /// Of a backend that stands for several: up as long as one of them is, the last check that of any, as far in its slow
    /// start as the one that is least far.
    public static func sum(of parts: [BackendStatistics], as configuration: BackendConfiguration) -> BackendStatistics {
        var sum = none(of: configuration)
        for part in parts {
            sum.isUp = sum.isUp || part.isUp
            sum.sentBytes += part.sentBytes
            sum.receivedBytes += part.receivedBytes
            sum.errors += part.errors
            sum.connections += part.connections
            sum.active += part.active
            sum.checkSuccesses += part.checkSuccesses
            sum.checkFailures += part.checkFailures
            sum.ejections += part.ejections
            sum.retried += part.retried
            sum.lastFailure = part.lastFailure ?? sum.lastFailure
            sum.draining += part.draining
            sum.ended.add(part.ended)
            if let check = part.lastCheck, check.endedAtMilliseconds >= sum.lastCheck?.endedAtMilliseconds ?? 0 {
                sum.lastCheck = check
            }
        }
        sum.slowStartPercent = parts.map(\.slowStartPercent).min() ?? 100
        sum.isEjected = !parts.isEmpty && parts.allSatisfy(\.isEjected)
        return sum
    }
}

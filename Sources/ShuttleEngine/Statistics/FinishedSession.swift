// Owns the form in which sessions that have ended are told: a ring's record with the names that belong to it.
// Leaves to others: gathering them (Engine+Records).

/// A session that has ended, with the names of what it belonged to.
public struct FinishedSession: Sendable, Equatable {
    /// Index of the ring that it was on.
    public var ring: Int
    /// The service that it belonged to in the end: where a route has led its client elsewhere, that one.
    public var service: String
    /// The last backend that was tried; nil where none was.
    public var backend: String?
    /// Where that backend was.
    public var backendAddress: SocketAddress?
    public var record: SessionRecord

    public init(
        ring: Int, service: String, backend: String?, backendAddress: SocketAddress?, record: SessionRecord
    ) {
        self.ring = ring
        self.service = service
        self.backend = backend
        self.backendAddress = backendAddress
        self.record = record
    }
}

/// How long the sessions of a service that have ended took, in nanoseconds, and how many bytes they moved.
public struct SessionDistributions: Sendable, Equatable {
    /// Connects that succeeded.
    public var connect: MagnitudeDistribution
    /// From the connect to the backend's first byte; of UDP from the session's beginning.
    public var firstByte: MagnitudeDistribution
    /// Of sessions that waited for a place or for the rate limit.
    public var wait: MagnitudeDistribution
    public var duration: MagnitudeDistribution
    /// To backends, and to clients.
    public var sent: MagnitudeDistribution
    public var received: MagnitudeDistribution

    public init(
        connect: MagnitudeDistribution = .init(), firstByte: MagnitudeDistribution = .init(),
        wait: MagnitudeDistribution = .init(), duration: MagnitudeDistribution = .init(),
        sent: MagnitudeDistribution = .init(), received: MagnitudeDistribution = .init()
    ) {
        self.connect = connect
        self.firstByte = firstByte
        self.wait = wait
        self.duration = duration
        self.sent = sent
        self.received = received
    }
}

/// The bounds at which distributions are asked for: powers of two by their exponents, ascending.
public struct DistributionBounds: Sendable, Equatable {
    /// Of times in nanoseconds, from 10 to 50.
    public var times: [Int]
    /// Of waits, durations of sessions excluded: those have bounds of their own, which are larger.
    public var durations: [Int]
    /// From 0 to 40.
    public var bytes: [Int]

    public init(times: [Int], durations: [Int], bytes: [Int]) {
        self.times = times
        self.durations = durations
        self.bytes = bytes
    }
}

/// Where a reader of the sessions that end stands, on every ring.
public struct FinishedSessionCursor: Sendable, Equatable {
    var positions: [UInt64]
    /// Of the sessions that are to be logged, how many ended before.
    var logged: [UInt64]
    /// The ring that is looked at first by the next call, so that one with much traffic does not keep others waiting.
    var nextRing = 0
}

/// Sessions to be logged that have ended since a reader looked.
public struct FinishedSessions: Sendable, Equatable {
    /// Of each ring in the order in which they ended.
    public var sessions: [FinishedSession]
    /// Those that were overwritten before they were read.
    public var lost: UInt64 = 0
}

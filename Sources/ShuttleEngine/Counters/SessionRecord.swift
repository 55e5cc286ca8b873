// Owns what is kept of a session that has ended: the form in which its worker leaves it and readers take it.
// Leaves to others: where records are kept (SessionRecordBuffer), what the numbers of services and backends stand for
// (Snapshot/RecordNames), when one is made (Worker+Record).

/// A session that has ended. Trivial: as many words of memory as it has fields, no pointers.
///
/// Times are of the rings' clock (CLOCK_MONOTONIC), read once for each turn of the worker: what happens within one turn
/// takes no time.
public struct SessionRecord: Sendable, Equatable {
    /// Nanoseconds of the rings' clock when the client was accepted.
    public var startedAt: UInt64 = 0
    /// Nanoseconds until it was over.
    public var duration: UInt64 = 0
    var storedConnectDuration = SessionRecord.none
    var storedFirstByteDuration = SessionRecord.none
    /// Nanoseconds that it waited for a place or for a rate limit; 0 where it did not.
    public var waitDuration: UInt64 = 0
    /// Bytes sent on to the backend.
    public var sentBytes: UInt64 = 0
    /// Bytes sent on to the client.
    public var receivedBytes: UInt64 = 0
    var storedClient = RawAddress()
    /// As `RecordNames` knows it.
    public var service: UInt32 = 0
    /// The last backend that was tried, as `RecordNames` knows it; 0 for none.
    public var backend: UInt32 = 0
    var marks = Marks()
    var storedDownstream: UInt64 = 0
    var storedUpstream: UInt64 = 0

    /// Of a time that never came.
    static let none = UInt64.max

    /// What fits into one word.
    struct Marks: Equatable {
        var reason: UInt8 = 0
        var retries: UInt8 = 0
        var flags: UInt8 = 0
        /// Of those of its ring that are to be logged, which one it is, from 1 on and in so many bits; 0 for the others.
        var loggedNumber: UInt64 = 0

        static let loggedNumberMask: UInt64 = 1 << 40 - 1
        static let logged: UInt8 = 1 << 0
        static let datagrams: UInt8 = 1 << 1
        static let hasTCP: UInt8 = 1 << 2
    }

    init() {}
}

extension SessionRecord {
    /// Why it ended.
    public var reason: TerminationReason { TerminationReason(rawValue: marks.reason) ?? .cut }
    /// Further backends tried after a connect that failed.
    public var retries: Int { Int(marks.retries) }
    /// Nanoseconds from the beginning of the connect that succeeded to its success; nil where none did, and of UDP.
    public var connectDuration: UInt64? { storedConnectDuration == Self.none ? nil : storedConnectDuration }
    /// Nanoseconds from when the backend was connected to its first byte; nil where it said nothing.
    public var firstByteDuration: UInt64? { storedFirstByteDuration == Self.none ? nil : storedFirstByteDuration }
    /// Where the client comes from, as a PROXY header has told where one is accepted; nil where that is not known, as on a
    /// unix socket.
    public var client: SocketAddress? { storedClient.address }
    /// It is one of those that the service's access log is to have.
    public var isLogged: Bool { marks.flags & Marks.logged != 0 }
    /// It was a session of datagrams.
    public var isOfDatagrams: Bool { marks.flags & Marks.datagrams != 0 }
    /// What the kernel said of the client's connection; nil where it was not asked (only logged sessions are), or there is
    /// nothing to be said.
    public var downstreamTCP: TCPInformation? { tcpInformation(storedDownstream) }
    /// The same of the backend's.
    public var upstreamTCP: TCPInformation? { tcpInformation(storedUpstream) }

    private func tcpInformation(_ stored: UInt64) -> TCPInformation? {
        marks.flags & Marks.hasTCP != 0 && stored != 0 ? TCPInformation(word: stored) : nil
    }
}

// MARK: As words

extension SessionRecord {
    /// The words of memory that a record is kept in.
    enum Word: Int, CaseIterable {
        case startedAt
        case duration
        case connectDuration
        case firstByteDuration
        case waitDuration
        case sentBytes
        case receivedBytes
        case client1
        case client2
        case client3
        case client4
        /// The service's number, and in the upper half the backend's.
        case parties
        case marks
        /// These two are left as they are unless the marks say `hasTCP`.
        case downstreamTCP
        case upstreamTCP
    }

    @inline(__always)
    static func parties(service: UInt32, backend: UInt32) -> UInt64 { UInt64(service) | UInt64(backend) << 32 }

    init(_ load: (Word) -> UInt64) {
        startedAt = load(.startedAt)
        duration = load(.duration)
        storedConnectDuration = load(.connectDuration)
        storedFirstByteDuration = load(.firstByteDuration)
        waitDuration = load(.waitDuration)
        sentBytes = load(.sentBytes)
        receivedBytes = load(.receivedBytes)
        storedClient = RawAddress(load(.client1), load(.client2), load(.client3), load(.client4))
        service = UInt32(truncatingIfNeeded: load(.parties))
        backend = UInt32(truncatingIfNeeded: load(.parties) >> 32)
        marks = Marks(word: load(.marks))
        guard marks.flags & Marks.hasTCP != 0 else { return }
        storedDownstream = load(.downstreamTCP)
        storedUpstream = load(.upstreamTCP)
    }
}

extension SessionRecord.Marks {
    @inline(__always)
    var word: UInt64 { UInt64(reason) | UInt64(retries) << 8 | UInt64(flags) << 16 | loggedNumber << 24 }

    init(word: UInt64) {
        self.init(
            reason: UInt8(truncatingIfNeeded: word), retries: UInt8(truncatingIfNeeded: word >> 8),
            flags: UInt8(truncatingIfNeeded: word >> 16), loggedNumber: word >> 24)
    }
}

// Owns the meaning of the 64 bits that travel with every operation and come back with its completion.

/// Which of a session's two sockets an operation is about.
enum Side: UInt8 {
    /// The client's.
    case downstream = 0
    /// The backend's.
    case upstream = 1

    @inline(__always)
    var other: Side { self == .downstream ? .upstream : .downstream }
}

/// What a ring was asked to do.
enum OperationKind: UInt8 {
    case accept = 1
    case connect
    case receiveDownstream
    case receiveUpstream
    case sendDownstream
    case sendUpstream
    /// A cancellation; its own outcome carries no news, the cancelled operation completes by itself.
    case cancel
    /// The source of one direction can be read or its sink written.
    case readinessDownstream
    case readinessUpstream
    /// The close of a socket; completes only when it failed, which would be our bug.
    case close
    /// A wait has lasted until its deadline.
    case deadline
    /// Somebody outside the ring's thread wants it to look at its mailbox.
    case wake
    /// Of a socket that UDP clients write to; the slot is the listener's place.
    case receiveFromClients
    /// Of a datagram session's socket; the slot is the session's, in the table of those.
    case receiveFromBackend

    @inline(__always)
    static func receive(_ side: Side) -> OperationKind { side == .downstream ? .receiveDownstream : .receiveUpstream }
    @inline(__always)
    static func readiness(_ side: Side) -> OperationKind {
        side == .downstream ? .readinessDownstream : .readinessUpstream
    }
    @inline(__always)
    static func send(_ side: Side) -> OperationKind { side == .downstream ? .sendDownstream : .sendUpstream }
}

/// Operation, slot and generation in one word.
///
/// Never a pointer: a completion that arrives after its slot was given to somebody else carries an older generation,
/// is counted and dropped.
struct OperationTag: Equatable, Hashable {
    let rawValue: UInt64

    /// Slots that fit into a tag.
    static let slotsMax = 1 << 24

    @inline(__always)
    init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// `slot` is a session's or a listener's index below `slotsMax`.
    @inline(__always)
    init(_ kind: OperationKind, slot: UInt32, generation: UInt32) {
        assert(slot < UInt32(OperationTag.slotsMax))
        rawValue = UInt64(kind.rawValue) << 56 | UInt64(slot) << 32 | UInt64(generation)
    }

    @inline(__always)
    var kind: OperationKind? { OperationKind(rawValue: UInt8(truncatingIfNeeded: rawValue >> 56)) }
    @inline(__always)
    var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) & 0x00ff_ffff }
    @inline(__always)
    var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

    static let wake = OperationTag(.wake, slot: 0, generation: 0)
    static let deadline = OperationTag(.deadline, slot: 0, generation: 0)
    static let close = OperationTag(.close, slot: 0, generation: 0)
    static let cancel = OperationTag(.cancel, slot: 0, generation: 0)
}

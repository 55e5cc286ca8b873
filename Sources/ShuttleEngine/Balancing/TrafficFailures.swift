// Owns what sessions tell of their backends' failures: a count and the last reason, written by every ring.
// Leaves to others: what they lead to (PassiveEjection).

import Synchronization

/// What a session met that speaks against its backend.
public enum TrafficFailure: UInt8, Sendable, CaseIterable {
    case refused = 1
    case timedOut
    case unreachable
    /// The backend reset the session before it had said anything, or taken much.
    case reset
    /// A connect failed for a reason that is none of these, and not our own.
    case other
    /// There is no unix socket at the path or of the name.
    case missing
    /// This process may not connect there.
    case denied

    public var reason: String {
        switch self {
        case .refused: "connection refused"
        case .timedOut: "connect timed out"
        case .unreachable: "unreachable"
        case .reset: "reset before the first byte"
        case .other: "connect failed"
        case .missing: "no socket at this address"
        case .denied: "permission denied"
        }
    }
}

extension TrafficFailure {
    /// Who has acknowledged so much has worked: no socket holds it unread. Linux lets a receive buffer grow to 6 MiB
    /// unless it is told otherwise, and only as its program reads (tcp_rmem of tcp(7)).
    static let servedBytes: UInt64 = 8 << 20

    /// What a reset before the backend's first byte is: nothing where it has acknowledged `servedBytes`, as one does that
    /// only takes uploads and is done.
    static func ofReset(acknowledgedBytes: UInt64) -> TrafficFailure? {
        acknowledgedBytes < servedBytes ? .reset : nil
    }
}

/// Failures of one backend, ever. Nothing is written here while all goes well.
struct TrafficFailures: ~Copyable {
    private let counted = Atomic<UInt64>(0)
    private let lastReason = Atomic<UInt8>(0)

    /// Who reads the count and sees this failure may see the reason of a later one.
    func count(_ failure: TrafficFailure) {
        lastReason.store(failure.rawValue, ordering: .relaxed)
        counted.wrappingAdd(1, ordering: .releasing)
    }

    var count: UInt64 { counted.load(ordering: .acquiring) }
    var last: TrafficFailure? { TrafficFailure(rawValue: lastReason.load(ordering: .relaxed)) }
}

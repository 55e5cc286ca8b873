// Owns what sessions tell of their backends' failures: a count and the last reason, written by every ring.
// Leaves to others: what they lead to (PassiveEjection).

import Synchronization

/// What a session met that speaks against its backend.
public enum TrafficFailure: UInt8, Sendable, CaseIterable {
    case refused = 1
    case timedOut
    case unreachable
    /// The backend reset the session before it had said anything.
    case reset
    /// A connect failed for a reason that is none of these, and not our own.
    case other

    public var reason: String {
        switch self {
        case .refused: "connection refused"
        case .timedOut: "connect timed out"
        case .unreachable: "unreachable"
        case .reset: "reset before the first byte"
        case .other: "connect failed"
        }
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

// Owns what a session is said to be doing to those who ask. Leaves to others: its life (Session), asking (Worker+Inspect).

/// Where a session is in its life. The raw values are their names on the wire.
public enum SessionState: String, Sendable, CaseIterable {
    /// Its client's first bytes are awaited: a PROXY header, or a ClientHello that routes go by.
    case preread
    /// It has come too early for its service's rate limit.
    case delayed
    /// It waits for a place.
    case queued
    /// It has a backend that has not answered yet.
    case connecting
    /// Both directions are open.
    case relaying
    /// One direction has ended, the other one goes on.
    case halfClosed = "half-closed"
    /// It is coming to its end.
    case closing
}

extension Session {
    var state: SessionState {
        switch phase {
        case .closing:
            return .closing
        case .connecting:
            if resetBy != nil { return .closing }
            if isQueued { return .queued }
            if isDelayed { return .delayed }
            return isPrereading ? .preread : .connecting
        case .established:
            if resetBy != nil || isEnding { return .closing }
            switch (flow(from: .downstream).isSourceEnded, flow(from: .upstream).isSourceEnded) {
            case (false, false): return .relaying
            case (true, true): return .closing
            default: return .halfClosed
            }
        }
    }
}

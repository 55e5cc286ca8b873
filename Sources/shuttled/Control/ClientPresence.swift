// Owns whether whoever waits long for an answer is still there to take it, and telling those who prepare it.
// Leaves to others: noticing that a client leaves (Admin/ConnectionHandler).

import Synchronization

/// The presence of one client while its answer takes its time. It ends once, for the first of several reasons.
final class ClientPresence: Sendable {
    enum End: Equatable, Sendable {
        /// It has ended its side of the connection, or reset it.
        case left
        /// It has not taken anything for too long.
        case stalled
        /// The server is asked to stop.
        case stopping
        /// What it was let in by lets nobody in any more.
        case revoked
    }

    private struct State {
        var end: End?
        var onEnd: (@Sendable (End) -> Void)?
    }
    private let state = Mutex(State())

    /// Why it has ended; nil as long as it lasts.
    var hasEnded: End? { state.withLock { $0.end } }

    func end(_ reason: End) {
        let body = state.withLock { state -> (@Sendable (End) -> Void)? in
            guard state.end == nil else {
                return nil
            }
            state.end = reason
            return state.onEnd.take()
        }
        body?(reason)
    }

    /// Calls `body` when it ends, at once where it has. There is one at a time.
    func onEnd(_ body: @escaping @Sendable (End) -> Void) {
        let reason = state.withLock { state -> End? in
            if state.end == nil {
                state.onEnd = body
            }
            return state.end
        }
        if let reason {
            body(reason)
        }
    }
}

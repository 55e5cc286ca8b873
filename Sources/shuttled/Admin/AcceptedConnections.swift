// Owns handing accepted connections from the listening channel to the task that serves them.
// Leaves to others: accepting and serving (AdminServer).

import Synchronization

/// A queue between a callback and one task.
///
/// Unlike an asynchronous sequence it does not end when its reader is cancelled: what has been accepted is always
/// handed out, because a connection that nobody serves would never be closed.
final class AcceptedConnections<Connection: Sendable>: Sendable {
    private struct State {
        var waiting: [Connection] = []
        var reader: CheckedContinuation<Connection?, Never>?
        var isFinished = false
    }
    private let state = Mutex(State())

    func push(_ connection: Connection) {
        let reader = state.withLock { state in
            defer { state.reader = nil }
            if state.reader == nil {
                state.waiting.append(connection)
            }
            return state.reader
        }
        reader?.resume(returning: connection)
    }

    /// Nothing more will be pushed.
    func finish() {
        let reader = state.withLock { state in
            state.isFinished = true
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: nil)
    }

    /// The next connection, in the order of their coming; `nil` after the last one.
    func next() async -> Connection? {
        await withCheckedContinuation { continuation in
            let (isReady, connection) = state.withLock { state -> (Bool, Connection?) in
                if !state.waiting.isEmpty {
                    return (true, state.waiting.removeFirst())
                }
                if state.isFinished {
                    return (true, nil)
                }
                precondition(state.reader == nil, "one task reads")
                state.reader = continuation
                return (false, nil)
            }
            if isReady {
                continuation.resume(returning: connection)
            }
        }
    }
}

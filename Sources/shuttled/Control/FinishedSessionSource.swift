// Owns how the sessions that end are followed from outside of the control plane, and the counts of those that did so.
// Leaves to others: remembering them (the engine), what is made of them (AccessLog).

import ShuttleEngine
import Synchronization

/// Where sessions that have ended come from.
protocol FinishedSessionSource: Sendable {
    /// Where a reader begins that wants every session to be logged that ends from now on.
    func sessionCursor() async -> FinishedSessionCursor
    /// Those that have ended since, at most `limit`, with what tells when they did.
    func takeLoggedSessions(since cursor: FinishedSessionCursor, limit: Int) async -> TakenSessions
}

struct TakenSessions: Sendable {
    var finished: FinishedSessions
    /// Where the next call begins.
    var cursor: FinishedSessionCursor
    var clock: SessionClock
}

extension ControlPlane: FinishedSessionSource {
    func sessionCursor() -> FinishedSessionCursor { dataPlane.sessionCursor() }

    func takeLoggedSessions(since cursor: FinishedSessionCursor, limit: Int) -> TakenSessions {
        var cursor = cursor
        let finished = dataPlane.takeLoggedSessions(since: &cursor, limit: limit)
        return TakenSessions(finished: finished, cursor: cursor, clock: .now())
    }
}

/// What became of the lines of the access log.
final class AccessLogCounts: Sendable {
    struct Values: Sendable, Equatable {
        /// Lines that were written.
        var written: UInt64 = 0
        /// Sessions to be logged that a ring had forgotten before they were read, for the place of the log was too slow.
        var overrun: UInt64 = 0
        /// Lines that the place of the log did not take.
        var failed: UInt64 = 0
    }

    private let state = Mutex(Values())

    var values: Values { state.withLock { $0 } }

    func add(written: Int = 0, overrun: UInt64 = 0, failed: Int = 0) {
        state.withLock {
            $0.written &+= UInt64(written)
            $0.overrun &+= overrun
            $0.failed &+= UInt64(failed)
        }
    }
}

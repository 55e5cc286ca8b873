// Owns what is asked of the sessions that have ended last, and what is told of them. Leaves to others: remembering them (the
// engine), reading the query and printing (Admin).

import Glibc
import ShuttleEngine

/// Which of the sessions that have ended are asked for.
struct RecentSessionsQuery: Sendable, Equatable {
    var service: String?
    var backend: String?
    /// Any of these; empty for all.
    var reasons: [TerminationReason] = []
    var limit: Int

    func isWanted(_ session: FinishedSession) -> Bool {
        (service == nil || session.service == service) && (backend == nil || session.backend == backend)
            && (reasons.isEmpty || reasons.contains(session.record.reason))
    }
}

/// The sessions that were found, with what tells when they were.
struct RecentSessions: Sendable {
    /// The newest first.
    var sessions: [FinishedSession]
    var clock: SessionClock
    /// Sessions that each ring remembers.
    var rememberedPerRing: Int
}

/// How far the day's clock is ahead of the rings'.
struct SessionClock: Sendable, Equatable {
    /// Whole milliseconds, cut off: so that a session's times read the same each time they are told.
    var aheadMilliseconds: Int

    static func now() -> SessionClock {
        func nanoseconds(_ clock: clockid_t) -> Int {
            var time = timespec()
            clock_gettime(clock, &time)
            return Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_nsec)
        }
        return SessionClock(aheadMilliseconds: (nanoseconds(CLOCK_REALTIME) - nanoseconds(CLOCK_MONOTONIC)) / 1_000_000)
    }

    /// When it was on the rings' clock, in milliseconds since 1970. Where the day's clock was set since, as if it had been
    /// right then.
    func wallMilliseconds(at nanoseconds: UInt64) -> Int { aheadMilliseconds + Int(nanoseconds / 1_000_000) }
}

extension ControlPlane {
    /// Nil where none are remembered.
    func recentSessions(_ query: RecentSessionsQuery) -> RecentSessions? {
        guard dataPlane.recentSessionsPerRing > 0 else { return nil }
        let sessions = dataPlane.recentSessions(limit: query.limit) { query.isWanted($0) }
        return RecentSessions(
            sessions: sessions, clock: .now(), rememberedPerRing: dataPlane.recentSessionsPerRing)
    }
}

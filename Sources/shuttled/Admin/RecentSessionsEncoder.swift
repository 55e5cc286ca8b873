// Owns the printed form of an answer with sessions that have ended. Leaves to others: which are printed
// (RecentSessionsResource), the form of each (FinishedSessionFields).

import ShuttleEngine

enum RecentSessionsEncoder {
    static func bytes(of recent: RecentSessions) -> [UInt8] {
        var writer = JSONWriter(capacity: 64 + recent.sessions.count * 720)
        writer.object { writer in
            writer.member("remembered_per_ring", recent.rememberedPerRing)
            writer.list("sessions") { writer in
                for session in recent.sessions { FinishedSessionFields.write(session, recent.clock, to: &writer) }
            }
        }
        return writer.finish(trailingNewline: true)
    }
}

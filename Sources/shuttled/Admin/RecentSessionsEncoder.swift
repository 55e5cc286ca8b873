// Owns the printed form of sessions that have ended. Leaves to others: which are printed (RecentSessionsResource).

import ShuttleEngine

enum RecentSessionsEncoder {
    static func bytes(of recent: RecentSessions) -> [UInt8] {
        var writer = JSONWriter(capacity: 64 + recent.sessions.count * 640)
        writer.object { writer in
            writer.member("remembered_per_ring", recent.rememberedPerRing)
            writer.list("sessions") { writer in
                for session in recent.sessions { write(session, recent.clock, to: &writer) }
            }
        }
        return writer.finish(trailingNewline: true)
    }

    private static func write(_ session: FinishedSession, _ clock: SessionClock, to writer: inout JSONWriter) {
        let record = session.record
        writer.object { writer in
            writer.member("started", Timestamp.text(milliseconds: clock.wallMilliseconds(at: record.startedAt)))
            writer.member("ended", Timestamp.text(milliseconds: clock.wallMilliseconds(at: record.endedAt)))
            writer.member("service", session.service)
            member("backend", session.backend, of: &writer)
            member("backend_address", session.backendAddress?.description, of: &writer)
            member("client", record.client?.description, of: &writer)
            writer.member("network", record.isOfDatagrams ? "udp" : "tcp")
            writer.member("ring", session.ring)
            writer.member("reason", record.reason.name)
            writer.member("retries", record.retries)
            writer.member("sent", record.sentBytes)
            writer.member("received", record.receivedBytes)
            writer.member("duration_microseconds", microseconds(record.duration))
            member("connect_microseconds", record.connectDuration.map(microseconds), of: &writer)
            member("first_byte_microseconds", record.firstByteDuration.map(microseconds), of: &writer)
            writer.member("wait_microseconds", microseconds(record.waitDuration))
            write("client_tcp", record.downstreamTCP, to: &writer)
            write("backend_tcp", record.upstreamTCP, to: &writer)
        }
    }

    private static func microseconds(_ nanoseconds: UInt64) -> UInt64 { nanoseconds / 1000 }

    private static func write(_ name: String, _ information: TCPInformation?, to writer: inout JSONWriter) {
        guard let information else { return }
        writer.object(name) { writer in
            writer.member("rtt_microseconds", information.roundTripMicroseconds)
            writer.member("retransmits", information.retransmits)
        }
    }

    private static func member(_ name: String, _ text: String?, of writer: inout JSONWriter) {
        writer.name(name)
        if let text { writer.value(text) } else { writer.null() }
    }

    private static func member(_ name: String, _ number: UInt64?, of writer: inout JSONWriter) {
        writer.name(name)
        if let number { writer.value(number) } else { writer.null() }
    }
}

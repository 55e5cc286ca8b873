// Owns what is told of a session that has ended, field by field: the same in the access log and in /v1/recent.
// Leaves to others: what is known of one (the engine's FinishedSession), which are told of.

import ShuttleEngine

enum FinishedSessionField: String, CaseIterable, Sendable {
    case started
    case ended
    case service
    case backend
    case backendAddress = "backend_address"
    case client
    case network
    case ring
    case reason
    case retries
    case sent
    case received
    case durationMicroseconds = "duration_microseconds"
    case connectMicroseconds = "connect_microseconds"
    case firstByteMicroseconds = "first_byte_microseconds"
    case waitMicroseconds = "wait_microseconds"
    case clientRoundTripMicroseconds = "client_rtt_microseconds"
    case clientRetransmits = "client_retransmits"
    case backendRoundTripMicroseconds = "backend_rtt_microseconds"
    case backendRetransmits = "backend_retransmits"
}

enum FinishedSessionFields {
    enum Value: Equatable {
        case text(String)
        case number(UInt64)
        /// There is nothing to be said, or nobody asked.
        case none

        init(_ text: String?) { self = text.map { .text($0) } ?? .none }
        init(_ number: UInt64?) { self = number.map { .number($0) } ?? .none }
    }

    /// Every field, in the order of `FinishedSessionField`.
    static func forEach(
        of session: FinishedSession, _ clock: SessionClock, _ body: (FinishedSessionField, Value) -> Void
    ) {
        for field in FinishedSessionField.allCases {
            body(field, value(of: field, session, clock))
        }
    }

    static func value(of field: FinishedSessionField, _ session: FinishedSession, _ clock: SessionClock) -> Value {
        let record = session.record
        return switch field {
        case .started: .text(Timestamp.text(milliseconds: clock.wallMilliseconds(at: record.startedAt)))
        case .ended: .text(Timestamp.text(milliseconds: clock.wallMilliseconds(at: record.endedAt)))
        case .service: .text(session.service)
        case .backend: Value(session.backend)
        case .backendAddress: Value(session.backendAddress?.description)
        case .client: Value(record.client?.description)
        case .network: .text(record.isOfDatagrams ? "udp" : "tcp")
        case .ring: .number(UInt64(session.ring))
        case .reason: .text(record.reason.name)
        case .retries: .number(UInt64(record.retries))
        case .sent: .number(record.sentBytes)
        case .received: .number(record.receivedBytes)
        case .durationMicroseconds: .number(record.duration / 1000)
        case .connectMicroseconds: Value(record.connectDuration.map { $0 / 1000 })
        case .firstByteMicroseconds: Value(record.firstByteDuration.map { $0 / 1000 })
        case .waitMicroseconds: .number(record.waitDuration / 1000)
        case .clientRoundTripMicroseconds: Value(record.downstreamTCP.map { UInt64($0.roundTripMicroseconds) })
        case .clientRetransmits: Value(record.downstreamTCP.map { UInt64($0.retransmits) })
        case .backendRoundTripMicroseconds: Value(record.upstreamTCP.map { UInt64($0.roundTripMicroseconds) })
        case .backendRetransmits: Value(record.upstreamTCP.map { UInt64($0.retransmits) })
        }
    }

    /// As an object with all of the fields; null where there is nothing to be said.
    static func write(_ session: FinishedSession, _ clock: SessionClock, to writer: inout JSONWriter) {
        writer.object { writer in
            forEach(of: session, clock) { field, value in
                writer.name(field.rawValue)
                switch value {
                case .text(let text): writer.value(text)
                case .number(let number): writer.value(number)
                case .none: writer.null()
                }
            }
        }
    }
}

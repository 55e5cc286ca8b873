// Owns sending events to one client for as long as it is there: what it asked for, signs of life, and the end.
// Leaves to others: what was asked for (EventsResource), keeping events (EventLog), a client that takes nothing
// (ConnectionState).

import HummingbirdCore
import Logging
import NIOCore

/// A stream to one client. It keeps only how far it is; what its client is behind with is in the log of events, or is gone.
struct EventStream: Sendable {
    /// Sent at a time: so many are printed at most before the client has to take some.
    static let batchMax = 32

    let log: EventLog
    let loop: any EventLoop
    let kinds: Set<EventKind>
    let position: EventLog.Position
    /// Whether it goes on when everything that is kept has been sent.
    let isFollowing: Bool
    let keepAlive: TimeAmount
    let presence: ClientPresence
    let peer: String
    let logger: Logger

    func write(to writer: inout any ResponseBodyWriter) async throws {
        let (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let follower = log.follow { signal.yield() }
        defer { log.unfollow(follower) }
        presence.onEnd { _ in signal.yield() }
        let pause = TimeAmount.nanoseconds(max(1, keepAlive.nanoseconds / 4))
        let clock = loop.scheduleRepeatedTask(initialDelay: pause, delay: pause) { _ in signal.yield() }
        defer { clock.cancel() }
        do {
            try await send(to: &writer, signals)
        } catch {
            guard presence.hasEnded == .stalled else {
                logger.debug("event stream broken", metadata: ["peer": "\(peer)", "error": "\(error)"])
                throw error
            }
            logger.warning(
                "event stream cut off: its client takes nothing", metadata: ["peer": "\(peer)"]
            )
            throw error
        }
    }

    private func send(to writer: inout any ResponseBodyWriter, _ signals: AsyncStream<Void>) async throws {
        var after = position.after
        var bytes = EventEncoder.preamble
        if let gap = position.gap {
            bytes += EventEncoder.missed(gap, id: log.id(after))
        }
        try await writer.write(ByteBuffer(bytes: bytes))
        var lastWrite = NIODeadline.now()
        var iterator = signals.makeAsyncIterator()
        while presence.hasEnded == nil || presence.hasEnded == .stopping {
            guard let events = log.events(after: after, limit: EventStream.batchMax) else {
                logger.warning(
                    "event stream cut off: its client is too far behind",
                    metadata: ["peer": "\(peer)", "last_event": "\(log.id(after))"]
                )
                return
            }
            let wanted = events.filter { kinds.contains($0.kind) }
            if !wanted.isEmpty {
                let bytes = wanted.flatMap { EventEncoder.bytes(of: $0, id: log.id($0.number)) }
                try await writer.write(ByteBuffer(bytes: bytes))
                lastWrite = .now()
            }
            if let last = events.last {
                after = last.number
                continue
            }
            // Everything has been sent, the process's end included where it ends.
            guard presence.hasEnded == nil, isFollowing else {
                return
            }
            if NIODeadline.now() - lastWrite >= keepAlive {
                try await writer.write(ByteBuffer(bytes: EventEncoder.keepAlive(id: log.id(after))))
                lastWrite = .now()
            }
            guard await iterator.next() != nil else {
                return
            }
        }
        if presence.hasEnded == .revoked {
            logger.info("event stream ended: its token is not valid any more", metadata: ["peer": "\(peer)"])
        }
    }
}

// Owns what must hold of times, asked whenever nothing can happen any more: who must have been ended, who must have
// keepalive.

@testable import ShuttleEngine

extension Simulation {
    /// A session that lives for long gets the kernel's probes before the first one is due, and every session the limit
    /// of unacknowledged bytes.
    func checkKeepalive(
        _ session: SimulatedSession,
        _ client: SimulatedConnection,
        _ upstream: SimulatedConnection
    ) {
        guard let since = session.establishedAt, !session.isClosing, client.toldOfResetAt == nil,
            upstream.toldOfResetAt == nil
        else { return }
        let limits = network.ledger.idleLimits(session)
        let isEnding = limits.closesAtFirstEnd && (client.wasEndRead || upstream.wasEndRead)
        // Where the ring is told of neither: it would say so.
        for connection in [client, upstream] where !connection.isUnix {
            if connection.userTimeout != limits.userTimeout {
                network.violate(
                    .misuse,
                    "connection \(connection.key) has user timeout \(connection.userTimeout), not "
                        + "\(limits.userTimeout)")
            }
            if limits.keepaliveIdle == 0 {
                if connection.keepalive != nil {
                    network.violate(.misuse, "connection \(connection.key) is probed though it should not be")
                }
                continue
            }
            if let keepalive = connection.keepalive {
                if Int(keepalive.idleSeconds) * 1000 != limits.keepaliveIdle {
                    network.violate(.misuse, "connection \(connection.key) is probed after \(keepalive.idleSeconds) s")
                }
            } else if network.now > since + UInt64(min(30_000, limits.keepaliveIdle / 2)) + 200, !isEnding {
                network.violate(.stuck, "connection \(connection.key) has no keepalive since \(since) ms")
            }
        }
    }

    /// A session in which nothing happened for a timeout, and a quarter of it, must have been ended.
    func checkIdle(_ session: SimulatedSession, _ client: SimulatedConnection, _ upstream: SimulatedConnection) {
        let limits = network.ledger.idleLimits(session)
        let isEnding = limits.closesAtFirstEnd && (client.wasEndRead || upstream.wasEndRead)
        guard client.toldOfResetAt == nil, upstream.toldOfResetAt == nil, !isEnding else { return }
        for (connection, limit) in [(client, limits.client), (upstream, limits.server)] where limit > 0 {
            let last = max(connection.lastRead, connection.lastProgress, session.lastHeld)
            if network.now > last + UInt64(limit + limit / 4 + 1) {
                network.violate(.stuck, "connection \(connection.key) is idle since \(last) ms and lives on")
            }
        }
    }

    /// The first end closes both sides as soon as everything is taken.
    func checkEnding(
        _ session: SimulatedSession,
        _ client: SimulatedConnection,
        _ upstream: SimulatedConnection
    ) {
        guard !client.hasPeerReset, !upstream.hasPeerReset else { return }
        var last: UInt64 = 0
        for (source, sink) in [(client, upstream), (upstream, client)] {
            guard sink.accepted == source.readByProxy, sink.unacknowledged == 0 else { return }
            last = max(last, sink.lastProgress, source.lastRead, source.endReadAt)
        }
        if network.now > last + 200 {
            network.violate(
                .stuck, "connections \(client.key) and \(upstream.key) live on after the first end at \(last) ms")
        }
    }

    /// A session that is old enough, or whose remaining direction rests, must have been ended.
    func checkAge(_ session: SimulatedSession, _ client: SimulatedConnection, _ upstream: SimulatedConnection) {
        let limits = network.ledger.idleLimits(session)
        guard !session.isClosing, client.toldOfResetAt == nil, upstream.toldOfResetAt == nil else { return }
        let lifetime = limits.lifetime + limits.lifetime * limits.lifetimeJitterPercent / 100
        let isEnding = limits.closesAtFirstEnd && (client.wasEndRead || upstream.wasEndRead)
        if limits.lifetime > 0, !isEnding,
            network.now > max(session.knownSince, session.establishedAt ?? 0) + UInt64(lifetime) + 1
        {
            network.violate(.stuck, "the session of connection \(client.key) lives since \(session.knownSince) ms")
        }
        let drains = control.backends.filter { $0.port == upstream.port && $0.countersAtEnd == nil }
        // A record that came after it may be of another service, and one of before may run on.
        if !isEnding, !drains.isEmpty, drains.allSatisfy({ network.now > ($0.drainEnd ?? .max - 200) + 200 }) {
            network.violate(.stuck, "the session of connection \(client.key) outlives the drain of its backend")
        }
        guard limits.halfClose > 0, !isEnding, client.hasProxyFinished != upstream.hasProxyFinished else { return }
        let (finished, sink) = client.hasProxyFinished ? (client, upstream) : (upstream, client)
        let last = max(sink.lastRead, sink.lastProgress, finished.proxyFinishedAt)
        if network.now > last + UInt64(limits.halfClose + limits.halfClose / 4 + 1) {
            network.violate(.stuck, "what remains of connection \(sink.key) rests since \(last) ms and lives on")
        }
    }
}

// Owns which ends of streams and sessions are right: what must have been delivered before, and whose time has come.
// Leaves to others: who belongs to whom, and the bytes (Ledger).

@testable import ShuttleEngine

extension Ledger {
    /// The proxy ends its stream to `sink`, by shutdown or by closing.
    func ends(_ sink: SimulatedConnection, ring: RingCore) {
        guard sink.isEstablished, !sink.isDead, !sink.hasProxyFinished else { return }
        guard let session = sink.session, session.isEstablished, let source = source(of: sink) else {
            // A client for whom there was no backend.
            if sink.accepted > 0 { network.violate(.end, "connection \(sink.key) got bytes without a backend") }
            if sink.isClient && sink.session == nil { turnedAway(sink, ring) }
            return
        }
        if source.hasPeerFinished && sink.accepted == source.sentByPeer { return }
        if isEndedByFirstEnd(session, cutting: source) {
            if sink.accepted != source.readByProxy {
                network.violate(
                    .end,
                    "connection \(sink.key) was closed by its own end with \(sink.accepted) of "
                        + "\(source.readByProxy) bytes received")
            }
            return
        }
        if mayAbort(session) {
            // What the proxy had taken from the other side, or heard of it, must not be hidden behind a clean end.
            if sink.accepted != source.readByProxy {
                network.violate(
                    .end,
                    "connection \(sink.key) ended cleanly with \(sink.accepted) of \(source.readByProxy) bytes received"
                )
            }
            if source.toldOfResetAt != nil {
                network.violate(.end, "connection \(sink.key) ended cleanly though connection \(source.key) was reset")
            }
            return
        }
        network.violate(
            .end,
            "connection \(sink.key) ended cleanly after \(sink.accepted) bytes; connection \(source.key) sent "
                + "\(source.sentByPeer) and \(source.hasPeerReset ? "was reset" : "has \(source.hasPeerFinished ? "" : "not ")finished")"
        )
    }

    func closes(_ sink: SimulatedConnection, reset: Bool, ring: RingCore) {
        guard reset else { return ends(sink, ring: ring) }
        guard sink.isEstablished, !sink.isDead, let session = sink.session, session.isEstablished else { return }
        // A backend that was reached while its session was ending gets nothing.
        if mayAbort(session) || session.upstream?.wasUsed != true { return }
        if let source = source(of: sink), isEndedByFirstEnd(session, cutting: sink) {
            return checkFlushed(sink, of: source)
        }
        guard let source = source(of: sink), source.hasPeerReset else {
            return network.violate(.end, "connection \(sink.key) was reset without a reason")
        }
        checkFlushed(sink, of: source)
    }

    /// What came before the reset or the end of `source` was taken by `sink`, or had its time.
    private func checkFlushed(_ sink: SimulatedConnection, of source: SimulatedConnection) {
        let isDelivered = sink.accepted == source.sentByPeer && sink.acknowledged == sink.accepted
        let hasStalled = network.now >= sink.lastAcknowledgement + Worker<SimulatedRing>.flushStallMilliseconds
        if !isDelivered && !hasStalled {
            network.violate(
                .flush,
                "connection \(sink.key) was reset with \(sink.accepted) bytes sent and \(sink.acknowledged) acknowledged of "
                    + "\(source.sentByPeer) that came before the end or reset of connection \(source.key)"
            )
        }
    }

    /// Whether the worker may end a session that its peers did not end: it was told to, or a side was idle too long.
    func mayAbort(_ session: SimulatedSession) -> Bool {
        if session.isClosing { return session.couldAbort }
        return session.ring.isCut || session.mayBeEndedByOperator || !session.isEstablished || isIdle(session)
            || isTooOld(session)
            || isHalfClosedForTooLong(session) || session.upstream.map { isDraining($0.port) } == true
    }

    /// The service closes both sides at the first end, and the other side than `connection` has ended.
    func isEndedByFirstEnd(_ session: SimulatedSession, cutting connection: SimulatedConnection) -> Bool {
        guard idleLimits(session).closesAtFirstEnd, let other = source(of: connection) else { return false }
        return other.wasEndRead
    }

    private func isTooOld(_ session: SimulatedSession) -> Bool {
        let limit = idleLimits(session).lifetime
        guard limit > 0, let client = session.client else { return false }
        return network.now >= client.acceptedAt + UInt64(limit)
    }

    /// The direction that remains was inactive; it counts from the forwarded end.
    private func isHalfClosedForTooLong(_ session: SimulatedSession) -> Bool {
        let limit = idleLimits(session).halfClose
        guard limit > 0, let client = session.client, let upstream = session.upstream,
            client.hasProxyFinished != upstream.hasProxyFinished
        else { return false }
        let (finished, sink) = client.hasProxyFinished ? (client, upstream) : (upstream, client)
        return network.now >= finished.proxyFinishedAt + UInt64(limit)
            && isIdle(session, sink, sink.isClient ? .downstream : .upstream, limit)
    }

    private func isIdle(_ session: SimulatedSession) -> Bool {
        let limits = idleLimits(session)
        return isIdle(session, session.client, .downstream, limits.client)
            || isIdle(session, session.upstream, .upstream, limits.server)
    }

    /// While output is pending only what the peer acknowledges counts, else what it sends as well.
    private func isIdle(
        _ session: SimulatedSession,
        _ connection: SimulatedConnection?,
        _ side: Side,
        _ limit: Int
    ) -> Bool {
        guard limit > 0, let connection else { return false }
        let ring = session.ring
        let isPending =
            connection.sendOperation != nil || !connection.isUnix && connection.unacknowledged > 0
            || source(of: connection)?.inPipe ?? 0 > 0
            || ring.hasPosted(OperationTag(.send(side), slot: session.slot, generation: session.generation))
        // What has not been handled yet cannot count.
        let countsReads =
            !isPending
            && !ring.hasPosted(OperationTag(.receive(side), slot: session.slot, generation: session.generation))
        let last = max(connection.lastAcknowledgement, countsReads ? connection.lastRead : 0)
        return network.now >= last + UInt64(limit)
    }

    /// Inactivity ended it while its sink kept bytes waiting in a pipe.
    private func noteEndWithBytesInPipe(_ session: SimulatedSession) {
        let inPipe = (session.client?.inPipe ?? 0) + (session.upstream?.inPipe ?? 0)
        let hasReset = session.client?.hasPeerReset != false || session.upstream?.hasPeerReset != false
        guard inPipe > 0, !hasReset else { return }
        if session.ring.isCut {
            network.splicing.cutsWithBytesInPipe += 1
        } else if isIdle(session) {
            network.splicing.idleEnds += 1
        }
    }

    /// Called by the driver after the turn in which a session began to close.
    func beganClosing(_ session: SimulatedSession) {
        session.couldAbort = mayAbort(session)
        noteEndWithBytesInPipe(session)
        session.isClosing = true
    }
}

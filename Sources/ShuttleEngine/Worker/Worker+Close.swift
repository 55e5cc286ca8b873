// Owns the end of a session in three steps: mark and cancel, collect every completion, close and free the slot.
// A socket closed under an armed operation would send nothing until that operation ended.

import Synchronization

extension Worker where Ring: ~Copyable {
    /// Marks the session and takes back what is armed.
    mutating func closeStart(_ index: UInt32, resetDownstream: Bool, resetUpstream: Bool) {
        let slot = sessions[index]
        guard slot.pointee.session.phase != .closing else { return }
        slot.pointee.closesDownstreamByReset = resetDownstream
        slot.pointee.closesUpstreamByReset = resetUpstream
        if slot.pointee.facts.pointee.reason == 0 { slot.pointee.facts.pointee.reason = reasonOfPeers(slot).rawValue }
        slot.pointee.session.closeSubmitted()
        timers.clear(index)
        mustLookAtSends = true
        if slot.pointee.session.waitsWithoutBackend { stopWaiting(index) }
        // Of most that end nothing is armed any more.
        if slot.pointee.session.isQuiet { closeFinish(index) } else { cancel(index, slot) }
    }

    private mutating func cancel(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        let generation = slot.pointee.generation
        let session = slot.pointee.session
        if session.isConnectInFlight { ring.prepareCancel(OperationTag(.connect, slot: index, generation: generation)) }
        cancel(.downstream, of: session, index, generation)
        cancel(.upstream, of: session, index, generation)
        closeJoin(index)
    }

    private mutating func stopWaiting(_ index: UInt32) {
        let session = sessions[index].pointee.session
        if session.isPrereading {
            leavePreread(index)
        } else if session.isDelayed {
            leaveDelay(index)
        } else {
            leaveQueue(index)
        }
    }

    private mutating func cancel(_ side: Side, of session: Session, _ index: UInt32, _ generation: UInt32) {
        if session.flow(from: side).isReceiveArmed {
            ring.prepareCancel(OperationTag(.receive(side), slot: index, generation: generation))
        }
        if session.flow(from: side).isReadinessArmed {
            ring.prepareCancel(OperationTag(.readiness(side), slot: index, generation: generation))
        }
        if session.flow(from: side.other).isSendInFlight {
            ring.prepareCancel(OperationTag(.send(side), slot: index, generation: generation))
        }
    }

    /// Finishes when the last completion has come.
    mutating func closeJoin(_ index: UInt32) {
        if sessions[index].pointee.session.isQuiet { closeFinish(index) }
    }

    private mutating func closeFinish(_ index: UInt32) {
        let slot = sessions[index]
        precondition(slot.pointee.session.isQuiet && slot.pointee.session.phase == .closing)
        if slot.pointee.session.resetBy == .upstream, !slot.pointee.session.flow(from: .upstream).hasReceived {
            blameForReset(slot)
        }
        leaveRecord(index, slot)
        ring.close(slot.pointee.downstream, reset: slot.pointee.closesDownstreamByReset)
        closeUpstream(slot, reset: slot.pointee.closesUpstreamByReset)
        hasFreedDescriptor = true
        slot.pointee.session.withFlow(from: .downstream) { ring.discard(&$0.queue) }
        slot.pointee.session.withFlow(from: .upstream) { ring.discard(&$0.queue) }
        giveBackPipe(slot, from: .downstream)
        giveBackPipe(slot, from: .upstream)
        leaveStarved(index)
        // Cleared when it began to close, and nothing sets it after that.
        assert(!timers.isSet(index))
        leaveService(index)
    }

    /// As long as the socket is there, for it is asked what the backend took.
    private func blameForReset(_ slot: UnsafeMutablePointer<SessionSlot>) {
        // What a unix socket has taken nobody counts.
        let acknowledged = isUnix(.upstream, slot) ? 0 : ring.acknowledgedBytes(slot.pointee.upstream)
        guard let failure = TrafficFailure.ofReset(acknowledgedBytes: acknowledged) else { return }
        blameBackend(of: slot, for: failure)
    }

    /// Ends every session, as the drain deadline or a second signal does.
    mutating func cutSessions() {
        for index in 0..<sessions.touchedCount where sessions[index].pointee.isOccupied {
            note(.cut, index)
            abort(index)
        }
    }

    /// Ends a session whose time has come, by its `side` where that is one's fault, and counts it where its timeouts are
    /// configured.
    mutating func end(_ index: UInt32, _ reason: EndReason, of side: Side = .downstream) {
        note(TerminationReason(reason, isBackends: side == .upstream), index)
        let slot = sessions[index]
        slot.pointee.serviceCounters.pointee.countEnd(reason)
        slot.pointee.backendCounters?.pointee.countEnd(reason)
        abort(index)
    }

    /// Ends a session that did not end by itself.
    mutating func abort(_ index: UInt32) {
        guard case .close(let resetDownstream, let resetUpstream) = sessions[index].pointee.session.abortAction else {
            return
        }
        closeStart(index, resetDownstream: resetDownstream, resetUpstream: resetUpstream)
    }
}

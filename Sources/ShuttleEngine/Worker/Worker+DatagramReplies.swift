// Owns the way of a backend's datagram to the client, and the end of a datagram session: mark and cancel, collect the last
// completion, close and free the slot. Leaves to others: the way to the backend (Worker+Datagrams).

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    func datagramTag(_ slot: UInt32) -> OperationTag {
        OperationTag(.receiveFromBackend, slot: slot, generation: datagrams.table.generation(of: slot))
    }

    /// Datagram sessions' timers stand behind those of connections.
    @inline(__always)
    func datagramTimer(_ slot: UInt32) -> UInt32 { UInt32(truncatingIfNeeded: sessions.capacity) &+ slot }

    /// A completion of the receive from a session's backend.
    @inline(never)
    mutating func backendDatagramCompleted(_ completion: Completion) {
        let slot = completion.tag.slot
        guard datagrams.table.isCurrent(slot, generation: completion.tag.generation) else {
            countStale()
            if let buffer = completion.buffer { ring.giveBackDatagram(buffer) }
            return
        }
        if !completion.hasMore { datagrams[slot].pointee.isReceiveArmed = false }
        if datagrams.table.isLive(slot) {
            if let buffer = completion.buffer {
                if let batch = ring.backendDatagram(in: buffer, count: completion.result) {
                    answer(batch, in: slot)
                } else {
                    datagrams[slot].pointee.datagramCounters.pointee.dropped.addAsOnlyWriter(1)
                }
            } else if completion.result == -ENOBUFS {
                link.pointee.starvations.addAsOnlyWriter(1)
            } else if Self.speaksAgainstBackend(-completion.result) {
                datagramRefused(slot, code: -completion.result)
            }
        }
        if let buffer = completion.buffer { ring.giveBackDatagram(buffer) }
        guard !completion.hasMore else { return }
        // The session may have ended meanwhile, and its slot may be free.
        guard datagrams.table.isCurrent(slot, generation: completion.tag.generation) else { return }
        if datagrams.table.isLive(slot) {
            datagrams[slot].pointee.isReceiveArmed = true
            ring.prepareReceiveFromBackend(datagrams[slot].pointee.upstream, tag: datagramTag(slot))
        } else {
            finishDatagramSession(slot)
        }
    }

    private mutating func answer(_ batch: DatagramBatch, in slot: UInt32) {
        guard batch.count > 1, datagrams[slot].pointee.rules.areLookedAtSingly else { return pass(batch, in: slot) }
        for index in 0..<batch.count where datagrams.table.isLive(slot) { pass(batch[index], in: slot) }
    }

    private mutating func pass(_ batch: DatagramBatch, in slot: UInt32) {
        let session = datagrams[slot]
        let counters = session.pointee.datagramCounters
        // Its address is configured no more: there is no way back.
        guard let listener = datagrams.listener(datagrams.table.listener(of: slot)) else {
            counters.pointee.dropped.addAsOnlyWriter(UInt64(batch.count))
            return endDatagramSession(slot, because: .serviceRemoved)
        }
        datagrams.table.touch(slot, now: now)
        session.pointee.responses &+= UInt32(truncatingIfNeeded: batch.count)
        if session.pointee.facts.firstByteAt == 0 { session.pointee.facts.firstByteAt = turnTime }
        if isWithinBandwidth(batch, slot, from: .upstream),
            case .success(let bytes) = ring.sendToClient(
                listener.pointee.socket, isIPv4: listener.pointee.isIPv4, batch,
                along: datagrams.table.path(of: slot))
        {
            let count = batch.count(ofBytes: Int(bytes))
            session.pointee.facts.receivedBytes &+= UInt64(bytes)
            session.pointee.serviceCounters.pointee.receivedBytes.addAsOnlyWriter(UInt64(bytes))
            session.pointee.backendCounters.pointee.receivedBytes.addAsOnlyWriter(UInt64(bytes))
            counters.pointee.received.addAsOnlyWriter(UInt64(count))
            counters.pointee.dropped.addAsOnlyWriter(UInt64(batch.count &- count))
        } else {
            counters.pointee.dropped.addAsOnlyWriter(UInt64(batch.count))
        }
        let rules = session.pointee.rules
        if rules.isComplete(requests: session.pointee.requests, responses: session.pointee.responses) {
            endDatagramSession(slot, because: .answered)
        }
    }

    // MARK: Failures

    /// The backend's host refuses what is sent to it, or it cannot be reached: the session ends, and the client's next
    /// datagram begins another.
    mutating func datagramRefused(_ slot: UInt32, code: Int32) {
        let session = datagrams[slot]
        session.pointee.datagramCounters.pointee.refused.addAsOnlyWriter(1)
        session.pointee.serviceCounters.pointee.errors.addAsOnlyWriter(1)
        session.pointee.backendCounters.pointee.errors.addAsOnlyWriter(1)
        blame(session.pointee.backend, of: session.pointee.service, for: Self.failure(code))
        endDatagramSession(slot, because: .backendRefused)
    }

    // MARK: The end

    mutating func endDatagramSession(_ slot: UInt32, _ reason: EndReason) {
        datagrams[slot].pointee.serviceCounters.pointee.countEnd(reason)
        datagrams[slot].pointee.backendCounters.pointee.countEnd(reason)
        let isIdle = reason == .idle
        endDatagramSession(slot, because: isIdle ? .idle : TerminationReason(reason, isBackends: false))
    }

    /// The session is over for everybody who counts; its socket closes when its receive has been taken back.
    mutating func endDatagramSession(_ slot: UInt32, because reason: TerminationReason) {
        leaveDatagramRecord(slot, reason)
        let session = datagrams[slot]
        datagrams.table.end(slot)
        timers.clear(datagramTimer(slot))
        session.pointee.backend.pointee.release()
        session.pointee.service.pointee.vacate()
        link.pointee.sessions.addAsOnlyWriter(-1)
        // The last touch of the service's record.
        session.pointee.serviceCounters.pointee.active.addAsOnlyWriter(-1)
        if session.pointee.isReceiveArmed {
            ring.prepareCancel(datagramTag(slot))
        }
    }

    private mutating func finishDatagramSession(_ slot: UInt32) {
        closeDatagramSocket(datagrams[slot].pointee.upstream)
        hasFreedDescriptor = true
        datagrams.table.free(slot)
    }

    // MARK: Descriptors

    /// Takes one of the descriptors that are set aside for datagram sessions, of all rings together; `false` when all are
    /// taken. A session that has ended has its own until its socket is closed, so there are never more than that.
    func takeDatagramDescriptor() -> Bool {
        links[0].pointee.takeDatagramDescriptor(below: view?.pointee.datagramDescriptors ?? 0)
    }

    func returnDatagramDescriptor() { links[0].pointee.returnDatagramDescriptor() }

    /// At once: by the ring's operation it would be closed after the next session had been given its descriptor.
    mutating func closeDatagramSocket(_ socket: Int32) {
        ring.closeNow(socket, reset: false)
        returnDatagramDescriptor()
    }

    // MARK: Time

    /// For the next look at the session: when it ends unless something happens.
    mutating func setDatagramTimer(_ slot: UInt32) {
        let session = datagrams[slot]
        let idleAt = datagrams.table.lastActivity(of: slot) &+ session.pointee.rules.idleMilliseconds
        let next = min(idleAt, min(session.pointee.lifetimeDeadline, drainDeadlineOfDatagrams(slot)))
        timers.set(datagramTimer(slot), deadline: next)
    }

    @inline(never)
    mutating func datagramTimerExpired(_ slot: UInt32) {
        guard datagrams.table.isLive(slot) else { return }
        let session = datagrams[slot]
        let idleAt = datagrams.table.lastActivity(of: slot) &+ session.pointee.rules.idleMilliseconds
        if now >= session.pointee.lifetimeDeadline { return endDatagramSession(slot, .lifetime) }
        if now >= drainDeadlineOfDatagrams(slot) { return endDatagramSession(slot, .drain) }
        if now >= idleAt { return endDatagramSession(slot, .idle) }
        setDatagramTimer(slot)
    }

    /// When the session's backend wants it ended, `.max` for never.
    func drainDeadlineOfDatagrams(_ slot: UInt32) -> UInt64 {
        let backend = datagrams[slot].pointee.backend
        guard backend.pointee.drain.isActive else { return .max }
        let generation = datagrams.table.generation(of: slot)
        let key = UInt64(index) << 56 ^ UInt64(datagramTimer(slot)) << 32 ^ UInt64(generation)
        return backend.pointee.drain.deadline(of: key)
    }
}

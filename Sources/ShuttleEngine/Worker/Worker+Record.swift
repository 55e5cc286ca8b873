// Owns the record that every session leaves when it ends: why it ended, and what it has taken. Leaves to others: the form of
// records (Counters/SessionRecord), where they are kept (Counters/SessionRecordBuffer), what is noted while a session lives
// (SessionFacts).

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    // MARK: Why it ended

    /// Notes why a session is about to be closed, unless it is already.
    mutating func note(_ reason: TerminationReason, _ index: UInt32) {
        let slot = sessions[index]
        guard slot.pointee.session.phase != .closing else { return }
        slot.pointee.facts.pointee.reason = reason.rawValue
    }

    /// Begins to close a session for a reason that its peers' ends do not tell.
    mutating func closeStart(_ index: UInt32, because reason: TerminationReason, resetDownstream: Bool = false) {
        note(reason, index)
        closeStart(index, resetDownstream: resetDownstream, resetUpstream: false)
    }

    /// Why a session ended of which nobody has said it: as its peers have ended it. A reset tells more than an end.
    @inline(__always)
    func reasonOfPeers(_ slot: UnsafeMutablePointer<SessionSlot>) -> TerminationReason {
        if let side = slot.pointee.session.resetBy {
            if slot.pointee.facts.pointee.isLost { return side == .downstream ? .clientLost : .backendLost }
            return side == .downstream ? .clientReset : .backendReset
        }
        let haveBothEnded = slot.pointee.session.upward.isSourceEnded && slot.pointee.session.downward.isSourceEnded
        let firstEnd = haveBothEnded ? slot.pointee.facts.pointee.lastEnd.other : slot.pointee.facts.pointee.lastEnd
        return firstEnd == .upstream ? .backendClosed : .clientClosed
    }

    /// What the failure of the last connect says.
    static func reason(ofConnect code: Int32) -> TerminationReason {
        switch code {
        case ECONNREFUSED, ECONNRESET: .connectRefused
        case ETIMEDOUT: .connectTimeout
        case EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN: .connectUnreachable
        default: .connectFailed
        }
    }

    /// Whether an error tells that nobody is there any more, rather than that somebody has reset the connection.
    static func tellsOfLoss(_ code: Int32) -> Bool {
        switch code {
        case ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN: true
        default: false
        }
    }

    // MARK: Waiting

    /// A session begins to wait for a place or for its rate limit.
    @inline(__always)
    func waitBegan(_ slot: UnsafeMutablePointer<SessionSlot>) {
        slot.pointee.facts.pointee.waitingSince = turnTime
    }

    @inline(__always)
    func waitEnded(_ slot: UnsafeMutablePointer<SessionSlot>) {
        slot.pointee.facts.pointee.waited &+= turnTime &- slot.pointee.facts.pointee.waitingSince
        slot.pointee.facts.pointee.waitingSince = 0
    }

    // MARK: The record

    /// Of a connection's session, while its sockets are open.
    @inline(__always)
    mutating func leaveRecord(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        let service = slot.pointee.service
        let facts = slot.pointee.facts
        if let histograms = service.pointee.histograms.set(of: self.index) { count(facts, in: histograms) }
        let isPlain = service.pointee.accessLogOneIn.load(ordering: .relaxed) == 0 && !slot.pointee.wasPreread
        guard isPlain else { return leaveSpecialRecord(index, slot) }
        guard link.pointee.records.keepsAll else { return }
        link.pointee.records.append { place in
            fill(place, facts, service)
            place.store(.marks, SessionRecord.Marks(facts.pointee, flags: 0).word)
            Probe.sessionEnd(record: place.address)
        }
    }

    @inline(__always)
    private func count(_ facts: UnsafeMutablePointer<SessionFacts>, in histograms: SessionHistograms.Set) {
        let connectedAt = facts.pointee.connectedAt
        if connectedAt != 0 {
            histograms.histogram(.connect).record(connectedAt &- facts.pointee.connectStartedAt)
            let firstByteAt = facts.pointee.firstByteAt
            if firstByteAt != 0 { histograms.histogram(.firstByte).record(firstByteAt &- connectedAt) }
        }
        if facts.pointee.waited != 0 { histograms.histogram(.wait).record(facts.pointee.waited) }
        histograms.histogram(.duration).record(turnTime &- facts.pointee.startedAt)
        histograms.histogram(.sent).record(facts.pointee.sentBytes)
        histograms.histogram(.received).record(facts.pointee.receivedBytes)
    }

    /// All words of a record but the marks and what is asked of the kernel.
    @inline(__always)
    private func fill(
        _ place: SessionRecordBuffer.Place, _ facts: UnsafeMutablePointer<SessionFacts>,
        _ service: UnsafeMutablePointer<ServiceRecord>
    ) {
        let startedAt = facts.pointee.startedAt
        let connectedAt = facts.pointee.connectedAt
        place.store(.startedAt, startedAt)
        place.store(.duration, turnTime &- startedAt)
        place.store(
            .connectDuration, connectedAt == 0 ? SessionRecord.none : connectedAt &- facts.pointee.connectStartedAt)
        place.store(
            .firstByteDuration,
            facts.pointee.firstByteAt == 0 ? SessionRecord.none : facts.pointee.firstByteAt &- connectedAt)
        place.store(.waitDuration, facts.pointee.waited)
        place.store(.sentBytes, facts.pointee.sentBytes)
        place.store(.receivedBytes, facts.pointee.receivedBytes)
        place.store(.client1, facts.pointee.client.first)
        place.store(.client2, facts.pointee.client.second)
        place.store(.client3, facts.pointee.client.third)
        place.store(.client4, facts.pointee.client.fourth)
        place.store(
            .parties,
            SessionRecord.parties(service: service.pointee.identifier, backend: facts.pointee.backend))
    }

    /// Of a session that is perhaps to be logged, or whose client may have been told by a PROXY header.
    @inline(never)
    private mutating func leaveSpecialRecord(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        let isLogged = isToBeLogged(slot.pointee.service)
        guard isLogged || link.pointee.records.keepsAll else { return }
        if let conveyed = conveyedAddresses(of: index) {
            slot.pointee.facts.pointee.client = RawAddress(conveyed.source)
        }
        guard isLogged else {
            link.pointee.records.append { place in
                fill(place, slot.pointee.facts, slot.pointee.service)
                place.store(.marks, SessionRecord.Marks(slot.pointee.facts.pointee, flags: 0).word)
                Probe.sessionEnd(record: place.address)
            }
            return
        }
        // The kernel is asked only of sessions that are logged: it costs a call for each side.
        let (downstream, upstream) = (tcpInformation(.downstream, slot), tcpInformation(.upstream, slot))
        let flags = SessionRecord.Marks.logged | SessionRecord.Marks.hasTCP
        link.pointee.records.appendLogged { place, number in
            fill(place, slot.pointee.facts, slot.pointee.service)
            place.store(.marks, SessionRecord.Marks(slot.pointee.facts.pointee, flags: flags, logged: number).word)
            place.store(.downstreamTCP, downstream)
            place.store(.upstreamTCP, upstream)
            Probe.sessionEnd(record: place.address)
        }
    }

    /// Whether a session is among those that its service's access log is to have.
    private mutating func isToBeLogged(_ service: UnsafeMutablePointer<ServiceRecord>) -> Bool {
        let oneIn = service.pointee.accessLogOneIn.load(ordering: .relaxed)
        return oneIn == 1 || oneIn > 1 && random.next(through: UInt64(oneIn) - 1) == 0
    }

    /// 0 where there is nothing to be said.
    private func tcpInformation(_ side: Side, _ slot: UnsafeMutablePointer<SessionSlot>) -> UInt64 {
        let socket = slot.pointee.socket(side)
        guard socket >= 0, !isUnix(side, slot) else { return 0 }
        return ring.tcpInformation(socket)?.word ?? 0
    }

    // MARK: Datagrams

    /// What is to be noted of a session of datagrams from its beginning.
    func datagramFacts(_ slot: UInt32, _ backend: UnsafeMutablePointer<BackendRecord>) -> SessionFacts {
        let client = datagrams.table.path(of: slot).clientAddress
        var facts = SessionFacts(startedAt: turnTime, client: RawAddress(client))
        facts.backend = backend.pointee.identifier
        return facts
    }

    /// Of a session of datagrams. Nothing is connected: its first answer is timed from its beginning.
    @inline(never)
    mutating func leaveDatagramRecord(_ slot: UInt32, _ reason: TerminationReason) {
        let session = datagrams[slot]
        let service = session.pointee.service
        session.pointee.facts.reason = reason.rawValue
        let facts = session.pointee.facts
        let firstByte = facts.firstByteAt == 0 ? SessionRecord.none : facts.firstByteAt &- facts.startedAt
        if let histograms = service.pointee.histograms.set(of: index) {
            if facts.firstByteAt != 0 { histograms.histogram(.firstByte).record(firstByte) }
            histograms.histogram(.duration).record(turnTime &- facts.startedAt)
            histograms.histogram(.sent).record(facts.sentBytes)
            histograms.histogram(.received).record(facts.receivedBytes)
        }
        let isLogged = isToBeLogged(service)
        guard isLogged || link.pointee.records.keepsAll else { return }
        let flags = SessionRecord.Marks.datagrams
        if isLogged {
            link.pointee.records.appendLogged { place, number in
                fill(place, &session.pointee.facts, service)
                place.store(.firstByteDuration, firstByte)
                let flags = flags | SessionRecord.Marks.logged
                place.store(.marks, SessionRecord.Marks(facts, flags: flags, logged: number).word)
            }
        } else {
            link.pointee.records.append { place in
                fill(place, &session.pointee.facts, service)
                place.store(.firstByteDuration, firstByte)
                place.store(.marks, SessionRecord.Marks(facts, flags: flags).word)
            }
        }
    }
}

extension SessionRecord.Marks {
    @inline(__always)
    init(_ facts: SessionFacts, flags: UInt8, logged number: UInt64 = 0) {
        self.init(
            reason: facts.reason, retries: facts.retries, flags: flags,
            loggedNumber: number & SessionRecord.Marks.loggedNumberMask)
    }
}

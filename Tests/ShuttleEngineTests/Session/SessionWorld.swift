// Owns the smallest world a session can live in: two peers that send a byte or two, end or reset, a kernel that
// completes one operation at a time, and the part of the worker that reports to the session. A value, so that every
// order of events can be tried. Leaves to others: trying them (SessionExplorationTests).

@testable import ShuttleEngine

/// One side's connection and what is out on it.
struct SessionPeer: Hashable {
    enum Report: Hashable {
        case bytes(Int)
        case end
        case reset
        case noBuffer
        case cancelled
    }
    enum SendReport: Hashable {
        case sent(Int)
        case reset
        case brokenPipe
    }

    var bytesLeft: Int
    var bytesSent = 0
    /// Readable in the kernel.
    var queued = 0
    var hasFinished = false
    var hasReset = false
    /// The error the next call gets: nil, or whether it is EPIPE.
    var pendingErrorIsPipe: Bool?
    var wasCancelled = false
    var receiveReport: Report?
    /// Of the send in flight to this side, what the kernel has taken.
    var taken = 0
    var sendReport: SendReport?
    /// Of the wait for readiness of what this peer says: whether it is for the sink, whether it was cancelled, and what
    /// has become of it.
    var awaitsSink = false
    var wasWaitCancelled = false
    var waitReport: Bool?
    /// This peer was reported to have something, and it was not taken since.
    var isReportedReadable = false
    /// Bytes of this peer in a pipe.
    var piped = 0
    /// Bytes accepted for this side in all.
    var delivered = 0
    var wasFinished = false
}

struct SessionWorld {
    enum Event: Hashable {
        case connected
        case peerSends(Side)
        case peerFinishes(Side)
        case peerResets(Side)
        /// The kernel completes the operation, or a part of the send.
        case receiveCompletes(Side)
        case receiveFindsNoBuffer(Side)
        case sendTakesAByte(Side)
        case sendCompletes(Side)
        /// The worker sees the completion.
        case receiveSeen(Side)
        case sendSeen(Side)
        /// The wait for readiness of a flow from this side, and the splice that follows.
        case waitCompletes(Side)
        case waitSeen(Side, SpliceOutcome)
        case buffersReturn(Side)
        case flushed
        /// The time in which the rest was to be taken is over.
        case stalled
        case abort
    }

    var session: Session
    var client: SessionPeer
    var backend: SessionPeer
    /// One of these can happen in a run, or the orders would have no end.
    var noBufferLeft = 1
    var wasAborted = false
    /// How it closed: resets of client and backend.
    var closing: (client: Bool, backend: Bool)?
    /// What was wrong, if anything.
    var objection: String?
    var actions = 0
    let policy: SplicePolicy
    /// What becomes of the next splice.
    var spliceOutcome = SpliceOutcome.everything

    static let limits = FlowLimits(bufferSize: 10, buffers: 4)

    init(clientBytes: Int, backendBytes: Int, policy: SplicePolicy, closesAtFirstEnd: Bool = false) {
        self.policy = policy
        session = Session(closesAtFirstEnd: closesAtFirstEnd)
        client = SessionPeer(bytesLeft: clientBytes)
        backend = SessionPeer(bytesLeft: backendBytes)
        session.connectSubmitted()
        carryOut()
    }

    /// Two worlds with the same key go on in the same ways.
    struct Key: Hashable {
        var session: [UInt8]
        var client: SessionPeer
        var backend: SessionPeer
        var noBufferLeft: Int
        var isClosed: Bool
    }

    var key: Key {
        Key(
            session: withUnsafeBytes(of: session) { Array($0) },
            client: client,
            backend: backend,
            noBufferLeft: noBufferLeft,
            isClosed: closing != nil
        )
    }

    subscript(_ side: Side) -> SessionPeer {
        get { side == .downstream ? client : backend }
        set {
            if side == .downstream { client = newValue } else { backend = newValue }
        }
    }

    // MARK: What can happen

    var events: [Event] {
        guard closing == nil else { return [] }
        var events: [Event] = []
        if session.isConnectInFlight { events.append(.connected) }
        for side in [Side.downstream, .upstream] {
            let peer = self[side]
            let isThere = side == .downstream || session.phase == .established
            guard isThere else { continue }
            if !peer.hasFinished && !peer.hasReset {
                if peer.bytesLeft > 0 { events.append(.peerSends(side)) }
                events.append(.peerFinishes(side))
            }
            if !peer.hasReset { events.append(.peerResets(side)) }
            if session.flow(from: side).isReceiveArmed, peer.receiveReport == nil {
                if peer.wasCancelled || receivable(side) != nil { events.append(.receiveCompletes(side)) }
                if peer.queued > 0, noBufferLeft > 0 { events.append(.receiveFindsNoBuffer(side)) }
            }
            let flight = Int(session.flow(from: side.other).sendingBytes)
            if flight > 0, peer.sendReport == nil {
                events.append(.sendCompletes(side))
                if !peer.hasReset, peer.taken + 1 < flight { events.append(.sendTakesAByte(side)) }
            }
            if peer.receiveReport != nil { events.append(.receiveSeen(side)) }
            if peer.sendReport != nil { events.append(.sendSeen(side)) }
            addWaitEvents(side, to: &events)
            if session.flow(from: side).isStarved { events.append(.buffersReturn(side)) }
        }
        if session.isAwaitingFlush { events.append(.flushed) }
        if session.isEnding && session.phase == .established { events.append(.stalled) }
        if session.phase == .established { events.append(.abort) }
        return events
    }

    /// In the order of tcp_recvmsg: bytes, the end, the error once, the end for ever.
    func receivable(_ side: Side) -> SessionPeer.Report? {
        let peer = self[side]
        if peer.queued > 0 { return .bytes(peer.queued) }
        if peer.hasFinished { return .end }
        if peer.pendingErrorIsPipe != nil { return .reset }
        return peer.hasReset ? .end : nil
    }

    mutating func happen(_ event: Event) {
        switch event {
        case .connected:
            session.connected()
        case .peerSends(let side):
            self[side].bytesLeft -= 1
            self[side].bytesSent += 1
            self[side].queued += 1
        case .peerFinishes(let side):
            self[side].hasFinished = true
        case .peerResets(let side):
            self[side].hasReset = true
            self[side].pendingErrorIsPipe = self[side].hasFinished
        case .receiveCompletes(let side):
            completeReceive(side)
        case .receiveFindsNoBuffer(let side):
            noBufferLeft -= 1
            self[side].receiveReport = .noBuffer
        case .sendTakesAByte(let side):
            self[side].taken += 1
            self[side].delivered += 1
        case .sendCompletes(let side):
            completeSend(side)
        case .receiveSeen(let side):
            seeReceive(side)
        case .sendSeen(let side):
            seeSend(side)
        case .waitCompletes(let side):
            completeWait(side)
        case .waitSeen(let side, let outcome):
            seeWait(side, outcome)
        case .buffersReturn(let side):
            session.withFlow(from: side) { $0.buffersReturned() }
        case .flushed:
            session.flushed()
        case .stalled:
            wasAborted = true
            session.flushed()
        case .abort:
            wasAborted = true
            if case .close(let resetClient, let resetBackend) = session.abortAction {
                close(resetClient, resetBackend)
            }
            return
        }
        carryOut()
    }

    private mutating func completeReceive(_ side: Side) {
        if self[side].wasCancelled {
            self[side].receiveReport = .cancelled
            return
        }
        let report = receivable(side)
        self[side].receiveReport = report
        if case .bytes = report { self[side].queued = 0 }
        if report == .reset { self[side].pendingErrorIsPipe = nil }
    }

    private mutating func completeSend(_ side: Side) {
        let flight = Int(session.flow(from: side.other).sendingBytes)
        let taken = self[side].taken
        if self[side].hasReset {
            // The error is gone with this call, also where the bytes taken hide it.
            let isPipe = self[side].pendingErrorIsPipe ?? true
            self[side].pendingErrorIsPipe = nil
            self[side].sendReport = taken > 0 ? .sent(taken) : isPipe ? .brokenPipe : .reset
        } else {
            self[side].delivered += flight - taken
            self[side].sendReport = .sent(flight)
        }
        self[side].taken = 0
    }

    // MARK: What the worker reports, as Worker+Relay does

    private mutating func seeReceive(_ side: Side) {
        guard let report = self[side].receiveReport else { return }
        self[side].receiveReport = nil
        self[side].wasCancelled = false
        session.withFlow(from: side) { $0.receiveDisarmed() }
        switch report {
        case .bytes(let count):
            if !session.flow(from: side).isDiscarding { session.withFlow(from: side) { $0.received(count) } }
        case .end:
            let isFalse =
                session.distrustsEnd(of: side) || session.flow(from: side.other).isSendInFlight && self[side].hasReset
            if isFalse { session.receiveFailed(from: side) } else { session.endReceived(from: side) }
        case .reset:
            session.receiveFailed(from: side)
        case .noBuffer:
            session.withFlow(from: side) { $0.receiveStarved() }
        case .cancelled:
            break
        }
    }

    private mutating func seeSend(_ side: Side) {
        guard let report = self[side].sendReport else { return }
        self[side].sendReport = nil
        switch report {
        case .sent(let count):
            if count < Int(session.flow(from: side.other).sendingBytes) { session.sendCutShort(to: side) }
            session.withFlow(from: side.other) { $0.sendCompleted(count) }
        case .reset:
            session.sendFailed(to: side, afterEnd: false)
        case .brokenPipe:
            session.sendFailed(to: side, afterEnd: true)
        }
    }

    // MARK: What the session asks for

    private mutating func carryOut() {
        for _ in 0..<20 {
            let action = session.nextAction(SessionWorld.limits)
            actions += 1
            switch action {
            case .none: return checkPipes()
            case .preread: object("it is not to be read first")
            case .send(let side): send(side)
            case .receive(let side, let limit): receive(side, limit)
            case .cancelReceive(let side):
                if self[side].wasCancelled { object("a receive was cancelled twice") }
                session.withFlow(from: side) { $0.receiveCancelSubmitted() }
                self[side].wasCancelled = true
            case .awaitReadiness(let side): awaitReadiness(side)
            case .cancelReadiness(let side): cancelWait(side)
            case .splice(let side): splice(side)
            case .finishWriting(let side):
                session.withFlow(from: side.other) { $0.finishSubmitted() }
                finish(side)
            case .discard(let side):
                if session.flow(from: side.other).isSendInFlight { object("bytes were dropped under a send") }
                self[side.other].piped = 0
                session.owedDiscarded(to: side)
            case .awaitFlush(let side):
                if session.isAwaitingFlush || session.flushedSide != side { object("a flush without a reason") }
                session.awaitsFlush()
            case .close(let resetClient, let resetBackend):
                return close(resetClient, resetBackend)
            }
        }
        object("the session never rests")
    }

    private mutating func send(_ side: Side) {
        let flow = session.flow(from: side.other)
        if flow.isSendInFlight || flow.owedBytes == 0 { object("a send of nothing, or beside another") }
        if self[side].wasFinished { object("a send after the end") }
        if self[side.other].piped > 0 { object("a send overtakes a pipe") }
        session.withFlow(from: side.other) { $0.sendSubmitted(Int(flow.owedBytes), policy) }
    }

    private mutating func receive(_ side: Side, _ limit: Int) {
        if session.flow(from: side).isReceiveArmed || limit < 1 { object("a receive beside another, or of nothing") }
        if side == .upstream && session.phase != .established { object("a receive before the connect") }
        if self[side].piped > 0 { object("a receive overtakes a pipe") }
        self[side].isReportedReadable = false
        session.withFlow(from: side) { $0.receiveSubmitted() }
    }

    /// An end may be told only when the source told one and everything before it was delivered.
    private mutating func finish(_ side: Side) {
        let (sink, source) = (self[side], self[side.other])
        if sink.wasFinished { object("\(side) was finished twice") }
        if session.flow(from: side.other).isSendInFlight { object("an end under a send") }
        let isWhole = source.hasFinished && sink.delivered == source.bytesSent
        if !sink.hasReset && !isWhole && !isCutByFirstEnd(side.other) {
            object("\(side) was told of an end after \(sink.delivered) bytes of \(source.bytesSent)")
        }
        self[side].wasFinished = true
    }

    /// The other side was the first to end, which closes this one as well; everything received from it is delivered.
    private func isCutByFirstEnd(_ side: Side) -> Bool {
        let flow = session.flow(from: side)
        return session.isEnding && session.flow(from: side.other).isSourceEnded && flow.owedBytes == 0
            && !flow.isReceiveArmed && !flow.isReadinessArmed
    }

    private mutating func close(_ resetClient: Bool, _ resetBackend: Bool) {
        session.closeSubmitted()
        closing = (resetClient, resetBackend)
        if session.nextAction(SessionWorld.limits) != .none { object("something is due after the close") }
        for (side, isReset) in [(Side.downstream, resetClient), (.upstream, resetBackend)] {
            let (sink, source) = (self[side], self[side.other])
            let isThere = side == .downstream || session.isConnectInFlight == false
            guard isThere, !sink.hasReset else { continue }
            if wasAborted {
                if !isReset && session.flow(from: side.other).owedBytes > 0 {
                    object("\(side) is owed bytes and gets an end")
                }
            } else if isReset {
                if !source.hasReset { object("\(side) is reset without a reason") }
            } else if !sink.wasFinished {
                // What is not read any more tells of no reset either.
                let isUnheard = session.resetBy == nil && isCutByFirstEnd(side.other)
                if source.hasReset && !source.hasFinished && !isUnheard {
                    object("\(side) gets an end in place of a reset")
                }
                finish(side)
            }
        }
    }

    mutating func object(_ text: String) {
        if objection == nil { objection = text }
    }

    /// Nothing more can come from anybody, and nothing is on its way.
    var isStuck: Bool {
        closing == nil && session.phase == .established
            && !events.contains { event in
                switch event {
                case .peerSends, .peerFinishes, .peerResets, .stalled, .abort: false
                default: true
                }
            }
            && ((client.hasFinished || client.hasReset) && (backend.hasFinished || backend.hasReset)
                || session.isEnding)
    }
}

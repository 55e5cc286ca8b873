// Owns the life of a session: from connecting over relaying to its end, and who is told what of a reset.
// Decides, makes no call: events go in, `nextAction` says what is due. Leaves to others: carrying it out (Worker).

/// What a session wants done next.
enum SessionAction: Equatable {
    case none
    /// Look at what the client has said so far, or at its having ended: no backend is chosen before.
    case preread
    case send(to: Side)
    case receive(from: Side, byteLimit: Int)
    case cancelReceive(from: Side)
    /// Wait until this side can be read or, while bytes from it are in a pipe, until the other can be written.
    case awaitReadiness(from: Side)
    case cancelReadiness(from: Side)
    /// Let the kernel move what this side has.
    case splice(from: Side)
    /// Tell this side that nothing more comes.
    case finishWriting(to: Side)
    /// Drop what is owed to this side; then ask again.
    case discard(owedTo: Side)
    /// This side must acknowledge what was sent to it before it may be reset, or closed while it still talks.
    case awaitFlush(of: Side)
    /// Close both sockets; `true` means by a reset.
    case close(resetDownstream: Bool, resetUpstream: Bool)
}

/// A client's connection, a backend's connection, and the bytes between them. Holds no pointers.
struct Session {
    enum Phase: UInt8 {
        /// No backend's connection is established yet.
        case connecting
        case established
        /// Waiting for the completions that are still out.
        case closing
    }

    private(set) var phase = Phase.connecting
    /// Established, and nothing has happened that ends it: what is asked after every batch is asked by this alone.
    private var isRelaying = false
    /// The side that reset its connection first, and everything from it is delivered before the other side learns.
    private(set) var resetBy: Side?
    private var flush = Flush.isNotDue
    /// A send to this side met a reset, which it may have taken away from the receives: the clean end that they report
    /// from then on is false.
    private var isDownstreamEndDistrusted = false
    private var isUpstreamEndDistrusted = false
    private var firstEnd: FirstEnd
    private var wait = Wait.none
    /// What the client says on its way to the backend.
    private(set) var upward = Flow()
    /// What the backend says on its way to the client.
    private(set) var downward = Flow()

    /// How far a side has come with what was sent to it before its session may close.
    private enum Flush: UInt8 {
        case isNotDue
        /// Everything has been sent, not yet acknowledged.
        case isAwaited
        /// It has everything, or has had its time.
        case isDone
    }

    /// What the first end of a stream means.
    private enum FirstEnd: UInt8 {
        /// It travels on, and the other direction keeps going.
        case halfCloses
        /// It closes both sides, once what was received by then is delivered.
        case closesBoth
        /// It has come, and closes both sides.
        case isClosingBoth
    }

    init(closesAtFirstEnd: Bool = false) {
        firstEnd = closesAtFirstEnd ? .closesBoth : .halfCloses
    }

    // MARK: What is

    /// The direction whose source is `side`.
    @inline(__always)
    func flow(from side: Side) -> Flow { side == .downstream ? upward : downward }

    /// What a session that has no backend yet waits for.
    private enum Wait: UInt8 {
        case none
        case queue
        /// As `queue`, and what its client says is received meanwhile, as much as four buffers hold; so with `token`.
        case queueWhileReceiving
        /// For what has to be read before a backend is chosen.
        case preread
        /// As `preread`, and what has come was looked at in vain. All of it is in one buffer, so that a second one is news.
        case prereadInVain
        case connect
        /// Its service's rate limit.
        case token
        case tokenWhileReceiving
    }

    /// A connect is in flight or being cancelled.
    @inline(__always) var isConnectInFlight: Bool { wait == .connect }
    /// It waits in its service's queue, or was called out of it and does not know yet.
    @inline(__always) var isQueued: Bool { wait == .queue || wait == .queueWhileReceiving }
    /// What its client says is received although it waits.
    @inline(__always) var isReceivingQueued: Bool { wait == .queueWhileReceiving }

    /// It has come too early for its service's rate limit.
    @inline(__always) var isDelayed: Bool { wait == .token || wait == .tokenWhileReceiving }
    /// What its client says is received although it has.
    @inline(__always) var isReceivingDelayed: Bool { wait == .tokenWhileReceiving }
    /// What its client says decides what becomes of it.
    @inline(__always) var isPrereading: Bool { wait == .preread || wait == .prereadInVain }
    /// It has no backend, and waits for something else than a connect.
    @inline(__always) var waitsWithoutBackend: Bool { wait != .none && wait != .connect }

    private var isFlushed: Bool { flush == .isDone }
    /// Everything that came before the reset or the first end has been sent to the other side, not yet acknowledged.
    var isAwaitingFlush: Bool { flush == .isAwaited }

    /// The first end has come, and it closes both sides.
    @inline(__always) var isEnding: Bool { firstEnd == .isClosingBoth }

    /// Whether nothing is due when the sends in flight have completed.
    @inline(__always) var canLookAtSendsLater: Bool {
        isRelaying && (!upward.isSendInFlight || upward.canLookAtSendLater)
            && (!downward.isSendInFlight || downward.canLookAtSendLater)
    }

    /// It is held back to its bandwidth, in one direction at least.
    @inline(__always) var isHeld: Bool { upward.isHeld || downward.isHeld }

    /// Whether no completion of this session is outstanding.
    @inline(__always)
    var isQuiet: Bool {
        upward.isQuiet && downward.isQuiet && (wait == .none || !isConnectInFlight && !isQueued)
    }

    /// The side that is to acknowledge what was sent to it before the session closes: the one that was not the first to
    /// end or to reset. Nil while neither has happened that closes the session.
    var flushedSide: Side? {
        if let resetBy { return resetBy.other }
        guard isEnding else { return nil }
        return upward.isSourceEnded ? .upstream : .downstream
    }

    /// How to close when a timeout or an operator ends the session: a side that was promised more than it gets is
    /// reset, since a clean end would pass a cut stream off as whole.
    var abortAction: SessionAction {
        .close(
            resetDownstream: downward.owedBytes > 0 || resetBy == .upstream,
            resetUpstream: upward.owedBytes > 0 || resetBy == .downstream
        )
    }

    // MARK: What happens

    /// Changes one direction; `side` is its source.
    @inline(__always)
    mutating func withFlow<R>(from side: Side, _ body: (inout Flow) -> R) -> R {
        side == .downstream ? body(&upward) : body(&downward)
    }

    mutating func queued(isReceiving: Bool) {
        assert(phase == .connecting && !isConnectInFlight)
        wait = isReceiving ? .queueWhileReceiving : .queue
    }

    mutating func startPrereading() {
        assert(phase == .connecting && wait == .none)
        wait = .preread
    }

    /// What is there does not tell yet.
    mutating func prereadInVain() {
        assert(upward.queue.count <= 1)
        wait = upward.queue.isEmpty ? .preread : .prereadInVain
    }

    /// Something of it was taken off; what is left is looked at anew.
    mutating func prereadGoesOn() {
        wait = .preread
    }

    mutating func prereadEnded() {
        wait = .none
    }

    /// It has left the queue, or was called and has heard of it.
    mutating func leftQueue() {
        assert(!isConnectInFlight)
        wait = .none
    }

    mutating func delayed(isReceiving: Bool) {
        assert(phase == .connecting && wait == .none)
        wait = isReceiving ? .tokenWhileReceiving : .token
    }

    /// It waits for the rate limit no longer.
    mutating func leftDelay() {
        assert(isDelayed)
        wait = .none
    }

    mutating func connectSubmitted() {
        assert(phase == .connecting && !isQueued && !isDelayed)
        wait = .connect
    }

    mutating func connectFailed() {
        wait = .none
    }

    mutating func connected() {
        assert(phase == .connecting)
        wait = .none
        phase = .established
        isRelaying = resetBy == nil && !isEnding
    }

    /// A receive found the reset: whatever came before it has been received.
    mutating func receiveFailed(from side: Side) {
        withFlow(from: side) { $0.sourceEnded(cleanly: false) }
        wasReset(by: side)
    }

    /// A send took fewer bytes than it was given: it met an error on the way and keeps silent about it, since it has
    /// bytes to report. The receives will not hear of the error any more.
    mutating func sendCutShort(to side: Side) {
        distrustEnd(of: side)
    }

    /// A send found the reset and so took the news away from the receives, which will report a clean end now.
    /// `afterEnd`: the kernel says that the peer had ended its stream before (EPIPE), so that end is true, unless the
    /// error is what an earlier send left over.
    mutating func sendFailed(to side: Side, afterEnd: Bool) {
        withFlow(from: side.other) { $0.sendCompleted(0) }
        if !afterEnd { distrustEnd(of: side) }
        wasReset(by: side)
    }

    private mutating func distrustEnd(of side: Side) {
        if side == .downstream { isDownstreamEndDistrusted = true } else { isUpstreamEndDistrusted = true }
    }

    /// Whether an end of stream that is received from this side now is what a reset left behind.
    func distrustsEnd(of side: Side) -> Bool {
        side == .downstream ? isDownstreamEndDistrusted : isUpstreamEndDistrusted
    }

    /// The end of the stream was received. One that is not trusted is a reset.
    mutating func endReceived(from side: Side) {
        guard !distrustsEnd(of: side) else { return receiveFailed(from: side) }
        withFlow(from: side) { $0.sourceEnded(cleanly: true) }
        guard firstEnd == .closesBoth else { return }
        firstEnd = .isClosingBoth
        isRelaying = false
    }

    private mutating func wasReset(by side: Side) {
        guard phase != .closing else { return }
        isRelaying = false
        if resetBy == nil {
            resetBy = side
        } else if resetBy != side {
            // Both are gone: nobody is left to deliver to.
            flush = .isDone
        }
        withFlow(from: side.other) { $0.startDiscarding() }
    }

    mutating func owedDiscarded(to side: Side) {
        withFlow(from: side.other) { $0.queueDiscarded() }
    }

    mutating func awaitsFlush() {
        flush = .isAwaited
    }

    /// Everything before the reset or the first end was acknowledged, or the time for it is over.
    mutating func flushed() {
        flush = .isDone
    }

    mutating func closeSubmitted() {
        phase = .closing
        isRelaying = false
    }

    // MARK: What is due

    /// The next thing to do; ask until it is `.none`. Every action must be reported back before asking again.
    @inline(__always)
    func nextAction(_ limits: FlowLimits) -> SessionAction {
        isRelaying ? nextActionRelaying(limits) : nextActionOtherwise(limits)
    }

    private func nextActionOtherwise(_ limits: FlowLimits) -> SessionAction {
        switch phase {
        case .closing:
            return .none
        case .connecting:
            // The connect may succeed while it is being cancelled: then the backend learns the truth as well.
            if resetBy != nil { return .close(resetDownstream: false, resetUpstream: true) }
            if isQueued || isDelayed { return waitingAction(limits) }
            if isPrereading { return prereadAction(limits) }
            return receiveAction(from: .downstream, limits)
        case .established:
            if let side = resetBy { return nextAction(afterResetBy: side, limits) }
            return isEnding ? nextActionEnding(limits) : nextActionRelaying(limits)
        }
    }

    private func prereadAction(_ limits: FlowLimits) -> SessionAction {
        let isNew = wait == .preread ? upward.owedBytes > 0 : upward.queue.count > 1
        if isNew || upward.isSourceEnded { return .preread }
        // However low the pool runs: who waits holds one buffer, and is let go on or closed before long.
        return receiveAction(from: .downstream, FlowLimits(bufferSize: limits.bufferSize, buffers: 2))
    }

    private func waitingAction(_ limits: FlowLimits) -> SessionAction {
        // Who leaves without having said a word wants nothing any more.
        if upward.isSourceEnded, !upward.hasReceived {
            return .close(resetDownstream: false, resetUpstream: false)
        }
        guard isReceivingQueued || isReceivingDelayed else { return .none }
        return receiveAction(
            from: .downstream, FlowLimits(bufferSize: limits.bufferSize, buffers: min(4, limits.buffers)))
    }

    @inline(__always)
    private func nextActionRelaying(_ limits: FlowLimits) -> SessionAction {
        if upward.wantsSend { return .send(to: .upstream) }
        if downward.wantsSend { return .send(to: .downstream) }
        if upward.wantsFinish || downward.wantsFinish {
            // The close that follows ends the last direction by itself.
            if upward.isDelivered && downward.isDelivered {
                return .close(resetDownstream: false, resetUpstream: false)
            }
            return .finishWriting(to: upward.wantsFinish ? .upstream : .downstream)
        }
        let action = receiveAction(from: .downstream, limits)
        return action == .none ? receiveAction(from: .upstream, limits) : action
    }

    @inline(__always)
    private func receiveAction(from side: Side, _ limits: FlowLimits) -> SessionAction {
        let flow = flow(from: side)
        if flow.isSplicing {
            if flow.isReadinessArmed { return .none }
            return flow.isReady ? .splice(from: side) : .awaitReadiness(from: side)
        }
        if flow.wantsSplicing { return .awaitReadiness(from: side) }
        if let credit = flow.receiveCredit(limits) { return .receive(from: side, byteLimit: credit) }
        if flow.mustStopReceiving(limits) { return .cancelReceive(from: side) }
        return .none
    }

    /// Nothing more is read; what was is delivered to both sides. The one that may still talk has to acknowledge it
    /// before it is closed: what it says then is answered by a reset, which would overtake the rest.
    private func nextActionEnding(_ limits: FlowLimits) -> SessionAction {
        if isFlushed { return abortAction }
        if upward.isSourceEnded && downward.isSourceEnded { return nextActionRelaying(limits) }
        if upward.wantsSend { return .send(to: .upstream) }
        if downward.wantsSend { return .send(to: .downstream) }
        let ended: Side = upward.isSourceEnded ? .downstream : .upstream
        let other = ended.other
        let cut = flow(from: other)
        if cut.canCancelReceive { return .cancelReceive(from: other) }
        if cut.isSplicing && cut.owedBytes > 0 {
            if !cut.isReadinessArmed { return cut.isReady ? .splice(from: other) : .awaitReadiness(from: other) }
        } else if cut.canCancelReadiness {
            return .cancelReadiness(from: other)
        }
        if flow(from: ended).wantsFinish { return .finishWriting(to: other) }
        let isDelivered = flow(from: ended).isDelivered && cut.owedBytes == 0 && !cut.isSendInFlight
        guard isDelivered, !cut.isReceiveArmed, !cut.isReadinessArmed, !isAwaitingFlush else { return .none }
        return .awaitFlush(of: other)
    }

    private func nextAction(afterResetBy side: Side, _ limits: FlowLimits) -> SessionAction {
        let other = side.other
        let delivery = flow(from: side)
        let dropped = flow(from: other)
        if isFlushed {
            return .close(resetDownstream: other == .downstream, resetUpstream: other == .upstream)
        }
        if dropped.owedBytes > 0 && !dropped.isSendInFlight { return .discard(owedTo: side) }
        if dropped.mustStopReceiving(limits) { return .cancelReceive(from: other) }
        if dropped.mustStopWaiting { return .cancelReadiness(from: other) }
        if delivery.wantsSend { return .send(to: other) }
        if delivery.wantsFinish { return .finishWriting(to: other) }
        if delivery.isDelivered { return isAwaitingFlush ? .none : .awaitFlush(of: other) }
        return receiveAction(from: side, limits)
    }
}

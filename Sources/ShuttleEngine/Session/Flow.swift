// Owns one direction of a session: bytes owed, backpressure, half-close. Decides, makes no call, knows no socket.
// Leaves to others: the other direction and the life of the whole (Session), the memory of the bytes (BufferPool).

/// How much one direction may hold before its source is not read any more.
struct FlowLimits {
    let bufferSize: Int
    /// Buffers one direction may fill, at least 1; shrinks when the pool runs low.
    let buffers: Int

    /// A share of what is free, so that many stalled sessions cannot take the last buffers from the others.
    @inline(__always)
    static func sharing(freeBuffers: Int, bufferSize: Int) -> FlowLimits {
        FlowLimits(
            bufferSize: bufferSize,
            buffers: max(1, min(FlowLimits.buffersMax, freeBuffers / FlowLimits.share))
        )
    }

    /// 256 KiB with buffers of 16 KiB.
    static let buffersMax = 16
    /// One of so many of the free buffers.
    static let share = 64

    /// Buffers held at which a receive that is armed must end. Small pieces may hold more buffers than full ones
    /// would; when the pool runs low nobody may.
    @inline(__always)
    var buffersToStopAt: Int { buffers < FlowLimits.buffersMax ? buffers : FlowLimits.buffersMax &* 2 }
}

/// The bytes of one side on their way to the other.
///
/// They are copied through buffers of this process or, for a flow that has proved to be bulk, spliced by the kernel
/// through a pipe. It changes between the two only while nothing is on the way, so that no byte can be overtaken.
struct Flow {
    /// Received and not yet sent on. Empty while the flow is spliced.
    var queue = BufferQueue()
    /// The pipe that holds what is owed while the flow is spliced; it has one only while it owes something.
    var pipe = PipeID.none
    /// Bytes in the queue, or in the pipe.
    private(set) var owedBytes: UInt32 = 0
    /// Bytes of the send in flight; 0 when there is none.
    private(set) var sendingBytes: UInt32 = 0
    private var meter = FlowMeter()
    private var flags: Flags = []

    private struct Flags: OptionSet {
        let rawValue: UInt16
        static let receiveArmed = Flags(rawValue: 1 << 0)
        /// The receive, or the wait for readiness, that is armed: never both are.
        static let cancelled = Flags(rawValue: 1 << 1)
        static let sourceEnded = Flags(rawValue: 1 << 2)
        static let sourceEndedCleanly = Flags(rawValue: 1 << 3)
        static let sinkFinished = Flags(rawValue: 1 << 4)
        static let discarding = Flags(rawValue: 1 << 5)
        static let starved = Flags(rawValue: 1 << 6)
        static let received = Flags(rawValue: 1 << 7)
        static let bulk = Flags(rawValue: 1 << 8)
        static let splicing = Flags(rawValue: 1 << 9)
        /// Of one that is spliced: it has become too chatty, or is not to be spliced for another reason.
        static let chatty = Flags(rawValue: 1 << 10)
        /// Of one that is copied: it is held back. The same bit, since one with a limit is not spliced.
        static let held = Flags(rawValue: 1 << 10)
        static let readinessArmed = Flags(rawValue: 1 << 11)
        static let paced = Flags(rawValue: 1 << 12)
        static let ready = Flags(rawValue: 1 << 13)
        static let sinkFull = Flags(rawValue: 1 << 14)
        static let sendWaits = Flags(rawValue: 1 << 15)
    }

    // MARK: What is

    /// A receive is armed on the source.
    @inline(__always) var isReceiveArmed: Bool { flags.contains(.receiveArmed) }
    /// A send is in flight to the sink.
    @inline(__always) var isSendInFlight: Bool { sendingBytes > 0 }
    /// No completion of it is outstanding.
    @inline(__always) var isQuiet: Bool {
        sendingBytes == 0 && flags.isDisjoint(with: [.receiveArmed, .readinessArmed])
    }
    /// The source will say nothing more.
    @inline(__always) var isSourceEnded: Bool { flags.contains(.sourceEnded) }
    /// The sink was told that nothing more comes.
    @inline(__always) var isSinkFinished: Bool { flags.contains(.sinkFinished) }
    /// What the source says is not wanted any more.
    @inline(__always) var isDiscarding: Bool { flags.contains(.discarding) }
    /// What comes from the source has to be paid for in time.
    @inline(__always) var isPaced: Bool { flags.contains(.paced) }
    /// It has received more than its bandwidth lets it, and is not to receive before its time has come.
    @inline(__always) var isHeld: Bool { flags.contains(.held) && !isSplicing }
    /// What comes from the source is wanted, and may come as fast as it likes.
    @inline(__always) var takesFreely: Bool { flags.isDisjoint(with: [.discarding, .paced]) }
    /// The source has data and there was no buffer for it.
    @inline(__always) var isStarved: Bool { flags.contains(.starved) }
    /// The source has sent something since the session began.
    @inline(__always) var hasReceived: Bool { flags.contains(.received) }

    /// Everything the source said has been sent on, and it will say nothing more.
    @inline(__always) var isDelivered: Bool { isSourceEnded && owedBytes == 0 && !isSendInFlight }

    /// The next send waits until the sink has taken all of it. One that is small and goes to a sink that took the last
    /// one does not: it completes while it is submitted, with what the sink takes there and then.
    @inline(__always)
    func nextSendWaits(bufferSize: Int) -> Bool { flags.contains(.sinkFull) || Int(owedBytes) > bufferSize }

    /// Nothing is due when the send in flight has completed: it leaves nothing behind, the source is being received
    /// from and has not ended. Its completion may be looked at together with the next one.
    @inline(__always) var canLookAtSendLater: Bool {
        owedBytes == sendingBytes && isReceiveArmed && flags.isDisjoint(with: [.sourceEnded, .bulk, .discarding])
    }

    @inline(__always) var wantsSend: Bool { owedBytes > 0 && !isSendInFlight && !isDiscarding && !isSplicing }

    /// Output is on its way that the sink has not taken.
    @inline(__always) var isOutputPending: Bool { isSendInFlight || isSplicing && owedBytes > 0 }

    /// The kernel moves the bytes; nothing is received or sent.
    @inline(__always) var isSplicing: Bool { flags.contains(.splicing) }
    /// A wait for readiness is armed: for the sink's while bytes are owed, else for the source's.
    @inline(__always) var isReadinessArmed: Bool { flags.contains(.readinessArmed) }
    /// The readiness of the source, or of the sink, was reported and not yet used.
    @inline(__always) var isReady: Bool { flags.contains(.ready) }

    /// The flow has proved to be bulk and nothing is on the way: the next bytes can be spliced.
    @inline(__always) var wantsSplicing: Bool {
        flags.contains(.bulk) && owedBytes == 0 && !isSendInFlight
            && flags.isDisjoint(with: [.splicing, .receiveArmed, .sourceEnded, .discarding, .starved])
    }

    /// The end of the stream is due at the sink.
    @inline(__always) var wantsFinish: Bool {
        isDelivered && flags.contains(.sourceEndedCleanly) && !isSinkFinished && !isDiscarding
    }

    /// Bytes that may be received now; `nil` when the source is not to be read.
    @inline(__always)
    func receiveCredit(_ limits: FlowLimits) -> Int? {
        guard flags.isDisjoint(with: [.receiveArmed, .sourceEnded, .discarding, .starved, .splicing, .held]) else {
            return nil
        }
        // What is owed goes first; then the flow is spliced.
        if flags.contains(.bulk) && owedBytes > 0 { return nil }
        let held = Int(queue.count)
        // Half of the limit, so that a resumed source is worth its operation.
        guard held <= limits.buffers / 2 else { return nil }
        return (limits.buffers &- held) &* limits.bufferSize
    }

    /// Many small pieces hold more buffers than their bytes tell: the receive that is armed must end.
    @inline(__always)
    func mustStopReceiving(_ limits: FlowLimits) -> Bool {
        guard canCancelReceive else { return false }
        return isDiscarding || Int(queue.count) >= limits.buffersToStopAt
    }

    /// A receive is armed and nobody has taken it back yet.
    @inline(__always) var canCancelReceive: Bool { isReceiveArmed && !flags.contains(.cancelled) }
    /// A wait for readiness is armed and nobody has taken it back yet.
    @inline(__always) var canCancelReadiness: Bool { isReadinessArmed && !flags.contains(.cancelled) }

    // MARK: What happens

    mutating func receiveSubmitted() {
        assert(!isReceiveArmed && !isSourceEnded)
        flags.insert(.receiveArmed)
        flags.remove([.cancelled, .starved])
    }

    mutating func receiveCancelSubmitted() {
        flags.insert(.cancelled)
    }

    /// The receive is not armed any more; nothing else is said by that.
    mutating func receiveDisarmed() {
        flags.remove([.receiveArmed, .cancelled])
    }

    /// `queue` has grown by a buffer of `count` bytes.
    mutating func received(_ count: Int) {
        owedBytes &+= UInt32(truncatingIfNeeded: count)
        flags.insert(.received)
    }

    /// The first `count` bytes were for this process; `queue` has lost them. Without others nothing was received.
    mutating func taken(_ count: Int) {
        assert(!isSendInFlight && count <= Int(owedBytes))
        owedBytes &-= UInt32(truncatingIfNeeded: count)
        if owedBytes == 0 { flags.remove(.received) }
    }

    mutating func receiveStarved() {
        flags.insert(.starved)
    }

    mutating func buffersReturned() {
        flags.remove(.starved)
    }

    /// The source has ended: `cleanly` by the end of its stream, else by a reset.
    mutating func sourceEnded(cleanly: Bool) {
        guard !isSourceEnded else { return }
        flags.insert(.sourceEnded)
        if cleanly { flags.insert(.sourceEndedCleanly) }
    }

    @inline(__always)
    mutating func sendSubmitted(_ bytes: Int, waits: Bool = true, _ policy: SplicePolicy) {
        assert(sendingBytes == 0 && bytes > 0)
        sendingBytes = UInt32(truncatingIfNeeded: bytes)
        if waits { flags.insert(.sendWaits) } else { flags.remove(.sendWaits) }
        // One that is held back again and again gains nothing by being spliced.
        if policy.isEnabled, meter.sent(bytes, policy), !isPaced { flags.insert(.bulk) }
    }

    /// Whether a send of which `count` bytes were taken met an error that keeps silent about itself: one that waits
    /// ends early for no other reason.
    @inline(__always)
    func wasCutShort(after count: Int) -> Bool {
        count > 0 && count < Int(sendingBytes) && flags.contains(.sendWaits)
    }

    /// `count` bytes were taken by the sink; fewer than submitted says that it is full, if the send did not wait, and
    /// else that the next send will tell why.
    @inline(__always)
    mutating func sendCompleted(_ count: Int) {
        assert(count <= Int(sendingBytes) && count <= Int(owedBytes))
        let isShort = count < Int(sendingBytes)
        let didWait = flags.contains(.sendWaits)
        if isShort != didWait {
            if isShort { flags.insert(.sinkFull) } else { flags.remove(.sinkFull) }
        }
        sendingBytes = 0
        owedBytes &-= UInt32(truncatingIfNeeded: count)
    }

    mutating func finishSubmitted() {
        flags.insert(.sinkFinished)
    }

    /// The sink is gone: what is owed to it is dropped (by the caller), nothing more is read for it.
    mutating func startDiscarding() {
        flags.insert(.discarding)
        flags.remove(.starved)
        resume()
    }

    /// The caller has given the queue's buffers and the pipe back.
    mutating func queueDiscarded() {
        owedBytes = 0
    }

    // MARK: What happens to one with a bandwidth

    /// Its bandwidth is limited from now on, or no more. One that is spliced is copied when its pipe is empty next.
    mutating func setPaced(_ isPaced: Bool) {
        guard isPaced else {
            flags.remove(.paced)
            return
        }
        flags.insert(.paced)
        flags.remove(.bulk)
        if isSplicing { flags.insert([.chatty, .bulk]) }
    }

    mutating func hold() {
        assert(isPaced && !isReceiveArmed)
        flags.insert(.held)
    }

    mutating func resume() {
        if !isSplicing { flags.remove(.held) }
    }

    // MARK: What happens while it is spliced

    /// A wait for readiness was armed; from the first one on the flow is spliced.
    mutating func readinessSubmitted() {
        assert(!isReadinessArmed && !isReceiveArmed && !isSendInFlight && queue.isEmpty)
        // Sends after the proof are none of its steps.
        if !isSplicing { meter = FlowMeter() }
        flags.formUnion([.splicing, .readinessArmed])
        flags.remove([.ready, .cancelled])
    }

    mutating func readinessCancelSubmitted() {
        flags.insert(.cancelled)
    }

    @inline(__always) var mustStopWaiting: Bool { isDiscarding && canCancelReadiness }

    mutating func readinessCompleted(isReady: Bool) {
        flags.remove([.readinessArmed, .cancelled])
        if isReady { flags.insert(.ready) }
    }

    /// `count` bytes are in the pipe, which was empty.
    mutating func splicedIn(_ count: Int, _ policy: SplicePolicy) {
        assert(isSplicing && owedBytes == 0 && count > 0)
        owedBytes = UInt32(truncatingIfNeeded: count)
        flags.insert(.received)
        if meter.spliced(count, policy) { flags.insert(.chatty) }
    }

    mutating func splicedOut(_ count: Int) {
        assert(isSplicing && count <= Int(owedBytes))
        owedBytes &-= UInt32(truncatingIfNeeded: count)
    }

    /// The step has ended: the source has nothing or the sink takes nothing. A flow that has turned chatty is copied
    /// again as soon as its pipe is empty.
    mutating func spliceStepEnded() {
        flags.remove(.ready)
        if owedBytes == 0 && flags.contains(.chatty) { stopSplicing() }
    }

    /// The next bytes, or the end of the stream, are received into buffers again.
    mutating func stopSplicing() {
        assert(owedBytes == 0 && !isReadinessArmed)
        flags.remove([.splicing, .bulk, .chatty, .ready])
        meter = FlowMeter()
    }
}

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
        FlowLimits(bufferSize: bufferSize, buffers: max(1, min(FlowLimits.buffersMax, freeBuffers / FlowLimits.share)))
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
struct Flow {
    /// Received and not yet sent on.
    var queue = BufferQueue()
    private(set) var owedBytes: UInt32 = 0
    /// Bytes of the send in flight; 0 when there is none.
    private(set) var sendingBytes: UInt32 = 0
    private var flags: Flags = []

    private struct Flags: OptionSet {
        let rawValue: UInt8
        static let receiveArmed = Flags(rawValue: 1 << 0)
        static let receiveCancelled = Flags(rawValue: 1 << 1)
        static let sourceEnded = Flags(rawValue: 1 << 2)
        static let sourceEndedCleanly = Flags(rawValue: 1 << 3)
        static let sinkFinished = Flags(rawValue: 1 << 4)
        static let discarding = Flags(rawValue: 1 << 5)
        static let starved = Flags(rawValue: 1 << 6)
        static let received = Flags(rawValue: 1 << 7)
    }

    // MARK: What is

    /// A receive is armed on the source.
    @inline(__always) var isReceiveArmed: Bool { flags.contains(.receiveArmed) }
    /// A send is in flight to the sink.
    @inline(__always) var isSendInFlight: Bool { sendingBytes > 0 }
    /// The source will say nothing more.
    @inline(__always) var isSourceEnded: Bool { flags.contains(.sourceEnded) }
    /// The sink was told that nothing more comes.
    @inline(__always) var isSinkFinished: Bool { flags.contains(.sinkFinished) }
    /// What the source says is not wanted any more.
    @inline(__always) var isDiscarding: Bool { flags.contains(.discarding) }
    /// The source has data and there was no buffer for it.
    @inline(__always) var isStarved: Bool { flags.contains(.starved) }
    /// The source has sent something since the session began.
    @inline(__always) var hasReceived: Bool { flags.contains(.received) }

    /// Everything the source said has been sent on, and it will say nothing more.
    @inline(__always) var isDelivered: Bool { isSourceEnded && owedBytes == 0 && !isSendInFlight }

    @inline(__always) var wantsSend: Bool { owedBytes > 0 && !isSendInFlight && !isDiscarding }

    /// The end of the stream is due at the sink.
    @inline(__always) var wantsFinish: Bool {
        isDelivered && flags.contains(.sourceEndedCleanly) && !isSinkFinished && !isDiscarding
    }

    /// Bytes that may be received now; `nil` when the source is not to be read.
    @inline(__always)
    func receiveCredit(_ limits: FlowLimits) -> Int? {
        guard flags.isDisjoint(with: [.receiveArmed, .sourceEnded, .discarding, .starved]) else { return nil }
        let held = Int(queue.count)
        // Half of the limit, so that a resumed source is worth its operation.
        guard held <= limits.buffers / 2 else { return nil }
        return (limits.buffers &- held) &* limits.bufferSize
    }

    /// Many small pieces hold more buffers than their bytes tell: the receive that is armed must end.
    @inline(__always)
    func mustStopReceiving(_ limits: FlowLimits) -> Bool {
        guard isReceiveArmed, !flags.contains(.receiveCancelled) else { return false }
        return isDiscarding || Int(queue.count) >= limits.buffersToStopAt
    }

    // MARK: What happens

    mutating func receiveSubmitted() {
        assert(!isReceiveArmed && !isSourceEnded)
        flags.insert(.receiveArmed)
        flags.remove([.receiveCancelled, .starved])
    }

    mutating func receiveCancelSubmitted() {
        flags.insert(.receiveCancelled)
    }

    /// The receive is not armed any more; nothing else is said by that.
    mutating func receiveDisarmed() {
        flags.remove([.receiveArmed, .receiveCancelled])
    }

    /// `queue` has grown by a buffer of `count` bytes.
    mutating func received(_ count: Int) {
        owedBytes &+= UInt32(truncatingIfNeeded: count)
        flags.insert(.received)
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

    mutating func sendSubmitted(_ bytes: Int) {
        assert(sendingBytes == 0 && bytes > 0)
        sendingBytes = UInt32(truncatingIfNeeded: bytes)
    }

    /// `count` bytes were taken by the sink; fewer than submitted says that the next send will tell why.
    mutating func sendCompleted(_ count: Int) {
        assert(count <= Int(sendingBytes) && count <= Int(owedBytes))
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
    }

    /// The caller has given the queue's buffers back.
    mutating func queueDiscarded() {
        owedBytes = 0
    }
}

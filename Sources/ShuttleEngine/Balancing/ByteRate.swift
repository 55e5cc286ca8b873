// Owns how bytes are spread over time at a rate: what may be received now, and when again. Pure: time is given. Knows
// neither sockets nor sessions, so that datagrams can be paced by it as well.

/// A rate in bytes a second, as times. What was received is *paid* by time: a flow that has come a step and a half ahead
/// is held back until it is half a step ahead. However small the pieces are that it receives, it is so held back for a
/// step at least, and woken now and then, not for every packet. What a receive brings beyond what was asked for is paid
/// like everything else, later.
struct ByteRate: Equatable {
    /// From 1 on.
    let bytesPerSecond: UInt64
    /// For how long a flow is held back at least, in nanoseconds: long enough for bytes to come in pieces that are worth
    /// it.
    let stepNanoseconds: UInt64

    /// Nanoseconds that may be received ahead.
    var windowNanoseconds: UInt64 { 2 &* stepNanoseconds }

    static let stepNanosecondsMin: UInt64 = 20_000_000
    /// At slow rates a step is so many bytes, and longer.
    static let stepBytesMin: UInt64 = 2048

    init(bytesPerSecond: UInt64) {
        self.bytesPerSecond = bytesPerSecond
        stepNanoseconds = max(
            ByteRate.stepNanosecondsMin, ByteRate.nanoseconds(for: ByteRate.stepBytesMin, bytesPerSecond))
    }

    /// Bytes of a step, at least 1.
    var stepBytes: Int { bytes(in: stepNanoseconds) }

    /// The time that bytes take, rounded up.
    func nanoseconds(for bytes: Int) -> UInt64 { ByteRate.nanoseconds(for: UInt64(bytes), bytesPerSecond) }

    private static func nanoseconds(for bytes: UInt64, _ bytesPerSecond: UInt64) -> UInt64 {
        let (high, low) = bytes.multipliedFullWidth(by: 1_000_000_000)
        return bytesPerSecond.dividingFullWidth((high, low)).quotient &+ 1
    }

    private func bytes(in nanoseconds: UInt64) -> Int {
        let (high, low) = nanoseconds.multipliedFullWidth(by: bytesPerSecond)
        return Int(truncatingIfNeeded: max(1, UInt64(1_000_000_000).dividingFullWidth((high, low)).quotient))
    }

    enum Verdict: Equatable {
        /// So many bytes may be received now.
        case bytes(Int)
        /// None before this time, in nanoseconds.
        case notBefore(UInt64)
    }

    /// What may be received at `now`, in nanoseconds, by who has paid up to `paidAt`: half a step at least.
    func verdict(paidAt: UInt64, now: UInt64) -> Verdict {
        if isTooFarAhead(paidAt: paidAt, now: now) { return .notBefore(turn(paidAt: paidAt)) }
        return .bytes(bytes(in: min(windowNanoseconds, now &+ windowNanoseconds &- paidAt)))
    }

    func isTooFarAhead(paidAt: UInt64, now: UInt64) -> Bool { paidAt > now &+ stepNanoseconds &* 3 / 2 }

    /// When who is too far ahead may receive again.
    func turn(paidAt: UInt64) -> UInt64 { paidAt &- stepNanoseconds / 2 }

    /// A datagram passes where no more than this was paid in advance: so a flight of packets passes as transports send it when
    /// they begin, also at slow rates, and a datagram of any size does now and then.
    var datagramWindowNanoseconds: UInt64 {
        max(ByteRate.datagramWindowNanosecondsMin, nanoseconds(for: ByteRate.datagramWindowBytesMin))
    }

    static let datagramWindowNanosecondsMin: UInt64 = 100_000_000
    static let datagramWindowBytesMin = 16 << 10

    /// Whether a datagram passes at `now`. It is paid for afterwards, whole.
    func admitsDatagram(paidAt: UInt64, now: UInt64) -> Bool { paidAt <= now &+ datagramWindowNanoseconds }

    /// What was paid up to after bytes were received at `now`.
    func paid(_ bytes: Int, paidAt: UInt64, now: UInt64) -> UInt64 { max(paidAt, now) &+ nanoseconds(for: bytes) }
}

/// How far one direction of a session has come at its rates.
struct FlowPace {
    /// Up to when what it has received is paid for at the session's own rate, in nanoseconds.
    var paidAt: UInt64 = 0
    /// When it may receive again while it is held back, in milliseconds.
    var resumesAt: UInt64 = 0
    /// Bytes of its service's rate that it has paid in advance, for its turn.
    var grantedBytes: UInt32 = 0
}

// Owns what the kernel is told about peers that are silent for long.

/// The kernel's probes of a silent peer, as tcp(7) counts them.
struct Keepalive: Equatable {
    /// Silence before the first probe; 0 means no probes.
    var idleSeconds: UInt16
    var intervalSeconds: UInt16
    /// Probes without an answer after which the connection is dead.
    var count: UInt8

    /// Sessions that end before need no keepalive, and most are short: it is set when the session has lived for so long.
    /// Setting it takes calls; the kernel counts the silence from the last packet, also of those before the call.
    private static let delayMilliseconds: UInt64 = 30_000

    /// When a session that begins now is to get it: well before the first probe is due; `.max` for never.
    @inline(__always)
    func deadline(now: UInt64) -> UInt64 {
        idleSeconds == 0 ? .max : now &+ min(Keepalive.delayMilliseconds, UInt64(idleSeconds) &* 500)
    }
}

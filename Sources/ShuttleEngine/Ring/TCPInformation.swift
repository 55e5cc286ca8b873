// Owns what is asked of the kernel about a TCP connection that ends. Leaves to others: asking (Socket).

/// How a TCP connection has fared, by TCP_INFO of tcp(7).
public struct TCPInformation: Sendable, Equatable {
    /// The smoothed round trip time; 0 where none was measured.
    public var roundTripMicroseconds: UInt32
    /// Segments sent again, of all that were sent.
    public var retransmits: UInt32

    init(roundTripMicroseconds: UInt32, retransmits: UInt32) {
        self.roundTripMicroseconds = roundTripMicroseconds
        self.retransmits = retransmits
    }

    /// As one word, never 0.
    var word: UInt64 { UInt64(roundTripMicroseconds) << 32 | UInt64(min(retransmits, .max - 1)) + 1 }

    init(word: UInt64) {
        self.init(
            roundTripMicroseconds: UInt32(truncatingIfNeeded: word >> 32),
            retransmits: UInt32(truncatingIfNeeded: word & 0xffff_ffff) &- 1)
    }
}

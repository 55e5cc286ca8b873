// Owns the hash of a client's address, which its backend is chosen by.

/// Hashes that are the same in every process, so that several shuttles give a client to the same backend.
enum ClientHash {
    /// By the host alone: a client has another port for every connection. An IPv4 address is the same whether it comes
    /// as such or as an IPv6 address that contains one.
    @inline(__always)
    static func of(_ address: SocketAddress) -> UInt64 {
        let (high, low) = address.hostWords
        return of(high: high, low: low)
    }

    /// Of an address's two halves, as `SocketAddress.hostWords` has them.
    @inline(__always)
    static func of(high: UInt64, low: UInt64) -> UInt64 { mixed(mixed(high) ^ low) }

    /// Of a name, byte by byte (FNV-1a), then mixed.
    static func of(_ name: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return mixed(hash)
    }

    /// Every bit depends on every bit, and 0 is no exception.
    @inline(__always)
    static func mixed(_ value: UInt64) -> UInt64 { SplitMix.mixed(value &+ SplitMix.step) }
}

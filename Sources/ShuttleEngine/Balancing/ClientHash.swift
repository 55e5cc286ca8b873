// Owns the hashes that choices go by: of a client's address, and of a backend's name.

/// Hashes that are the same in every process, so that several shuttles give a client to the same backend.
enum ClientHash {
    /// By the host alone: a client has another port for every connection. An IPv4 address is the same whether it comes
    /// as such or as an IPv6 address that contains one.
    @inline(__always)
    static func of(_ address: SocketAddress) -> UInt64 {
        let (high, low) = address.hostWords
        return mixed(mixed(high) ^ low)
    }

    /// Of a name, byte by byte (FNV-1a), then mixed.
    static func of(_ name: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return mixed(hash)
    }

    /// SplitMix64's output function: every bit depends on every bit.
    @inline(__always)
    static func mixed(_ value: UInt64) -> UInt64 {
        var value = value &+ 0x9e37_79b9_7f4a_7c15
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

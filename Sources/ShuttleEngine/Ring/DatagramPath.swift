// Owns the two ends of a datagram as numbers: who sent it, and which of our addresses it was sent to.
// Leaves to others: reading them from the kernel and answering (Ring), whose session that is (Session).

/// A client's address with its port, and the local address that it wrote to. IPv4 addresses are in their mapped form
/// (::ffff:a.b.c.d), so that a client is the same by whichever kind of socket it came.
struct DatagramPath: Equatable {
    var clientHigh: UInt64
    var clientLow: UInt64
    var clientPort: UInt16
    /// The interface of a link-local address; 0 for all others.
    var clientScope: UInt32
    /// 0 where the socket is bound to one address: answers leave from there by themselves.
    var localHigh: UInt64 = 0
    var localLow: UInt64 = 0

    /// An answer must say which address it leaves from.
    @inline(__always)
    var hasLocalAddress: Bool { localHigh | localLow != 0 }

    /// Every bit depends on all of both ends, and on `seed`: clients choose their ports, and must not choose each other's
    /// places in a table.
    @inline(__always)
    func hash(seed: UInt64) -> UInt64 {
        var hash = DatagramPath.mixed(clientHigh ^ seed)
        hash = DatagramPath.mixed(hash ^ clientLow)
        hash = DatagramPath.mixed(hash ^ (UInt64(clientScope) << 16 | UInt64(clientPort)))
        // Most sockets are bound to one address.
        guard hasLocalAddress else { return hash }
        return DatagramPath.mixed(DatagramPath.mixed(hash ^ localHigh) ^ localLow)
    }

    /// The finaliser of SplitMix64, whose inputs and outputs are the same in number.
    @inline(__always)
    private static func mixed(_ word: UInt64) -> UInt64 {
        var word = word &+ 0x9e37_79b9_7f4a_7c15
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}

extension DatagramPath {
    /// As if `client` had written to a socket bound to one address: for tests and choices that go by the client alone.
    init(client: SocketAddress) {
        let (high, low) = client.hostWords
        self.init(clientHigh: high, clientLow: low, clientPort: client.port, clientScope: 0)
    }
}

// Owns the ends of a datagram as numbers: who sent it, which of our addresses it was sent to, and on whose behalf, where the
// sender is a proxy that says so.
// Leaves to others: reading them from the kernel and answering (Ring), whose session that is (Session).

/// A client's address with its port, and the local address that it wrote to. IPv4 addresses are in their mapped form
/// (::ffff:a.b.c.d), so that a client is the same by whichever kind of socket it came.
///
/// Behind a proxy that puts a header before each datagram the client is whom the header tells of. Answers go to the proxy
/// all the same, and two of its clients have two paths.
struct DatagramPath: Equatable {
    // Who has sent the datagram and gets the answers.
    var clientHigh: UInt64
    var clientLow: UInt64
    var clientPort: UInt16
    /// Of the client that a header has told of.
    private(set) var conveyedPort: UInt16 = 0
    /// The interface of a link-local address; 0 for all others.
    var clientScope: UInt32
    /// 0 where the socket is bound to one address: answers leave from there by themselves.
    var localHigh: UInt64 = 0
    var localLow: UInt64 = 0
    /// 0 where no header has told of a client; `::` is nobody's address.
    private(set) var conveyedHigh: UInt64 = 0
    private(set) var conveyedLow: UInt64 = 0

    init(
        clientHigh: UInt64, clientLow: UInt64, clientPort: UInt16, clientScope: UInt32, localHigh: UInt64 = 0,
        localLow: UInt64 = 0
    ) {
        self.clientHigh = clientHigh
        self.clientLow = clientLow
        self.clientPort = clientPort
        self.clientScope = clientScope
        self.localHigh = localHigh
        self.localLow = localLow
    }

    /// Whoever has sent the datagram says that it comes from `client`, which is not `::`.
    mutating func convey(_ client: SocketAddress) {
        (conveyedHigh, conveyedLow) = client.hostWords
        conveyedPort = client.port
    }

    /// Whose datagrams these are: of who has sent them, unless a header has told of another.
    var clientAddress: SocketAddress {
        hasConveyed
            ? .ipv6(high: conveyedHigh, low: conveyedLow, port: conveyedPort)
            : .ipv6(high: clientHigh, low: clientLow, port: clientPort)
    }

    @inline(__always)
    var hasConveyed: Bool { conveyedHigh | conveyedLow != 0 }

    /// The client's address, which it is told apart by: the one that was conveyed, else whose datagram it is.
    @inline(__always)
    var client: (high: UInt64, low: UInt64) {
        hasConveyed ? (conveyedHigh, conveyedLow) : (clientHigh, clientLow)
    }

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
        // Most sockets are bound to one address, and most senders are clients.
        guard localHigh | localLow | conveyedHigh | conveyedLow != 0 else { return hash }
        if hasLocalAddress { hash = DatagramPath.mixed(DatagramPath.mixed(hash ^ localHigh) ^ localLow) }
        guard hasConveyed else { return hash }
        hash = DatagramPath.mixed(hash ^ conveyedHigh)
        return DatagramPath.mixed(DatagramPath.mixed(hash ^ conveyedLow) ^ UInt64(conveyedPort))
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

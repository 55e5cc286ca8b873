// Owns the values in which sessions are asked for and told of outside the engine. Leaves to others: asking the rings
// (Engine+Sessions).

/// Which session, for as long as the process runs: an identifier is given once.
public struct SessionIdentifier: Hashable, Sendable {
    /// The ring that has it.
    public var ring: Int
    /// Its place there.
    public var place: UInt32
    /// How often the place was taken before.
    public var generation: UInt32

    public init(ring: Int, place: UInt32, generation: UInt32) {
        self.ring = ring
        self.place = place
        self.generation = generation
    }
}

/// Addresses of clients: a network, or one address.
public struct ClientNetwork: Sendable, Equatable, CustomStringConvertible {
    let prefix: NetworkPrefix

    /// Reads `192.0.2.0/24`, `2001:db8::/32` or an address alone.
    ///
    /// - Throws: what is wrong and the remedy, as the end of a sentence that has named the text.
    public init(parsing text: String) throws(ClientNetworkError) {
        do throws(NetworkPrefixError) {
            prefix = try NetworkPrefix(parsing: text)
        } catch {
            throw ClientNetworkError(
                explanation: error.explanation
                    ?? "it must be an address, or a network such as \"192.0.2.0/24\" or \"2001:db8::/32\"")
        }
    }

    public var description: String { prefix.description }

    /// In the form in which IPv4 addresses are among IPv6 addresses.
    var addresses: ClosedRange<UInt128> {
        let base: UInt128 = prefix.family == .ipv4 ? 0xffff << 32 : 0
        return base | prefix.first...base | prefix.last
    }
}

public struct ClientNetworkError: Error, Equatable, Sendable {
    public let explanation: String
}

/// Which sessions are meant: those for which all of it holds.
public struct SessionFilter: Sendable, Equatable {
    /// The service whose backend they have, or are to get; nil for any.
    public var service: String?
    /// The name of a backend, of that service or of any; nil for all, and for those without one.
    public var backend: String?
    public var client: ClientNetwork?
    /// Since their clients were accepted.
    public var ageMinMilliseconds: UInt64 = 0
    /// Since bytes last went either way.
    public var idleMinMilliseconds: UInt64 = 0
    /// Both ways together.
    public var bytesMin: UInt64 = 0

    public init() {}

    /// Whether all sessions are meant.
    public var isEmpty: Bool { self == SessionFilter() }
}

/// One session at one moment.
public struct SessionReport: Sendable, Equatable {
    public var identifier: SessionIdentifier
    public var network: Network
    public var state: SessionState
    public var service: String
    /// Nil while it has none.
    public var backend: String?
    /// Where its client is, as a PROXY header has told if there was one; nil where that is not known any more.
    public var client: SocketAddress?
    /// When it was looked at, by the clock of its ring.
    public var lookedAtMilliseconds: UInt64
    public var ageMilliseconds: UInt64
    public var idleMilliseconds: UInt64
    /// Sent on from its client to its backend.
    public var sentBytes: UInt64
    /// Sent on from its backend to its client.
    public var receivedBytes: UInt64

    public init(
        identifier: SessionIdentifier, network: Network, state: SessionState, service: String, backend: String?,
        client: SocketAddress?, lookedAtMilliseconds: UInt64, ageMilliseconds: UInt64, idleMilliseconds: UInt64,
        sentBytes: UInt64, receivedBytes: UInt64
    ) {
        self.identifier = identifier
        self.network = network
        self.state = state
        self.service = service
        self.backend = backend
        self.client = client
        self.lookedAtMilliseconds = lookedAtMilliseconds
        self.ageMilliseconds = ageMilliseconds
        self.idleMilliseconds = idleMilliseconds
        self.sentBytes = sentBytes
        self.receivedBytes = receivedBytes
    }
}

/// What one ring can be asked.
public enum SessionQuery: Sendable, Equatable {
    /// Sessions that match, by their places from one on, at most so many.
    case list(SessionFilter, from: UInt32, limit: Int, wantsClients: Bool)
    /// Those of these that are still there.
    case look([SessionIdentifier])
    /// Ends those of these that are still there and not coming to their end anyway.
    case end([SessionIdentifier])
}

/// What a ring has answered.
public struct SessionAnswer: Sendable, Equatable {
    /// In the order of their places.
    public var sessions: [SessionReport] = []
    /// Where a list goes on; nil when it is complete.
    public var next: UInt32?
    /// How many were ended.
    public var endedCount = 0

    public init(sessions: [SessionReport] = [], next: UInt32? = nil, endedCount: Int = 0) {
        self.sessions = sessions
        self.next = next
        self.endedCount = endedCount
    }
}

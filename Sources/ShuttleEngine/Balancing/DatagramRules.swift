// Owns what a UDP service's configuration says of its sessions, as the rings read it.
// Leaves to others: acting by it (Worker+Datagrams).

/// Values that a session copies when it begins, and anew with its client's next datagram after a change.
struct DatagramRules: Equatable {
    /// Without a datagram either way a session ends after this.
    var idleMilliseconds: UInt64
    /// Sessions of the service at a time, over all rings.
    var sessionsMax: Int
    /// Datagrams of the client, as sent on, after which its next one begins another session; 0 for never.
    var requests: UInt32
    /// Datagrams of the backend after which a session ends, unless some of the client's are still unanswered; 0 for never.
    var responses: UInt32

    /// What comes as one batch is taken apart, since something is asked of each datagram.
    var areLookedAtSingly: Bool
    /// Of each session, as its service's record has it at every moment; kept to know when it changes.
    var bandwidth: BandwidthConfiguration

    init(_ configuration: ServiceConfiguration) {
        let udpCounts = configuration.udpRequests > 0 || configuration.udpResponses > 0
        idleMilliseconds = UInt64(configuration.udpIdleTimeoutMilliseconds)
        sessionsMax = configuration.udpSessionsMax
        requests = UInt32(configuration.udpRequests)
        responses = UInt32(configuration.udpResponses)
        let hasHeaders = configuration.backends.contains { configuration.proxyProtocolSend(to: $0) != nil }
        areLookedAtSingly = hasHeaders || configuration.limitsBandwidth || udpCounts
        bandwidth = configuration.bandwidth
    }

    /// Whether the next datagram of the client begins another session.
    @inline(__always)
    func isFull(requests sent: UInt32) -> Bool { requests > 0 && sent >= requests }

    /// Whether everything that was expected has been answered. A client that asks twice in one breath, as resolvers do
    /// for both kinds of addresses, gets both answers.
    @inline(__always)
    func isComplete(requests sent: UInt32, responses received: UInt32) -> Bool {
        responses > 0 && received >= responses && received >= sent
    }
}

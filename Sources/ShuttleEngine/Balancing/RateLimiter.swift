// Owns the tokens of one service's rate limit, which all rings share.
// Leaves to others: the rule (RateRule), the clients' own times (ClientTimes), its memory (Snapshot/RateLimit).

import Synchronization

/// What rings ask whether a connection is in time.
struct RateLimiter: ~Copyable {
    /// Of each limiter another, so that who waits for a token of one that is gone is found.
    let identifier: UInt32
    private let rule: RateRule
    private let isPerClient: Bool
    /// When the service's bucket is full again, in nanoseconds of the rings' clock.
    private let full = Atomic<UInt64>(0)
    private let clients: ClientTimes

    /// Connections of a service that may wait at a time: each has a slot and a descriptor that others may want.
    static let waitersMax = 10_000

    init(_ configuration: RateLimitConfiguration, identifier: UInt32, addressesMax: Int = ClientTimes.addressesMax) {
        self.identifier = identifier
        rule = RateRule(
            perSecond: configuration.perSecond,
            burst: configuration.burst,
            delays: configuration.action == .delay
        )
        isPerClient = configuration.scope == .client
        clients = ClientTimes(addressesMax: addressesMax)
    }

    /// Whether `take` needs to know the client.
    var asksForClient: Bool { isPerClient }

    /// Takes a token at `now`, in nanoseconds, exactly once for all rings. Clients without an address have one bucket.
    @inline(__always)
    func take(_ client: ClientAddress?, at now: UInt64, mayWait: Bool) -> RateRule.Answer {
        if isPerClient {
            return clients.take(client ?? ClientAddress(high: 0, low: 0), by: rule, at: now, mayWait: mayWait)
        }
        var present = full.load(ordering: .relaxed)
        while true {
            var next = present
            let answer = rule.take(from: &next, at: now, mayWait: mayWait)
            if next == present { return answer }
            let result = full.weakCompareExchange(expected: present, desired: next, ordering: .relaxed)
            if result.exchanged { return answer }
            present = result.original
        }
    }

    /// What `take` would answer, and nothing is taken.
    func look(_ client: ClientAddress?, at now: UInt64, mayWait: Bool) -> RateRule.Answer {
        var present =
            isPerClient
            ? clients.time(of: client ?? ClientAddress(high: 0, low: 0)) : full.load(ordering: .relaxed)
        return rule.take(from: &present, at: now, mayWait: mayWait)
    }
}

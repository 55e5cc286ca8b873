// Owns the tokens that rings share: exact when many threads take them, per client, bounded, and given back in memory.

import Glibc
import Synchronization
import Testing

@testable import ShuttleEngine

/// The macros of tests take no borrowed values.
private final class Limiter: @unchecked Sendable {
    private let limiter: RateLimiter

    init(
        _ perSecond: Int, _ burst: Int, _ scope: RateLimitScope = .service, _ action: RateLimitAction = .refuse,
        addressesMax: Int = ClientTimes.addressesMax
    ) {
        var configuration = RateLimitConfiguration()
        configuration.perSecond = perSecond
        configuration.burst = burst
        configuration.scope = scope
        configuration.action = action
        limiter = RateLimiter(configuration, identifier: 1, addressesMax: addressesMax)
    }

    func take(_ client: Int? = nil, at now: UInt64, mayWait: Bool = true) -> RateRule.Answer {
        limiter.take(client.map { ClientAddress(.ipv4(UInt32($0), port: 0)) }, at: now, mayWait: mayWait)
    }
}

/// As above.
private final class Times: @unchecked Sendable {
    private let times: ClientTimes
    private let rule: RateRule

    init(addressesMax: Int, perSecond: Int, burst: Int) {
        times = ClientTimes(addressesMax: addressesMax, seed: 5)
        rule = RateRule(perSecond: perSecond, burst: burst, delays: false)
    }

    func take(_ client: Int, at now: UInt64) -> Bool {
        times.take(ClientAddress(.ipv4(UInt32(client), port: 0)), by: rule, at: now, mayWait: false) == .isInTime
    }

    var capacity: Int { times.capacity }
}

@Suite struct RateLimiterTests {
    private static let millisecond: UInt64 = 1_000_000

    /// Every thread takes as fast as it can, at times of its own that pass: never one too many, and none is lost.
    @Test(arguments: [RateLimitScope.service, .client])
    func rings(scope: RateLimitScope) {
        let limiter = Limiter(1000, 40, scope)
        let clock = Atomic<UInt64>(0)
        let passed = Atomic<Int>(0)
        let threads = 8
        withThreads(threads) { _ in
            while true {
                let now = clock.wrappingAdd(1000, ordering: .relaxed).newValue
                if now > 500 * RateLimiterTests.millisecond { return }
                if limiter.take(7, at: now, mayWait: false) == .isInTime { passed.wrappingAdd(1, ordering: .relaxed) }
            }
        }
        let count = passed.load(ordering: .relaxed)
        #expect((539...540).contains(count), "\(count)")
    }

    private func withThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        final class Start: Sendable {
            let index: Int
            let body: @Sendable (Int) -> Void
            init(_ index: Int, _ body: @escaping @Sendable (Int) -> Void) { (self.index, self.body) = (index, body) }
        }
        let threads = (0..<count).map { index in
            var thread = pthread_t()
            let start = Unmanaged.passRetained(Start(index, body)).toOpaque()
            let result = pthread_create(
                &thread, nil,
                { argument in
                    let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                    start.body(start.index)
                    return nil
                }, start)
            precondition(result == 0)
            return thread
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    @Test func eachClientHasABucketOfItsOwn() {
        let limiter = Limiter(10, 2, .client)
        for client in 1...100 {
            #expect((0..<3).map { _ in limiter.take(client, at: 1) } == [.isInTime, .isInTime, .isTooEarly])
        }
        #expect(limiter.take(1, at: 100 * RateLimiterTests.millisecond + 1) == .isInTime)
        // Those without an address are one client.
        #expect((0..<3).map { _ in limiter.take(nil, at: 1) } == [.isInTime, .isInTime, .isTooEarly])
    }

    @Test func aServicesBucketIsOneForAllClients() {
        let limiter = Limiter(10, 3)
        #expect((1...4).map { limiter.take($0, at: 1) } == [.isInTime, .isInTime, .isInTime, .isTooEarly])
    }

    /// Whatever comes in whatever order: as if each address had a rule of its own for ever.
    @Test func theTableForgetsNothingThatCounts() {
        for seed in UInt64(1)...5 {
            var random = SplitMix(seed: seed)
            let times = Times(addressesMax: 1 << 16, perSecond: 100, burst: 2)
            let rule = RateRule(perSecond: 100, burst: 2, delays: false)
            var reference: [Int: UInt64] = [:]
            var now: UInt64 = 0
            for step in 0..<20_000 {
                now += random.next(through: step % 1000 == 0 ? 50 * RateLimiterTests.millisecond : 20_000)
                let client = Int(random.next(through: [3, 300, 20_000][step / 1000 % 3]))
                let expected = rule.take(from: &reference[client, default: 0], at: now) == .isInTime
                #expect(times.take(client, at: now) == expected, "step \(step) of seed \(seed)")
            }
        }
    }

    /// A full table refuses further addresses, lets those in that it knows, and takes others as times pass.
    @Test func aFullTableRefusesUntilTimesHavePassed() {
        let times = Times(addressesMax: 1024, perSecond: 10, burst: 2)
        let known = (1...20_000).filter { times.take($0, at: 1) }
        #expect(known.count == 1024)
        #expect(times.capacity <= 2048)
        #expect(known.allSatisfy { times.take($0, at: 2) }, "their second token")
        #expect(!times.take(30_000, at: 2))
        // All tokens are back after 200 ms, and nothing is left to remember.
        let later = 201 * RateLimiterTests.millisecond
        #expect((40_001...40_500).allSatisfy { times.take($0, at: later) })
    }

    /// Memory follows what there is to remember.
    @Test func aTableShrinksAgain() {
        let times = Times(addressesMax: 1 << 20, perSecond: 10, burst: 1)
        for client in 1...100_000 { #expect(times.take(client, at: 1)) }
        let most = times.capacity
        #expect(most >= 100_000)
        var now = RateLimiterTests.millisecond * 200
        for index in 0..<(2 * most) {
            now += 10_000
            _ = times.take(index % 50, at: now)
        }
        #expect(times.capacity < most, "\(times.capacity) of \(most)")
    }
}

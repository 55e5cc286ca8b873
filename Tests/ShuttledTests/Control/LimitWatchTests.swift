// What is seen by comparing looks: limits that begin and cease to turn clients away, drains that are done.

import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct LimitWatchTests {
    private typealias Fields = (inout ServiceStatistics) -> Void

    private static func report(
        _ name: String = "web", _ backends: [(String, BackendState, Int)] = [], isInMaintenance: Bool = false,
        change: Fields = { _ in }
    ) -> ServiceReport {
        var configuration = ServiceConfiguration(
            name: name, address: ":80",
            backends: backends.map { backend in
                var configuration = BackendConfiguration(name: backend.0, address: "10.0.0.1:80")
                configuration.state = backend.1
                return configuration
            }
        )
        configuration.isInMaintenance = isInMaintenance
        var statistics = ServiceStatistics(
            configuration: configuration, sentBytes: 0, receivedBytes: 0, errors: 0, connections: 0, active: 0,
            panics: 0, queued: 0, refused: 0, refusedPerClient: 0, queueTimeouts: 0, queueOverflows: 0,
            backends: zip(backends, configuration.backends).map { backend, configuration in
                var statistics = BackendStatistics.none(of: configuration)
                statistics.active = backend.2
                return statistics
            }
        )
        change(&statistics)
        return ServiceReport(statistics)
    }

    // MARK: Episodes

    @Test func anEpisodeBeginsOnceAndEndsWhenItIsQuiet() {
        var episode = Episode()
        #expect(episode.look(at: 0, milliseconds: 0) == nil)
        #expect(episode.look(at: 3, milliseconds: 1000) == .began(count: 3))
        #expect(episode.look(at: 10, milliseconds: 2000) == nil)
        #expect(episode.look(at: 10, milliseconds: 6999) == nil)
        #expect(episode.look(at: 11, milliseconds: 6999) == nil, "it goes on")
        #expect(episode.look(at: 11, milliseconds: 11_998) == nil)
        #expect(episode.look(at: 11, milliseconds: 11_999) == .ended(count: 11, milliseconds: 5999))
        #expect(episode.look(at: 11, milliseconds: 20_000) == nil)
        #expect(episode.look(at: 12, milliseconds: 21_000) == .began(count: 1))
    }

    @Test func whatIsKnownToLastDoesNotEnd() {
        var episode = Episode()
        #expect(episode.look(at: 1, lasts: true, milliseconds: 0) == .began(count: 1))
        #expect(episode.look(at: 1, lasts: true, milliseconds: 60_000) == nil)
        #expect(episode.look(at: 1, milliseconds: 64_999) == nil)
        #expect(episode.look(at: 1, milliseconds: 65_000) == .ended(count: 1, milliseconds: 60_000))
        #expect(episode.look(at: 1, lasts: true, milliseconds: 70_000) == nil, "nothing was under way")
    }

    /// A service that was removed and made again counts from 0.
    @Test func aCounterThatBeganAnewCounts() {
        var episode = Episode()
        #expect(episode.look(at: 100, milliseconds: 0) == .began(count: 100))
        #expect(episode.look(at: 100, milliseconds: 5000) == .ended(count: 100, milliseconds: 0))
        #expect(episode.look(at: 2, milliseconds: 6000) == .began(count: 2))
    }

    // MARK: Limits

    @Test func eachLimitIsToldByItsCounter() {
        let changes: [(String, Fields)] = [
            ("max_connections", { $0.refused = 1 }), ("max_connections_per_client", { $0.refusedPerClient = 1 }),
            ("rate_limit", { $0.refusedByRate = 1 }), ("rate_limit", { $0.delays = 1 }),
            ("queue_limit", { $0.queueOverflows = 1 }), ("queue_timeout", { $0.queueTimeouts = 1 }),
        ]
        for (name, change) in changes {
            var watch = LimitWatch()
            #expect(watch.look(at: [Self.report()], milliseconds: 0) == [])
            #expect(
                watch.look(at: [Self.report(change: change)], milliseconds: 1000)
                    == [.limit(name, service: "web", .began(count: 1))])
        }
        var watch = LimitWatch()
        let maintenance = Self.report(isInMaintenance: true) { $0.refused = 2 }
        #expect(
            watch.look(at: [maintenance], milliseconds: 0) == [.limit("maintenance", service: "web", .began(count: 2))])
        // It ends as what it was told as.
        let over = Self.report { $0.refused = 2 }
        #expect(
            watch.look(at: [over], milliseconds: 5000)
                == [.limit("maintenance", service: "web", .ended(count: 2, milliseconds: 0))])
        let others: [Fields] = [{ $0.denied = 1 }, { $0.errors = 1 }, { $0.connections = 9 }, { $0.evicted() }]
        for change in others {
            #expect(
                watch.look(
                    at: [
                        Self.report(change: {
                            $0.refused = 2
                            change(&$0)
                        })
                    ], milliseconds: 6000) == [])
        }
    }

    @Test func servicesAreApart() {
        var watch = LimitWatch()
        let both = [Self.report("a") { $0.refused = 1 }, Self.report("b")]
        #expect(watch.look(at: both, milliseconds: 0) == [.limit("max_connections", service: "a", .began(count: 1))])
        // One that goes away turns nobody away any more.
        #expect(
            watch.look(at: [Self.report("b")], milliseconds: 1)
                == [.limit("max_connections", service: "a", .ended(count: 1, milliseconds: 0))])
        #expect(watch.look(at: [Self.report("b")], milliseconds: 60_000) == [])
    }

    // MARK: Drains

    @Test func aDrainIsToldWhenTheLastSessionHasEnded() {
        var watch = LimitWatch()
        func look(_ state: BackendState, _ active: Int) -> [LimitWatch.Observation] {
            watch.look(at: [Self.report("web", [("one", state, active)])], milliseconds: 0)
        }
        let drained = [LimitWatch.Observation.drained(service: "web", backend: "one")]
        #expect(look(.drain, 0) == [], "one that was never used is not told at the start")
        #expect(look(.ready, 0) == [])
        #expect(look(.drain, 2) == [])
        #expect(look(.drain, 1) == [])
        #expect(look(.drain, 0) == drained)
        #expect(look(.drain, 0) == [], "once")
        #expect(look(.maintenance, 0) == [])
        #expect(look(.ready, 0) == [])
        #expect(look(.maintenance, 0) == drained, "at once where there are no sessions")
        #expect(look(.ready, 3) == [])
        #expect(look(.drain, 3) == [])
        #expect(look(.ready, 3) == [], "taken back")
    }

    // MARK: Rings

    @Test func acceptingThatPausesIsToldUntilItGoesOn() {
        var watch = LimitWatch()
        func look(_ pauses: [UInt64], sessions: Int = 0, at time: UInt64) -> [LimitWatch.Observation] {
            let rings = pauses.enumerated().map { index, count in
                var ring = FakeControl.rings[0]
                (ring.index, ring.acceptPauses, ring.sessions) = (index, count, sessions)
                return ring
            }
            return watch.look(at: rings, capacity: 20, milliseconds: time)
        }
        #expect(look([0, 0], at: 0) == [])
        #expect(look([1, 2], sessions: 10, at: 1000) == [.accepting(.began(count: 3))])
        #expect(look([1, 2], sessions: 10, at: 9000) == [], "a ring that is full does not try again")
        #expect(look([1, 2], sessions: 9, at: 14_000) == [.accepting(.ended(count: 3, milliseconds: 8000))])
        #expect(watch.look(at: [], capacity: 20, milliseconds: 20_000) == [])
    }
}

extension ServiceStatistics {
    fileprivate mutating func evicted() { datagrams.evicted = 1 }
}

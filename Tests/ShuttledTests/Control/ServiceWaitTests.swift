// What can be waited for: when it has come about, who is in the way, and who hears of it.

import NIOCore
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct ServiceWaitTests {
    private typealias Backend = (
        name: String, state: BackendState, weight: Int, active: Int, isUp: Bool, goods: UInt64,
        last: CheckResult.Status?
    )

    private static func report(_ backends: [Backend], checkAddress: String = "10.0.0.1:80") -> ServiceReport {
        let configurations = backends.map { backend in
            var configuration = BackendConfiguration(
                name: backend.name, address: "10.0.0.1:80", checkAddress: checkAddress, weight: backend.weight)
            configuration.state = backend.state
            return configuration
        }
        let statistics = zip(backends, configurations).map { backend, configuration in
            var statistics = BackendStatistics.none(of: configuration)
            statistics.isUp = backend.isUp
            statistics.active = backend.active
            statistics.checkSuccesses = backend.goods
            statistics.lastCheck = backend.last.map {
                CheckResult(
                    status: $0, reason: $0 == .fail ? "status 503" : nil, durationMicroseconds: 1,
                    endedAtMilliseconds: 1)
            }
            return statistics
        }
        return ServiceReport(
            ServiceStatistics(
                configuration: ServiceConfiguration(name: "web", address: ":80", backends: configurations),
                sentBytes: 0,
                receivedBytes: 0, errors: 0, connections: 0, active: 0, panics: 0, queued: 0, refused: 0,
                refusedPerClient: 0, queueTimeouts: 0, queueOverflows: 0, backends: statistics
            )
        )
    }

    private func names(_ progress: ServiceWait.Progress) -> [String]? {
        guard case .reached(let seen) = progress else { return nil }
        return seen.map(\.name)
    }

    private func pending(_ progress: ServiceWait.Progress) -> [ConfigurationIssue] {
        guard case .pending(let issues) = progress else { return [] }
        return issues
    }

    @Test func whatDrainsMustHaveNoSessions() {
        let wait = ServiceWait(service: "web", goal: .drained)
        let busy = Self.report([
            ("one", .drain, 1, 2, true, 1, .success), ("two", .ready, 1, 9, true, 1, .success),
            ("three", .maintenance, 1, 1, true, 1, .success),
        ])
        let issues = pending(wait.progress(busy))
        #expect(issues.map(\.pointer) == ["/backends/0/active", "/backends/2/active"])
        #expect(issues.first?.detail.contains("2 active sessions") == true)
        #expect(issues.last?.detail.contains("1 active session") == true)
        let idle = Self.report([
            ("one", .drain, 1, 0, true, 1, .success), ("two", .ready, 1, 9, true, 1, .success),
            ("three", .maintenance, 1, 0, false, 1, .fail),
        ])
        #expect(names(wait.progress(idle)) == ["one", "three"])
    }

    /// One that gets new sessions may have none at any moment, and one a moment later.
    @Test func whoTakesSessionsIsNeverDrained() {
        let report = Self.report([("one", .ready, 1, 0, true, 1, .success), ("two", .ready, 0, 0, true, 1, .success)])
        #expect(ServiceWait(service: "web", goal: .drained, backend: "one").progress(report) == .takesSessions)
        #expect(names(ServiceWait(service: "web", goal: .drained, backend: "two").progress(report)) == ["two"])
        #expect(names(ServiceWait(service: "web", goal: .drained).progress(report)) == [], "nobody drains")
    }

    @Test func whatIsReadyMustBeUpAndCheckedWithSuccess() {
        let wait = ServiceWait(service: "web", goal: .healthy)
        let report = Self.report([
            ("up", .ready, 1, 0, true, 3, .success), ("new", .ready, 1, 0, true, 0, nil),
            ("shaky", .ready, 1, 0, true, 3, .fail), ("down", .ready, 1, 0, false, 3, .fail),
            ("unsure", .ready, 1, 0, true, 3, .inconclusive), ("drains", .drain, 1, 0, false, 0, .fail),
        ])
        let issues = pending(wait.progress(report))
        #expect(issues.map(\.pointer) == ["/backends/1/up", "/backends/2/up", "/backends/3/up"])
        #expect(issues.map { $0.detail.contains("status 503") } == [false, true, true])
        #expect(issues.first?.detail.contains("not been checked") == true)
        #expect(names(ServiceWait(service: "web", goal: .healthy, backend: "unsure").progress(report)) == ["unsure"])
        let drained = ServiceWait(service: "web", goal: .healthy, backend: "drains")
        #expect(pending(drained.progress(report)).map(\.pointer) == ["/backends/5/up"], "who is named is meant")
    }

    @Test func withoutChecksBeingUpIsEnough() {
        let wait = ServiceWait(service: "web", goal: .healthy)
        let report = Self.report([("one", .ready, 1, 0, true, 0, nil)], checkAddress: "")
        #expect(names(wait.progress(report)) == ["one"])
        var ejected = report
        ejected.backends[0].statistics.isUp = false
        ejected.backends[0].statistics.isEjected = true
        ejected.backends[0].statistics.lastFailure = .refused
        #expect(pending(wait.progress(ejected)).first?.detail.contains("ejected: connection refused") == true)
    }

    @Test func whatIsNotThereIsNotWaitedFor() {
        #expect(ServiceWait(service: "web", goal: .healthy).progress(nil) == .unknownService)
        let report = Self.report([("one", .ready, 1, 0, true, 1, .success)])
        #expect(ServiceWait(service: "web", goal: .healthy, backend: "x").progress(report) == .unknownBackend)
        #expect(ServiceWait(service: "web", goal: .drained, backend: "x").progress(report) == .unknownBackend)
    }

    @Test func looksTakeTheirPartOfTheTimeAtMost() {
        #expect(ServiceObserver.pause(after: .zero, isWaitedFor: true) == .milliseconds(50))
        #expect(ServiceObserver.pause(after: .milliseconds(2), isWaitedFor: true) == .milliseconds(50))
        #expect(ServiceObserver.pause(after: .milliseconds(10), isWaitedFor: true) == .milliseconds(190))
        #expect(ServiceObserver.pause(after: .milliseconds(10), isWaitedFor: false) == .seconds(1))
        #expect(ServiceObserver.pause(after: .milliseconds(40), isWaitedFor: false) == .milliseconds(3960))
    }
}

@Suite struct ServiceWaitsTests {
    private static let drained = ServiceWait(service: "web", goal: .drained)

    /// `web` with a backend that drains and has a session.
    private static func run(_ body: @escaping @Sendable (ControlPlaneStage) async throws -> Void) async throws {
        try await ControlPlaneStage.run { stage in
            var web = ControlPlaneStage.web
            web.backends[0].state = .drain
            stage.engine.state.withLock { $0.active = ["web/b0": 1] }
            try await stage.plane.start(with: [web], isFromState: false, origin: ControlPlaneStage.origin)
            try await body(stage)
        }
    }

    private static func begin(
        _ stage: ControlPlaneStage, timeout: TimeAmount = .minutes(10), presence: ClientPresence = ClientPresence()
    ) -> Task<ServiceWait.Outcome, Never> {
        Task { await stage.plane.wait(for: drained, timeout: timeout, presence: presence) }
    }

    /// Until it has been looked at since now, twice: so somebody waits.
    private static func looksGoOn(_ stage: ControlPlaneStage) async throws {
        let before = stage.engine.state.withLock { $0.looks }
        try await ControlTesting.eventually("looks go on") { stage.engine.state.withLock { $0.looks } > before + 2 }
    }

    @Test func theAnswerComesWhenItHasComeAbout() async throws {
        try await Self.run { stage in
            let waiting = Self.begin(stage)
            try await Self.looksGoOn(stage)
            stage.engine.state.withLock { $0.active = [:] }
            guard case .settled(.reached(let seen)) = await waiting.value else {
                Issue.record("not reached")
                return
            }
            #expect(seen.map(\.name) == ["b0"])
            // Nobody waits: there is a look in a second.
            let looks = stage.engine.state.withLock { $0.looks }
            try await stage.loop.scheduleTask(in: ServiceObserver.waitedInterval * 6) {}.futureResult.get()
            #expect(stage.engine.state.withLock { $0.looks } <= looks + 1)
        }
    }

    @Test func whenTheTimeIsOverItIsSaidWhoIsInTheWay() async throws {
        try await Self.run { stage in
            for timeout in [TimeAmount.zero, .milliseconds(30)] {
                guard case .timedOut(let issues) = await Self.begin(stage, timeout: timeout).value else {
                    Issue.record("not timed out")
                    return
                }
                #expect(issues.map(\.pointer) == ["/backends/0/active"])
            }
        }
    }

    @Test func aServiceOrBackendThatGoesAwayEndsTheWait() async throws {
        try await Self.run { stage in
            let waiting = Self.begin(stage)
            try await Self.looksGoOn(stage)
            _ = try await stage.apply(.deleteService(name: "web"))
            #expect(await waiting.value == .settled(.unknownService))
        }
    }

    @Test func aClientThatLeavesIsForgotten() async throws {
        try await Self.run { stage in
            let presence = ClientPresence()
            let waiting = Self.begin(stage, presence: presence)
            try await Self.looksGoOn(stage)
            presence.end(.left)
            presence.end(.stopping)
            #expect(await waiting.value == .clientLeft, "the first reason holds")
            #expect(await Self.begin(stage, presence: presence).value == .clientLeft, "so it is for one that has left")
        }
    }

    @Test func theEndOfTheProcessIsAnAnswer() async throws {
        try await Self.run { stage in
            let waiting = Self.begin(stage)
            try await Self.looksGoOn(stage)
            await stage.plane.drain(limit: .zero)
            #expect(await waiting.value == .shuttingDown)
            #expect(await Self.begin(stage).value == .shuttingDown)
        }
    }
}

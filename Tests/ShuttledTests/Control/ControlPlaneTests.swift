// The one writer: order of changes, what each failure leaves behind, and the end.

import Glibc
import Logging
import NIOCore
import ShuttleEngine
import Synchronization
import Testing

@testable import shuttled

@Suite struct ControlPlaneTests {
    private typealias Stage = ControlPlaneStage
    private static let web = ControlPlaneStage.web
    private static let db = ControlPlaneStage.db

    @Test func aChangeIsAppliedAndAnswered() async throws {
        try await Stage.run { stage in
            let result = try await stage.apply(.replaceAll([Self.web, Self.db]))
            #expect(result == [Self.db, Self.web], "the whole configuration, sorted")
            #expect(await stage.plane.configuration().services == result)
            #expect(stage.engine.calls == ["prepare", "commit"])
            #expect(stage.engine.liveNames == ["db", "web"])
        }
    }

    @Test func oneLineSaysWhatChanged() async throws {
        try await Stage.run { stage in
            _ = try await stage.apply(.putService(Self.web))
            let lines = stage.log.lines.filter { $0.contains("configuration changed") }
            #expect(lines.count == 1)
            for part in [
                " info ", #"change="added service web on 127.0.0.1:80""#, "from=127.0.0.1:4000",
                #"request="PUT /web""#, "epoch=1", "ms=",
            ] {
                #expect(lines.first?.contains(part) == true, "\(part) in \(lines)")
            }
        }
    }

    @Test func nothingNewCostsNothing() async throws {
        try await Stage.run { stage in
            _ = try await stage.apply(.putService(Self.web))
            let calls = stage.engine.calls
            let lines = stage.log.lines
            #expect(try await stage.apply(.putService(Self.web)) == [Self.web])
            #expect(try await stage.apply(.replaceAll([Self.web])) == [Self.web])
            #expect(stage.engine.calls == calls)
            #expect(stage.log.lines == lines)
        }
    }

    @Test func theAnswerWaitsForEveryRing() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.delay = 20 }
            _ = try await stage.apply(.putService(Self.web))
            #expect(stage.engine.state.withLock { $0.waited } == 20)
        }
    }

    @Test func aRingThatDoesNotTakeItUpIsFatal() async throws {
        try await Stage.run(adoptionLimit: .milliseconds(50)) { stage in
            stage.engine.state.withLock { $0.silentRings = [3, 5] }
            _ = try await stage.apply(.putService(Self.web))
            #expect(stage.faults.all.count == 1)
            #expect(stage.faults.all.first?.contains("ring 3, 5") == true)
            #expect(stage.faults.all.first?.contains("50 ms") == true)
        }
    }

    @Test func readersSeeACommittedChangeBeforeItsAnswer() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.silentRings = [0] }
            async let answer = stage.apply(.putService(Self.web))
            try await ControlTesting.eventually("committed") { stage.engine.calls.contains("commit") }
            #expect(await stage.plane.configuration().services == [Self.web])
            stage.engine.state.withLock { $0.silentRings = [] }
            #expect(try await answer == [Self.web])
        }
    }

    // MARK: Order

    @Test func changesAreMadeOneAfterTheOtherInOrderOfArrival() async throws {
        try await Stage.run { stage in
            // Each change waits for rings in between; every later one arrives meanwhile. A second `prepare` before the
            // first change has ended would trap in the fake engine.
            stage.engine.state.withLock { $0.delay = 3 }
            let count = 30
            var answers: [Task<[ServiceConfiguration], any Error>] = []
            for index in 0..<count {
                let service = ControlTesting.service("web", "127.0.0.1:80", backends: ["10.0.0.1:\(index + 1)"])
                answers.append(
                    Task(executorPreference: ControlLoopExecutor(loop: stage.loop)) {
                        try await stage.apply(.putService(service))
                    }
                )
            }
            for (index, answer) in answers.enumerated() {
                let services = try await answer.value
                #expect(services[0].backends[0].address == "10.0.0.1:\(index + 1)")
            }
            #expect(stage.engine.calls == Array(repeating: ["prepare", "commit"], count: count).flatMap { $0 })
            #expect(await stage.plane.configuration().services[0].backends[0].address == "10.0.0.1:\(count)")
        }
    }

    @Test func aRefusedChangeLetsTheNextOneIn() async throws {
        try await Stage.run { stage in
            await #expect(throws: ChangeRefusal.unknownService("x")) {
                try await stage.apply(.deleteService(name: "x"))
            }
            _ = try await stage.apply(.putService(Self.web))
        }
    }

    @Test func aClientThatLeavesDoesNotStopItsChange() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.silentRings = [0] }
            let change = Task { try await stage.apply(.putService(Self.web)) }
            try await ControlTesting.eventually("committed") { stage.engine.calls.contains("commit") }
            change.cancel()
            // Half done it would let the next one in now.
            let next = Task { try await stage.apply(.putService(Self.db)) }
            try await Task.sleep(for: .milliseconds(20))
            #expect(stage.engine.calls == ["prepare", "commit"])
            stage.engine.state.withLock { $0.silentRings = [] }
            #expect(try await change.value == [Self.web])
            #expect(try await next.value == [Self.db, Self.web])
        }
    }

    // MARK: Refusals

    @Test func anAddressInUseChangesNothing() async throws {
        try await Stage.run { stage in
            _ = try await stage.apply(.putService(Self.db))
            stage.engine.state.withLock { $0.listenFailures = ["web": EADDRINUSE] }
            let error = await #expect(throws: ChangeRefusal.self) {
                try await stage.apply(.replaceAll([Self.web, Self.db]))
            }
            guard case .addressInUse(let issues) = error else {
                Issue.record("not refused as address in use: \(String(describing: error))")
                return
            }
            #expect(issues.map(\.pointer) == ["/0/address"], "the place in the body, not in the sorted list")
            #expect(issues[0].detail.contains("another program"))
            #expect(await stage.plane.configuration().services == [Self.db])
            #expect(stage.engine.calls == ["prepare", "commit", "prepare"])
        }
    }

    /// What a killed process leaves behind is gone a moment later; at the start that is waited for, and nothing else is.
    @Test func theStartWaitsForAddressesToBecomeFree() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.listenFailures = ["web": EADDRINUSE] }
            let start = Task {
                try await stage.plane.start(
                    with: [Self.web], isFromState: false, origin: Stage.origin, waitingForAddresses: .seconds(60)
                )
            }
            try await ControlTesting.eventually("tried again") { stage.engine.calls.count >= 3 }
            #expect(await !stage.plane.readiness().isReady)
            stage.engine.state.withLock { $0.listenFailures = [:] }
            try await start.value
            #expect(await stage.plane.configuration().services == [Self.web])
        }
        for (code, limit) in [(EADDRINUSE, TimeAmount.milliseconds(30)), (EACCES, .seconds(60))] {
            try await Stage.run { stage in
                stage.engine.state.withLock { $0.listenFailures = ["web": code] }
                await #expect(throws: ChangeRefusal.self) {
                    try await stage.plane.start(
                        with: [Self.web], isFromState: false, origin: Stage.origin, waitingForAddresses: limit
                    )
                }
                #expect((stage.engine.calls.count > 1) == (code == EADDRINUSE))
                #expect(await stage.plane.configuration().services == [])
            }
        }
    }

    @Test(arguments: [
        (EACCES, "CAP_NET_BIND_SERVICE"), (EADDRNOTAVAIL, "no network interface"), (EMFILE, "ulimit"),
        (ENFILE, "fs.file-max"), (EAFNOSUPPORT, "family"), (EIO, "errno 5"),
    ])
    func whyItCannotListenIsSaid(_ code: Int32, _ words: String) async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.listenFailures = ["web": code] }
            let error = await #expect(throws: ChangeRefusal.self) { try await stage.apply(.putService(Self.web)) }
            guard case .cannotListen(let issues) = error else {
                Issue.record("not refused as cannot listen: \(String(describing: error))")
                return
            }
            #expect(issues.map(\.pointer) == ["/address"])
            #expect(issues[0].detail.contains(words), "\(issues[0].detail)")
        }
    }

    @Test func theSameAddressTwiceIsRefusedBeforeAnythingIsBound() async throws {
        try await Stage.run { stage in
            var other = Self.db
            other.address = ":80"
            let error = await #expect(throws: ChangeRefusal.self) {
                try await stage.apply(.replaceAll([Self.web, other]))
            }
            guard case .invalid(let issues) = error else {
                Issue.record("not refused as invalid: \(String(describing: error))")
                return
            }
            #expect(issues.map(\.pointer).sorted() == ["/0/address", "/1/address"])
            #expect(stage.engine.calls.isEmpty)
        }
    }

    @Test func aNameThatDoesNotResolveIsRefused() async throws {
        try await Stage.run { stage in
            let change = ConfigurationChange.putBackend(
                service: "web", BackendConfiguration(name: "x", address: "gone.test:80")
            )
            _ = try await stage.apply(.putService(Self.web))
            let error = await #expect(throws: ChangeRefusal.self) { try await stage.apply(change) }
            guard case .invalid(let issues) = error else {
                Issue.record("not refused as invalid: \(String(describing: error))")
                return
            }
            #expect(issues.map(\.pointer) == ["/address"])
        }
    }

    // MARK: Health

    @Test func backendsAreCheckedAndTheEngineHears() async throws {
        var service = Self.web
        service.backends[0].checkAddress = "10.0.0.1:80"
        service.checkIntervalMilliseconds = 5
        let checked = service
        try await Stage.run { stage in
            _ = try await stage.apply(.putService(checked))
            try await ControlTesting.eventually("checks are counted") {
                stage.engine.state.withLock { ($0.checks["web/b0"]?.good ?? 0) > 2 }
            }
            _ = try await stage.apply(.deleteService(name: "web"))
        }
    }

    // MARK: The end

    @Test func drainingRefusesChangesAndIsNotReady() async throws {
        try await Stage.run { stage in
            try await stage.plane.start(with: [Self.web], isFromState: false, origin: ControlPlaneStage.origin)
            #expect(await stage.plane.readiness().isReady)
            stage.engine.state.withLock { $0.activeSessions = 2 }
            let drain = Task { await stage.plane.drain(limit: .seconds(60)) }
            try await ControlTesting.eventually("it stops accepting") { stage.engine.calls.contains("stop accepting") }
            await #expect(throws: ChangeRefusal.shuttingDown) { try await stage.apply(.putService(Self.db)) }
            let readiness = await stage.plane.readiness()
            #expect(!readiness.isReady)
            #expect(readiness.checks.first { !$0.isGood }?.detail.contains("2 sessions") == true)
            #expect(await stage.plane.configuration().services == [Self.web], "reads are served")
            stage.engine.state.withLock { $0.activeSessions = 0 }
            await drain.value
            #expect(!stage.engine.calls.contains("cut"), "the sessions have ended by themselves")
        }
    }

    @Test func sessionsThatStayAreCutAfterTheLimit() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.activeSessions = 1 }
            let start = ContinuousClock.now
            await stage.plane.drain(limit: .milliseconds(100))
            #expect(ContinuousClock.now - start >= .milliseconds(100))
            #expect(stage.engine.calls.last == "cut")
        }
    }

    @Test func aSecondSignalDoesNotWait() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.activeSessions = 1 }
            let drain = Task { await stage.plane.drain(limit: .hours(1)) }
            try await ControlTesting.eventually("it stops accepting") { stage.engine.calls.contains("stop accepting") }
            await stage.plane.cut()
            await drain.value
            #expect(stage.engine.calls.last == "cut")
        }
    }

    @Test func aChangeThatHasBegunIsCarriedThroughBeforeDraining() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.silentRings = [0] }
            let first = Task { try await stage.apply(.putService(Self.web)) }
            try await ControlTesting.eventually("committed") { stage.engine.calls.contains("commit") }
            let second = Task { try await stage.apply(.putService(Self.db)) }
            let drain = Task { await stage.plane.drain(limit: .seconds(5)) }
            try await ControlTesting.eventually("draining") { await !stage.plane.readiness().checks[2].isGood }
            #expect(!stage.engine.calls.contains("stop accepting"))
            stage.engine.state.withLock { $0.silentRings = [] }
            #expect(try await first.value == [Self.web])
            await #expect(throws: ChangeRefusal.shuttingDown) { try await second.value }
            await drain.value
            #expect(stage.engine.calls == ["prepare", "commit", "stop accepting"])
        }
    }
}

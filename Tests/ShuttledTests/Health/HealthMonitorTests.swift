// When which backend is checked, how many at once, and what becomes of the results. Checks are the test's own here.

import Glibc
import Logging
import NIOCore
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct HealthMonitorTests {
    /// A monitor whose checks end when and how the test says. Confined to the loop.
    private final class Stage {
        struct Running {
            var address: Address
            var promise: EventLoopPromise<CheckOutcome>
            let start = NIODeadline.now()
        }

        let loop: any EventLoop
        let log = LogCollector()
        var running: [Running] = []
        var begun: [Address] = []
        var runningMax = 0
        /// How checks end by themselves, at once.
        var answer: ((Address) -> CheckOutcome?) = { _ in nil }
        var results: [CheckResult] = []
        /// Those that count, in order, and whether they were good.
        var checked: [(BackendIdentity, Bool)] = []
        var changed: [String] = []
        /// How many checks had been counted at each of these changes.
        var checkedAtChange: [Int] = []
        private(set) lazy var monitor = makeMonitor()

        init(loop: any EventLoop) {
            self.loop = loop
        }

        private func makeMonitor() -> HealthMonitor {
            HealthMonitor(
                loop: loop, logger: log.logger(),
                check: { [unowned self] target in self.begin(target.checkAddress) },
                observer: .init(
                    checked: { [unowned self] identity, result in
                        self.results.append(result)
                        if result.status != .inconclusive {
                            self.checked.append((identity, result.status == .success))
                        }
                    },
                    changed: { [unowned self] identity, isUp in
                        self.changed.append("\(identity.service)/\(identity.backend) \(isUp ? "up" : "down")")
                        self.checkedAtChange.append(self.checked.count)
                    }
                ),
                schedule: CheckSchedule(generator: SteadyGenerator()), timeOfDayMilliseconds: { 1_764_115_200_029 }
            )
        }

        deinit { finishAll(.inconclusive("the test has ended")) }

        private func begin(_ address: Address) -> EventLoopFuture<CheckOutcome> {
            begun.append(address)
            if let outcome = answer(address) {
                return loop.makeSucceededFuture(outcome)
            }
            let promise = loop.makePromise(of: CheckOutcome.self)
            running.append(Running(address: address, promise: promise))
            runningMax = max(runningMax, running.count)
            return promise.futureResult
        }

        func finishFirst(_ outcome: CheckOutcome) {
            running.removeFirst().promise.succeed(outcome)
        }

        /// Those that run now; others may begin in their place.
        func finishAll(_ outcome: CheckOutcome) {
            for _ in running.indices {
                finishFirst(outcome)
            }
        }

        /// Those that have been running for so long that they count as slow.
        func finishSlow(_ outcome: CheckOutcome) {
            let slow = running.filter { NIODeadline.now() - $0.start > HealthMonitor.slowCheck }
            running.removeAll { check in slow.contains { $0.promise.futureResult === check.promise.futureResult } }
            for check in slow {
                check.promise.succeed(outcome)
            }
        }

        func eventually(_ what: Comment, _ condition: () -> Bool) async throws {
            try await ControlTesting.eventually(what) { condition() }
        }

        func stop() {
            monitor.stop()
            finishAll(.inconclusive("the test has ended"))
        }
    }

    private static func onStage(_ body: @escaping @Sendable (Stage) async throws -> Void) async throws {
        try await ControlTesting.onLoop { loop in
            let stage = Stage(loop: loop)
            defer { stage.stop() }
            try await body(stage)
        }
    }

    private static func target(
        _ number: Int = 1, check: Int? = nil, interval: Int = 3_600_000, fall: Int = 2, rise: Int = 2
    ) -> HealthTarget {
        HealthTarget(
            identity: BackendIdentity(
                service: "web", backend: "b\(number)", address: .loopbackIPv4(port: UInt16(number))
            ),
            checkAddress: .loopbackIPv4(port: UInt16(check ?? number)),
            intervalMilliseconds: interval, connectTimeoutMilliseconds: 1234, probe: .connect,
            probeTimeoutMilliseconds: 4321, fall: fall, rise: rise
        )
    }

    // MARK: When

    @Test func aNewBackendIsCheckedAtOnce() async throws {
        try await Self.onStage { stage in
            stage.monitor.update([Self.target()])
            try await stage.eventually("the first check") { stage.begun.count == 1 }
            #expect(stage.begun == [.loopbackIPv4(port: 1)])
        }
    }

    @Test func checksGoOnAtTheirInterval() async throws {
        try await Self.onStage { stage in
            stage.answer = { _ in .succeeded }
            let start = NIODeadline.now()
            stage.monitor.update([Self.target(interval: 20)])
            try await stage.eventually("ten checks") { stage.begun.count >= 10 }
            #expect(NIODeadline.now() - start >= .milliseconds(180), "not more often than that")
            #expect(stage.checked.allSatisfy { $0.1 })
        }
    }

    @Test func oneAfterTheOtherHoweverLongItTakes() async throws {
        try await Self.onStage { stage in
            stage.monitor.update([Self.target(interval: 5)])
            try await stage.eventually("the first check") { stage.begun.count == 1 }
            await stage.loop.pause(.milliseconds(50))
            #expect(stage.begun.count == 1, "the one that runs is not overtaken")
            stage.finishFirst(.succeeded)
            try await stage.eventually("the next one") { stage.begun.count == 2 }
        }
    }

    @Test func checksAtOnceAreBoundedAndInLine() async throws {
        try await Self.onStage { stage in
            let count = HealthMonitor.checksMax + 50
            stage.monitor.update((1...count).map { Self.target($0, interval: 100) })
            try await stage.eventually("as many as may") { stage.running.count == HealthMonitor.checksMax }
            await stage.loop.pause(.milliseconds(150))
            #expect(stage.begun.count == HealthMonitor.checksMax)
            stage.finishAll(.succeeded)
            try await stage.eventually("the rest") { Set(stage.begun).count == count }
            #expect(stage.runningMax <= HealthMonitor.checksMax)
        }
    }

    @Test func theOnesThatHangDoNotKeepTheOthersWaiting() async throws {
        try await Self.onStage { stage in
            // More than there is room for, and they hang.
            let hanging = (1...200).map { Self.target($0, interval: 100, fall: 1000) }
            stage.answer = { $0.port > 1000 ? .succeeded : nil }
            stage.monitor.update(hanging)
            try await stage.eventually("no room is left") { stage.running.count == HealthMonitor.checksMax }
            // Until all of them are known to be slow, some are checked in everybody's room.
            try await stage.eventually("they have half of the room") {
                stage.finishSlow(.failed("timeout"))
                return Set(stage.begun).count == 200 && stage.running.count == HealthMonitor.slowChecksMax
            }
            let quick = Self.target(2000, interval: 10)
            stage.monitor.update(hanging + [quick])
            try await stage.eventually("the quick one is checked meanwhile") {
                stage.begun.filter { $0.port == 2000 }.count >= 10
            }
            #expect(stage.running.count < HealthMonitor.checksMax, "there was room all the time")
        }
    }

    // MARK: What becomes of it

    @Test func fallAndRise() async throws {
        try await Self.onStage { stage in
            var isGood = false
            stage.answer = { _ in isGood ? .succeeded : .failed("connection refused") }
            stage.monitor.update([Self.target(interval: 5, fall: 3, rise: 2)])
            try await stage.eventually("down") { stage.changed == ["web/b1 down"] }
            #expect(stage.checkedAtChange == [3])
            isGood = true
            try await stage.eventually("up") { stage.changed == ["web/b1 down", "web/b1 up"] }
            #expect(stage.checked.prefix(stage.checkedAtChange[1]).count { $0.1 } == 2)
            let lines = stage.log.lines
            let down = try #require(lines.first { $0.contains("backend is down") })
            for part in ["warning", "service=web", "backend=b1", "check_address=127.0.0.1:1", #""connection refused""#]
            {
                #expect(down.contains(part), "\(part) in \(down)")
            }
            #expect(lines.contains { $0.contains("info") && $0.contains("backend is up") })
            let bad = try #require(stage.results.first)
            #expect(bad.status == .fail && bad.reason == "connection refused" && bad.durationMicroseconds < 1_000_000)
            #expect(bad.endedAtMilliseconds == 1_764_115_200_029)
            #expect(stage.results.contains { $0.status == .success && $0.reason == nil })
        }
    }

    @Test func ourOwnExhaustionCountsForNothing() async throws {
        try await Self.onStage { stage in
            var outcomes: [CheckOutcome] = [.failed("x"), .inconclusive("too many open files"), .failed("x")]
            stage.answer = { _ in outcomes.isEmpty ? .inconclusive("too many open files") : outcomes.removeFirst() }
            stage.monitor.update([Self.target(interval: 5, fall: 3)])
            try await stage.eventually("many checks") { stage.begun.count > 10 }
            #expect(stage.checked.count == 2)
            #expect(stage.results.last?.status == .inconclusive && stage.results.last?.reason == "too many open files")
            #expect(stage.changed.isEmpty)
            #expect(stage.log.lines.count { $0.contains("could not be made") } == 1, "said once")
            outcomes = [.failed("x")]
            try await stage.eventually("down by the third failure") { stage.changed == ["web/b1 down"] }
        }
    }

    // MARK: Changes

    @Test func healthAndCountsCarryOver() async throws {
        try await Self.onStage { stage in
            stage.monitor.update([Self.target(interval: 5, fall: 3)])
            for number in 1...2 {
                try await stage.eventually("check \(number)") { stage.running.count == 1 }
                stage.finishFirst(.failed("x"))
            }
            try await stage.eventually("the third check") { stage.running.count == 1 }
            stage.monitor.update([Self.target(interval: 6, fall: 3), Self.target(2)])
            #expect(stage.changed.isEmpty)
            stage.finishFirst(.failed("x"))
            #expect(stage.changed == ["web/b1 down"])
        }
    }

    @Test func anUnchangedTargetKeepsItsTime() async throws {
        try await Self.onStage { stage in
            stage.answer = { _ in .succeeded }
            stage.monitor.update([Self.target()])
            try await stage.eventually("the first check") { stage.begun.count == 1 }
            stage.monitor.update([Self.target(), Self.target(2)])
            try await stage.eventually("the new one") { stage.begun.count == 2 }
            await stage.loop.pause(.milliseconds(30))
            #expect(stage.begun == [.loopbackIPv4(port: 1), .loopbackIPv4(port: 2)])
        }
    }

    @Test func aNewCheckAddressIsCheckedAtOnce() async throws {
        try await Self.onStage { stage in
            stage.answer = { _ in .succeeded }
            stage.monitor.update([Self.target()])
            try await stage.eventually("the first check") { stage.begun.count == 1 }
            stage.monitor.update([Self.target(check: 99)])
            try await stage.eventually("the other address") { stage.begun.last == .loopbackIPv4(port: 99) }
        }
    }

    @Test func aShorterIntervalHoldsAtOnce() async throws {
        try await Self.onStage { stage in
            stage.answer = { _ in .succeeded }
            stage.monitor.update([Self.target(interval: 3_600_000)])
            try await stage.eventually("the first check") { stage.begun.count == 1 }
            stage.monitor.update([Self.target(interval: 20)])
            try await stage.eventually("the next one") { stage.begun.count >= 2 }
        }
    }

    @Test func aResultOfTheOldAddressDoesNotCount() async throws {
        try await Self.onStage { stage in
            stage.monitor.update([Self.target(fall: 1)])
            try await stage.eventually("the first check") { stage.begun.count == 1 }
            stage.monitor.update([Self.target(check: 99, fall: 1)])
            stage.finishFirst(.failed("x"))
            try await stage.eventually("the other address") { stage.begun.last == .loopbackIPv4(port: 99) }
            #expect(stage.checked.isEmpty && stage.changed.isEmpty)
        }
    }

    @Test func anotherQuestionIsAskedAtOnceAndTheOldAnswerDoesNotCount() async throws {
        try await Self.onStage { stage in
            stage.monitor.update([Self.target(fall: 1)])
            try await stage.eventually("the first check") { stage.running.count == 1 }
            var target = Self.target(fall: 1)
            target.probe = .expect(ExpectedAnswer(send: [], expect: [1]))
            stage.monitor.update([target])
            stage.finishFirst(.failed("x"))
            try await stage.eventually("the other question") { stage.running.count == 1 }
            #expect(stage.results.isEmpty && stage.changed.isEmpty)
            stage.finishFirst(.succeeded)
            target.probe = .expect(ExpectedAnswer(send: [], expect: [2]))
            stage.monitor.update([target])
            try await stage.eventually("asked at once, long before the interval") { stage.running.count == 1 }
        }
    }

    @Test func withoutChecksABackendIsUp() async throws {
        try await Self.onStage { stage in
            stage.answer = { _ in .failed("x") }
            stage.monitor.update([Self.target(interval: 5, fall: 1)])
            try await stage.eventually("down") { stage.changed == ["web/b1 down"] }
            stage.monitor.update([])
            #expect(stage.changed == ["web/b1 down", "web/b1 up"])
            let begun = stage.begun.count
            await stage.loop.pause(.milliseconds(30))
            #expect(stage.begun.count == begun)
        }
    }

    @Test func aResultThatComesTooLateIsDropped() async throws {
        try await Self.onStage { stage in
            stage.monitor.update([Self.target(interval: 5, fall: 1)])
            try await stage.eventually("the first check") { stage.begun.count == 1 }
            stage.monitor.update([])
            stage.monitor.update([Self.target(interval: 3_600_000, fall: 1)])
            stage.finishFirst(.failed("of the one that was removed"))
            try await stage.eventually("a check of its own") { stage.begun.count == 2 }
            #expect(stage.checked.isEmpty && stage.changed.isEmpty)
        }
    }

    @Test func anotherAddressIsAnotherBackend() async throws {
        try await Self.onStage { stage in
            stage.answer = { $0.port == 7 ? .failed("x") : .succeeded }
            stage.monitor.update([Self.target(check: 7, interval: 5, fall: 1)])
            try await stage.eventually("down") { stage.changed == ["web/b1 down"] }
            var moved = Self.target(check: 8, interval: 5, fall: 1, rise: 1000)
            moved.identity.address = .loopbackIPv4(port: 500)
            stage.monitor.update([moved])
            try await stage.eventually("checked as a new one") { stage.checked.last?.1 == true }
            #expect(stage.changed.last == "web/b1 up", "nothing holds the new one down")
        }
    }

    @Test func afterStopNothingIsChecked() async throws {
        try await Self.onStage { stage in
            stage.monitor.update([Self.target(1, interval: 5, fall: 1), Self.target(2, interval: 5)])
            try await stage.eventually("both") { stage.begun.count == 2 }
            stage.monitor.stop()
            stage.finishAll(.failed("x"))
            await stage.loop.pause(.milliseconds(30))
            #expect(stage.begun.count == 2 && stage.checked.isEmpty && stage.changed.isEmpty)
        }
    }

    @Test func targetsOfAService() {
        var service = ControlTesting.service("web", ":80", backends: ["10.0.0.1:1", "10.0.0.2:1"])
        let addresses: [Address] = [.loopbackIPv4(port: 1), .loopbackIPv4(port: 2)]
        let checks: [Address?] = [nil, .loopbackIPv4(port: 9)]
        let targets = HealthTarget.targets(of: service, backendAddresses: addresses, checkAddresses: checks)
        #expect(targets.map(\.identity.backend) == ["b1"])
        #expect(targets.map(\.checkAddress) == [.loopbackIPv4(port: 9)])
        #expect(targets.map(\.identity.address) == [.loopbackIPv4(port: 2)])
        #expect(targets.map(\.probe) == [.connect])
        service.check = CheckConfiguration(type: .tls, host: "www.example", timeoutMilliseconds: 77)
        service.connectTimeoutMilliseconds = 78
        let other = HealthTarget.targets(of: service, backendAddresses: addresses, checkAddresses: checks)[0]
        #expect(other.probe == .tls(TLSPeer(serverName: "www.example", isVerified: false)))
        #expect(other.probeTimeoutMilliseconds == 77 && other.connectTimeoutMilliseconds == 78)
        service.checkIntervalMilliseconds = 0
        #expect(HealthTarget.targets(of: service, backendAddresses: addresses, checkAddresses: checks).isEmpty)
    }
}

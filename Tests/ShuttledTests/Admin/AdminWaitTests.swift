// Requests that wait: what may be asked, what is answered, how many there may be, and that they are noticed to leave.

import NIOCore
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct AdminWaitTests {
    private static let path = "/v1/services/web/wait"

    @Test func whatWasSeenIsAnswered() async throws {
        try await AdminFixture.run { admin async throws in
            admin.control.setWaitOutcome(
                .settled(.reached([ServiceWait.Seen(name: "one", state: .drain, isUp: true, active: 0)])))
            let response = try await admin.request("GET", Self.path + "?until=drained&timeout=5m&backend=one")
            #expect(response.status == 200)
            #expect(response["content-type"] == "application/json")
            let document = try JSONDocument(parsing: Array(response.body.utf8)).root
            #expect(document.member("until")?.string == "drained")
            #expect(response.body.contains("\"state\": \"drain\""))
            let asked = try #require(admin.control.waits.last)
            #expect(asked.wait == ServiceWait(service: "web", goal: .drained, backend: "one"))
            #expect(asked.timeout == .minutes(5))
            _ = try await admin.request("GET", Self.path + "?until=healthy")
            #expect(admin.control.waits.last?.timeout == .seconds(60), "where nothing is said")
            #expect(admin.control.waits.last?.wait.backend == nil)
            #expect(admin.control.wereCallsOnLoop)
        }
    }

    @Test(
        arguments: [
            ("", "until is \"\""), ("?until=dead", "drained or healthy"), ("?until=drained&until=healthy", "twice"),
            ("?until=drained&for=3s", "until, timeout, backend"), ("?until=drained&timeout=30", "30s"),
            ("?until=drained&timeout=", "unit"), ("?until=drained&timeout=61m", "1h"),
            ("?until=drained&timeout=-1s", "-1s"),
            ("?until=drained&timeout=1.5s", "whole number"), ("?until=drained&timeout=99999999999999999999h", "1h"),
        ])
    func whatCannotBeUsedIsRefused(_ query: String, _ words: String) async throws {
        try await AdminFixture.run { admin async throws in
            let response = try await admin.request("GET", Self.path + query)
            #expect(response.status == 400)
            let problem = try response.problem()
            #expect(problem.detail.contains(words), "\(problem)")
            #expect(admin.control.waits.isEmpty)
        }
    }

    @Test func durationsAreWholeNumbersWithUnits() {
        for (text, amount) in [
            ("0", .zero), ("0s", .zero), ("250ms", .milliseconds(250)), ("30s", .seconds(30)), ("5m", .minutes(5)),
            ("1h", .hours(1)), ("1000000h", .hours(1_000_000)), ("00s", .zero),
        ] as [(String, TimeAmount)] {
            #expect(QueryParameters.duration(text) == amount, "\(text)")
        }
        for text in ["", "s", "1", "1 s", "1S", "1d", "+1s", "1ss", "1000001s", "٣s", "1s "] {
            #expect(QueryParameters.duration(text) == nil, "\(text)")
        }
        for (amount, text) in [
            (.zero, "0ms"), (.milliseconds(1500), "1500ms"), (.seconds(90), "90s"), (.minutes(2), "2m"),
            (.hours(1), "1h"),
        ] as [(TimeAmount, String)] {
            #expect(QueryParameters.text(amount) == text)
        }
    }

    @Test(
        arguments: [
            (.settled(.unknownService), 404, "unknown-service"), (.settled(.unknownBackend), 404, "unknown-backend"),
            (.settled(.takesSessions), 409, "not-draining"), (.shuttingDown, 503, "shutting-down"),
            (.timedOut([ConfigurationIssue(pointer: "/backends/3/active", detail: "in the way")]), 408, "wait-timeout"),
        ] as [(ServiceWait.Outcome, Int, String)])
    func whatDoesNotComeAboutIsAProblem(_ outcome: ServiceWait.Outcome, _ status: Int, _ type: String) async throws {
        try await AdminFixture.run { admin async throws in
            admin.control.setWaitOutcome(outcome)
            let response = try await admin.request("GET", Self.path + "?until=drained&backend=one&timeout=3s")
            #expect(response.status == status)
            let problem = try response.problem()
            #expect(problem.type == "urn:shuttle:problem:\(type)")
            if status == 408 {
                #expect(problem.pointers == ["/backends/3/active"])
                #expect(problem.detail.contains("after 3s: in the way"))
            }
        }
    }

    @Test func noMoreMayWaitThanThereArePlaces() async throws {
        var limits = AdminLimits()
        limits.waitersMax = 2
        try await AdminFixture.run(limits: limits) { admin async throws in
            var waiting: [RawConnection] = []
            for number in 1...2 {
                let connection = try await admin.connect()
                await connection.send(admin.head("GET", Self.path + "?until=drained"))
                waiting.append(connection)
                try await ControlTesting.eventually("it waits") { admin.control.waits.count == number }
            }
            let refused = try await admin.request("GET", Self.path + "?until=drained")
            #expect(refused.status == 503)
            #expect(refused["retry-after"] != nil)
            #expect(try refused.problem().type == "urn:shuttle:problem:too-many-waiting")
            // Who leaves makes room, whether it resets its connection or ends it.
            await waiting[0].close()
            try await ControlTesting.eventually("its leaving is noticed") { admin.control.waitEnds == [.left] }
            let next = try await admin.connect()
            await next.send(admin.head("GET", Self.path + "?until=drained"))
            try await ControlTesting.eventually("there is room") { admin.control.waits.count == 3 }
            await next.close()
            await waiting[1].close()
        }
    }

    /// Who ends its side is told what becomes of that, should it still listen.
    @Test func whoEndsItsSideHasLeft() async throws {
        try await AdminFixture.run { admin async throws in
            let connection = try await admin.connect()
            await connection.send(admin.head("GET", Self.path + "?until=drained"))
            try await ControlTesting.eventually("it waits") { admin.control.waits.count == 1 }
            await connection.finish()
            let response = try await connection.response()
            #expect(response.status == 400)
            #expect(try response.problem().type == "urn:shuttle:problem:client-left")
            await connection.close()
        }
    }

    @Test func timesOfTheConnectionDoNotCutItOff() async throws {
        var limits = AdminLimits()
        (limits.headTimeout, limits.bodyTimeout) = (.milliseconds(300), .milliseconds(50))
        (limits.answerTimeout, limits.idleTimeout) = (.milliseconds(50), .milliseconds(50))
        (limits.stallTimeout, limits.undisturbedTime, limits.connectionsMax) = (.milliseconds(10), .zero, 2)
        try await AdminFixture.run(limits: limits) { admin async throws in
            let waiting = try await admin.connect()
            await waiting.send(admin.head("GET", Self.path + "?until=drained"))
            try await ControlTesting.eventually("it waits") { admin.control.waits.count == 1 }
            try await admin.loop.scheduleTask(in: .milliseconds(400)) {}.futureResult.get()
            // Newcomers that need a place do not get this one.
            for _ in 0..<4 {
                #expect(try await admin.request("GET", "/web").status == 200)
            }
            #expect(admin.control.waitEnds.isEmpty)
            await waiting.close()
        }
    }

    @Test func stoppingIsAnswered() async throws {
        try await AdminFixture.run { admin async throws in
            let connection = try await admin.connect()
            await connection.send(admin.head("GET", Self.path + "?until=drained"))
            try await ControlTesting.eventually("it waits") { admin.control.waits.count == 1 }
            await admin.stop()
            let response = try await connection.response()
            #expect(response.status == 503)
            #expect(admin.control.waitEnds == [.stopping])
            await connection.close()
        }
    }
}

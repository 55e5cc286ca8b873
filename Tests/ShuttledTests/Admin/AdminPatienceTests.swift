// Slow and greedy clients, and stopping: who has to go, when, and that everybody else is served. Times are short here;
// that they are kept to the second is for ConnectionStateTests.

import NIOCore
import NIOPosix
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct AdminPatienceTests {
    private static let serviceBody = "{\"address\": \"127.0.0.1:8081\"}"

    // MARK: Time

    @Test func silenceIsClosedWithoutAWord() async throws {
        var limits = AdminLimits()
        limits.headTimeout = .milliseconds(50)
        try await AdminFixture.run(limits: limits) { admin async throws in
            let connection = try await admin.connect()
            #expect(try await connection.untilClosed() == "")
        }
    }

    /// The time runs from the connection, so that on a busy machine a client may come too late with anything at all: it
    /// tries again then.
    @Test func aSlowHeaderIsRefused() async throws {
        var limits = AdminLimits()
        limits.headTimeout = .milliseconds(200)
        try await AdminFixture.run(limits: limits) { admin async throws in
            let refused = try await response { _ in "GET /web HTTP/1.1\r\nHost: " }
            #expect(refused.status == 408)
            #expect(try refused.problem().detail.contains("200 ms"))
            // The same after a request that was answered, from its first byte on.
            let refusedLater = try await response { connection async throws in
                await connection.send(admin.head("GET", "/web"))
                #expect(try await connection.response().status == 200)
                return "G"
            }
            #expect(refusedLater.status == 408)

            func response(_ begin: (RawConnection) async throws -> String) async throws -> RawResponse {
                for _ in 0..<50 {
                    let connection = try await admin.connect()
                    do {
                        await connection.send(try await begin(connection))
                        let response = try await connection.response()
                        #expect(try await connection.untilClosed() == "")
                        return response
                    } catch RawConnectionError.closed("") {
                        await connection.close()
                    }
                }
                throw RawConnectionError.closed("at every attempt")
            }
        }
    }

    @Test func aSlowBodyIsRefusedAndChangesNothing() async throws {
        var limits = AdminLimits()
        limits.bodyTimeout = .milliseconds(50)
        limits.bytesPerSecondMin = 1 << 30
        try await AdminFixture.run(limits: limits) { admin async throws in
            let head = admin.head("PUT", "/api", body: Self.serviceBody)
            for part in ["", "{", String(Self.serviceBody.dropLast())] {
                let connection = try await admin.connect()
                await connection.send(head + part)
                let response = try await connection.response()
                #expect(response.status == 408)
                #expect(response["connection"] == "close")
                #expect(try response.problem().detail.contains("Nothing was changed"))
                #expect(try await connection.untilClosed() == "")
            }
            // Steady drops are no better.
            let connection = try await admin.connect()
            await connection.send(admin.head("PUT", "/api", headers: ["Content-Length: 1000000"]))
            let dripping = Task {
                while !Task.isCancelled {
                    await connection.send(" ")
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
            #expect(try await connection.response().status == 408)
            dripping.cancel()
            #expect(admin.control.services == [FakeControl.web])
        }
    }

    @Test func anIdleConnectionIsClosed() async throws {
        var limits = AdminLimits()
        limits.idleTimeout = .milliseconds(50)
        try await AdminFixture.run(limits: limits) { admin async throws in
            let connection = try await admin.connect()
            await connection.send(admin.head("GET", "/web"))
            #expect(try await connection.response().status == 200)
            #expect(try await connection.untilClosed() == "")
        }
    }

    /// A client that asks for much and reads nothing.
    @Test func anAnswerThatIsNotTakenIsCutOff() async throws {
        var limits = AdminLimits()
        limits.answerTimeout = .milliseconds(300)
        limits.stallTimeout = .milliseconds(50)
        let many = (0..<4000).map { ServiceConfiguration(name: "service-\($0)", address: "127.0.0.1:\($0 + 1)") }
        try await AdminFixture.run(many, limits: limits) { admin async throws in
            let connection = try await admin.connect()
            try await connection.channel.setOption(.autoRead, value: false).get()
            // More than the kernel keeps for both sides.
            await connection.send(String(repeating: admin.head("GET", "/config"), count: 40))
            #expect(try await admin.request("GET", "/service-1").status == 200)
            try await eventually { try await admin.connectionCount() == 0 }
            try await connection.channel.setOption(.autoRead, value: true).get()
            let received = try await connection.untilClosed()
            #expect(received.utf8.count < 40 * 1_000_000)
        }
    }

    /// A change takes as long as it takes; its client is not blamed.
    @Test func carryingOutHasNoDeadline() async throws {
        var limits = AdminLimits()
        limits.answerTimeout = .milliseconds(20)
        limits.stallTimeout = .milliseconds(20)
        limits.idleTimeout = .milliseconds(20)
        try await AdminFixture.run(limits: limits) { admin async throws in
            let gate = admin.loop.makePromise(of: Void.self)
            admin.control.setGate(gate.futureResult)
            async let response = admin.request("PUT", "/api", body: Self.serviceBody)
            _ = admin.loop.scheduleTask(in: .milliseconds(200)) { gate.succeed() }
            #expect(try await response.status == 200)
        }
    }

    /// Otherwise the change could be made, and its answer say that the body came too slowly.
    @Test func aRemovalWaitsForItsBody() async throws {
        try await AdminFixture.run { admin async throws in
            let body = String(repeating: "x", count: 1000)
            let connection = try await admin.connect()
            await connection.send(admin.head("DELETE", "/web", body: body) + body.dropLast())
            #expect(try await admin.request("GET", "/web").status == 200)
            #expect(admin.control.changesAsked == 0)
            await connection.send("x")
            #expect(try await connection.response().status == 200)
            #expect(admin.control.services == [])
            await connection.close()
        }
    }

    // MARK: Places

    /// With every place taken by requests that never end, a real one is served at once: the oldest of them goes.
    @Test func halfOpenRequestsDoNotKeepOthersOut() async throws {
        try await AdminFixture.run { admin async throws in
            var silent: [RawConnection] = []
            for index in 0..<200 {
                let connection = try await admin.connect()
                await connection.send(index.isMultiple(of: 2) ? "GET / HTTP/1.1\r\nHost:" : "")
                silent.append(connection)
                if index.isMultiple(of: 50) {
                    #expect(try await admin.request("GET", "/web").status == 200)
                }
            }
            #expect(try await admin.request("PUT", "/api", body: Self.serviceBody).status == 200)
            #expect(try await admin.connectionCount() <= AdminLimits().connectionsMax)
            #expect(try await silent[0].untilClosed() == "", "the oldest went without a word")
            for connection in silent {
                await connection.close()
            }
        }
    }

    @Test func idleConnectionsMakeRoomForNewOnes() async throws {
        var limits = AdminLimits()
        limits.connectionsMax = 4
        try await AdminFixture.run(limits: limits) { admin async throws in
            var kept: [RawConnection] = []
            for _ in 0..<20 {
                let connection = try await admin.connect()
                await connection.send(admin.head("GET", "/web"))
                #expect(try await connection.response().status == 200)
                kept.append(connection)
            }
            #expect(try await admin.connectionCount() == 4)
            for connection in kept.dropLast(4) {
                #expect(try await connection.untilClosed() == "")
            }
            await kept[19].send(admin.head("GET", "/web"))
            #expect(try await kept[19].response().status == 200)
            for connection in kept {
                await connection.close()
            }
        }
    }

    /// Bodies that stall make room as well, after a moment.
    @Test func stalledBodiesMakeRoom() async throws {
        var limits = AdminLimits()
        limits.connectionsMax = 3
        limits.stopTimeout = .milliseconds(50)
        limits.stallTimeout = .milliseconds(50)
        try await AdminFixture.run(limits: limits) { admin async throws in
            for _ in 0..<3 {
                let connection = try await admin.connect()
                await connection.send(admin.head("PUT", "/api", body: Self.serviceBody) + "{")
            }
            #expect(try await admin.request("GET", "/web").status == 200)
            #expect(admin.control.services == [FakeControl.web])
        }
    }

    @Test func whereEveryPlaceIsInUseOthersWait() async throws {
        var limits = AdminLimits()
        limits.connectionsMax = 2
        limits.undisturbedTime = .seconds(60)
        try await AdminFixture.run(limits: limits) { admin async throws in
            let gate = admin.loop.makePromise(of: Void.self)
            admin.control.setGate(gate.futureResult)
            async let first = admin.request("PUT", "/a", body: Self.serviceBody)
            async let second = admin.request("PUT", "/b", body: Self.serviceBody)
            try await eventually { admin.control.changesAsked == 2 }
            async let third = admin.request("GET", "/web")
            async let fourth = admin.request("GET", "/web")
            _ = admin.loop.scheduleTask(in: .milliseconds(100)) { gate.succeed() }
            #expect(try await first.status == 200)
            #expect(try await second.status == 200)
            #expect(try await third.status == 200)
            #expect(try await fourth.status == 200)
        }
    }

    @Test func manyAtOnceAreServed() async throws {
        var limits = AdminLimits()
        limits.undisturbedTime = .seconds(60)
        try await AdminFixture.run(limits: limits) { admin async throws in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<300 {
                    group.addTask {
                        index.isMultiple(of: 3)
                            ? try await admin.request("PUT", "/s\(index)", body: Self.serviceBody).status
                            : try await admin.request("GET", "/").status
                    }
                }
                for try await status in group {
                    #expect(status == 200)
                }
            }
            #expect(admin.control.services.count == 101)
        }
    }

    // MARK: Stopping

    @Test func stoppingLetsRequestsFinish() async throws {
        try await AdminFixture.run { admin async throws in
            let gate = admin.loop.makePromise(of: Void.self)
            admin.control.setGate(gate.futureResult)
            let idle = try await admin.connect()
            await idle.send(admin.head("GET", "/web"))
            #expect(try await idle.response().status == 200)
            let busy = try await admin.connect()
            await busy.send(admin.head("PUT", "/api", body: Self.serviceBody) + Self.serviceBody)
            try await eventually { admin.control.changesAsked == 1 }
            await admin.stop()
            #expect(try await idle.untilClosed() == "", "who waits for nothing is let go")
            await #expect(throws: (any Error).self) { try await admin.connect() }
            gate.succeed()
            let response = try await busy.response()
            #expect(response.status == 200)
            #expect(response["connection"] == "close")
            #expect(try await busy.untilClosed() == "")
        }
    }

    @Test func stoppingDoesNotWaitForever() async throws {
        var limits = AdminLimits()
        limits.stopTimeout = .milliseconds(50)
        try await AdminFixture.run(limits: limits) { admin async throws in
            let connection = try await admin.connect()
            await connection.send(admin.head("PUT", "/api", body: Self.serviceBody) + "{")
            try await eventually { try await admin.connectionCount() == 1 }
            await admin.stop()
            #expect(try await connection.untilClosed() == "")
        }
    }

    /// A client that has its answer and never closes its side.
    @Test func stoppingDoesNotWaitForClientsToClose() async throws {
        var limits = AdminLimits()
        limits.lingerTimeout = .seconds(600)
        limits.stopTimeout = .seconds(600)
        try await AdminFixture.run(limits: limits) { admin async throws in
            let connection = try await admin.connect()
            await connection.send(admin.head("GET", "/web", headers: ["Connection: close"]))
            #expect(try await connection.response().status == 200)
            #expect(try await admin.connectionCount() == 1)
            await admin.stop()
            try await eventually { try await admin.connectionCount() == 0 }
        }
    }

    @Test func cancellingEndsItAtOnce() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let control = FakeControl(loop: group.any())
        let listener = try AdminListener(opening: try AdminAddress(parsing: "127.0.0.1:0"))
        let server = AdminServer(
            listener: listener,
            responder: AdminResponder(control: control, hosts: AllowedHosts(boundTo: listener.address)),
            group: group, logger: AdminFixture.silentLogger
        )
        let running = Task(executorPreference: ControlLoopExecutor(loop: group.any())) { try await server.run() }
        var connections: [RawConnection] = []
        for index in 0..<10 {
            let connection = try await RawConnection.open(listener.boundAddress, on: group)
            await connection.send(index.isMultiple(of: 2) ? "GET / HTTP/1.1\r\n" : "")
            connections.append(connection)
        }
        running.cancel()
        try await running.value
        for connection in connections {
            _ = try await connection.untilClosed()
        }
        await #expect(throws: AdminServer.AlreadyRun.self) { try await server.run() }
        try await group.shutdownGracefully()
    }
}

/// Waits for a condition that comes about by itself.
func eventually(_ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while try await !condition() {
        try #require(ContinuousClock.now < deadline, "the condition did not come about")
        try await Task.sleep(for: .milliseconds(2))
    }
}

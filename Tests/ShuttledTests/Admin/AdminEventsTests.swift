// The stream of events: its form, where it goes on, what may be asked, how many there may be, and how it ends.

import Hummingbird
import NIOCore
import NIOPosix
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct AdminEventsTests {
    /// Everything that has come of a stream, as far as it contains `words`.
    private static func read(_ connection: RawConnection, until words: String) async throws -> String {
        try await connection.text { $0.contains(words) }
    }

    private static func begin(
        _ admin: AdminFixture, _ query: String = "", _ headers: [String] = []
    ) async throws -> RawConnection {
        let connection = try await admin.connect()
        await connection.send(admin.head("GET", "/v1/events" + query, headers: headers))
        let text = try await read(connection, until: "retry: ")
        #expect(text.hasPrefix("HTTP/1.1 200 "), "\(text)")
        return connection
    }

    @Test func eventsAreSentAsTheyHappen() async throws {
        try await AdminFixture.run { admin async throws in
            admin.control.events.post(.change, ["from": .text("before")])
            let connection = try await Self.begin(admin)
            admin.control.events.post(.backendDown, ["service": .text("web\n"), "count": .number(3)])
            let head = try await Self.read(connection, until: "retry: ").lowercased()
            #expect(head.contains("content-type: text/event-stream\r\n"))
            #expect(head.contains("cache-control: no-store\r\n") && head.contains("transfer-encoding: chunked\r\n"))
            #expect(head.contains("connection: close\r\n"))
            let event = try await Self.read(connection, until: "web")
            #expect(event.contains("id: test-2\nevent: backend-down\ndata: {\"time\": \""))
            #expect(event.contains("\"service\": \"web\\n\", \"count\": 3}\n\n"))
            #expect(!event.contains("before"), "only what comes")
            #expect(admin.control.wereCallsOnLoop)
            await connection.close()
        }
    }

    @Test func whoComesAgainIsToldWhatItMissed() async throws {
        try await AdminFixture.run { admin async throws in
            for number in 1...3 {
                admin.control.events.post(.change, ["request": .text("number \(number)")])
            }
            for (query, headers) in [("?last_event_id=test-1", []), ("?last_event_id=x", ["Last-Event-ID: test-1"])] {
                let connection = try await Self.begin(admin, query, headers)
                let text = try await Self.read(connection, until: "number 3")
                #expect(text.contains("number 2") && !text.contains("number 1") && !text.contains("missed"))
                await connection.close()
            }
            let all = try await Self.begin(admin, "?last_event_id=0")
            let text = try await Self.read(all, until: "number 3")
            #expect(text.contains("number 1") && !text.contains("missed"))
            await all.close()
        }
    }

    @Test func whoComesTooLateIsToldSo() async throws {
        try await AdminFixture.run { admin async throws in
            for number in 1...100 {
                admin.control.events.post(.change, ["request": .text("number \(number).")])
            }
            for (id, reason) in [("test-2", "too-old"), ("other-99", "other-process"), ("test-101", "unknown")] {
                let connection = try await Self.begin(admin, "?last_event_id=\(id)")
                let text = try await Self.read(connection, until: "number 100.")
                #expect(text.contains("id: test-36\nevent: missed\ndata: {\"reason\": \"\(reason)\""), "\(text)")
                #expect(text.contains("number 37.") && !text.contains("number 36."))
                await connection.close()
            }
        }
    }

    @Test func onlyTheTypesThatWereAskedForAreSent() async throws {
        var limits = AdminLimits()
        limits.eventKeepAlive = .milliseconds(20)
        try await AdminFixture.run(limits: limits) { admin async throws in
            let connection = try await Self.begin(admin, "?types=stop,reload")
            admin.control.events.post(.change, ["request": .text("unwanted")])
            // The id goes on, so that who comes again has not missed what it did not want.
            let text = try await Self.read(connection, until: ": nothing new\nid: test-1\n\n")
            #expect(!text.contains("unwanted"))
            admin.control.events.post(.reload, ["outcome": .text("wanted")])
            _ = try await Self.read(connection, until: "wanted")
            await connection.close()
        }
    }

    @Test(
        arguments: [
            ("?types=change,nothing", "nothing"), ("?types=", "backend-down"), ("?types=Change", "Change"),
            ("?types=change,", "types has"), ("?last_event_id=7", "last_event_id is \"7\""), ("?type=change", "types"),
            ("?types=change&types=stop", "twice"),
        ])
    func whatCannotBeUsedIsRefused(_ query: String, _ words: String) async throws {
        try await AdminFixture.run { admin async throws in
            let response = try await admin.request("GET", "/v1/events" + query)
            #expect(response.status == 400)
            let detail = try response.problem().detail
            #expect(detail.contains(words) && detail.utf8.count < 700, "\(detail)")
        }
    }

    @Test func aHeadIsOnlyAHead() async throws {
        try await AdminFixture.run { admin async throws in
            let response = try await admin.request("HEAD", "/v1/events")
            #expect(response.status == 200)
            #expect(response["content-type"] == "text/event-stream")
        }
    }

    @Test func noMoreMayFollowThanThereArePlaces() async throws {
        var limits = AdminLimits()
        limits.eventStreamsMax = 2
        try await AdminFixture.run(limits: limits) { admin async throws in
            let streams = [try await Self.begin(admin), try await Self.begin(admin)]
            let refused = try await admin.request("GET", "/v1/events")
            #expect(refused.status == 503)
            #expect(refused["retry-after"] != nil)
            #expect(try refused.problem().type == "urn:shuttle:problem:too-many-waiting")
            await streams[0].finish()
            try await ControlTesting.eventually("who ends its side makes room") {
                let next = try await admin.connect()
                await next.send(admin.head("GET", "/v1/events"))
                let text = try await Self.read(next, until: "\r\n\r\n")
                await next.close()
                return text.hasPrefix("HTTP/1.1 200")
            }
            for stream in streams { await stream.close() }
        }
    }

    @Test func theEndIsToldAndIsAnEnd() async throws {
        try await AdminFixture.run { admin async throws in
            let connection = try await Self.begin(admin)
            admin.control.events.post(.stop, ["phase": .text("drained")])
            await admin.stop()
            let text = try await connection.untilClosed()
            #expect(text.contains("\"phase\": \"drained\"") && text.hasSuffix("\r\n0\r\n\r\n"), "whole: \(text)")
        }
    }

    /// It has only what the kernel holds, and is cut off.
    @Test func whoTakesNothingIsCutOff() async throws {
        var limits = AdminLimits()
        (limits.answerTimeout, limits.stallTimeout) = (.milliseconds(200), .milliseconds(20))
        let log = LogCollector()
        try await AdminFixture.run(limits: limits, logger: log.logger()) { admin async throws in
            let connection = try await Self.begin(admin)
            try await connection.channel.setOption(.autoRead, value: false).get()
            let text = String(repeating: "x", count: 500)
            try await ControlTesting.eventually("the connection is closed", within: .seconds(30)) {
                for _ in 0..<60 {
                    admin.control.events.post(.change, ["request": .text(text), "from": .text(text)])
                }
                return try await admin.connectionCount() == 0
            }
            func lines() -> [String] { log.lines.filter { $0.contains("event stream cut off") } }
            try await ControlTesting.eventually("the log says so") { !lines().isEmpty }
            #expect(lines().count == 1)
            #expect(lines().first?.contains("takes nothing") == true && lines().first?.contains("127.0.0.1:") == true)
            await connection.close()
        }
    }

    /// It takes what it is sent, so slowly that what comes next is not kept any more.
    @Test func whoFallsBehindIsCutOff() async throws {
        let events = EventLog(capacity: 4, process: "test")
        let log = LogCollector()
        let stream = EventStream(
            log: events, loop: NIOSingletons.posixEventLoopGroup.next(), kinds: Set(EventKind.allCases),
            position: events.end, isFollowing: true, keepAlive: .seconds(15), presence: ClientPresence(),
            peer: "somebody",
            logger: log.logger()
        )
        let taken = LogCollector.Texts()
        var writer: any ResponseBodyWriter = SlowWriter(taken: taken) {
            for number in 1...5 { events.post(.change, ["request": .text("number \(number)")]) }
        }
        try await stream.write(to: &writer)
        #expect(taken.all.count == 1, "the preamble, and nothing after it")
        #expect(log.lines.contains { $0.contains("too far behind") && $0.contains("test-0") })
    }

    private struct SlowWriter: ResponseBodyWriter {
        let taken: LogCollector.Texts
        let meanwhile: @Sendable () -> Void

        mutating func write(_ buffer: ByteBuffer) async throws {
            taken.add(String(buffer: buffer))
            meanwhile()
        }

        consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }
}

// Listing connections over several rings, looking twice, and ending many at a pace.

import NIOCore
import Synchronization
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct ControlPlaneConnectionsTests {
    private typealias Stage = ControlPlaneStage

    private static func session(
        _ place: UInt32, ring: Int = 0, service: String = "web", sent: UInt64 = 0, lookedAt: UInt64 = 1000
    ) -> SessionReport {
        SessionReport(
            identifier: SessionIdentifier(ring: ring, place: place, generation: 1), network: .tcp, state: .relaying,
            service: service, backend: "b0", client: .loopbackIPv4(port: 1), lookedAtMilliseconds: lookedAt,
            ageMilliseconds: 50, idleMilliseconds: 5, sentBytes: sent, receivedBytes: 2 * sent
        )
    }

    private static func query(limit: Int, after: ConnectionCursor? = nil) -> ConnectionQuery {
        var query = ConnectionQuery(limit: limit, after: after)
        query.interval = .zero
        return query
    }

    @Test func pagesGoOverAllRings() async throws {
        try await Stage.run { stage in
            let all = (0..<2).flatMap { ring in (0..<5).map { Self.session($0 * 3, ring: ring) } }
            stage.engine.state.withLock { $0.sessions = [Array(all[..<5]), Array(all[5...])] }
            for limit in [1, 2, 3, 5, 7, 10, 100] {
                var found: [SessionIdentifier] = []
                var cursor: ConnectionCursor?
                repeat {
                    let page = await stage.plane.connections(Self.query(limit: limit, after: cursor))
                    #expect(page.connections.count <= limit)
                    found += page.connections.map(\.session.identifier)
                    cursor = page.next
                } while cursor != nil
                #expect(found == all.map(\.identifier), "limit \(limit)")
            }
        }
    }

    @Test func twoLooksMakeARate() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.sessions[0] = [Self.session(1, sent: 100), Self.session(2, sent: 7)] }
            var query = Self.query(limit: 10)
            query.interval = .milliseconds(200)
            async let page = stage.plane.connections(query)
            try await ControlTesting.eventually("the first look") {
                !stage.engine.state.withLock { $0.queries.isEmpty }
            }
            // One has gone meanwhile.
            stage.engine.state.withLock { $0.sessions[0] = [Self.session(1, sent: 2100, lookedAt: 1500)] }
            let found = await page.connections
            #expect(found.count == 1)
            #expect(found.first?.sentPerSecond == 4000 && found.first?.receivedPerSecond == 8000)
            #expect(found.first?.session.sentBytes == 2100, "as it was at the last look")
        }
    }

    @Test func aConnectionOfNoRing() async throws {
        try await Stage.run { stage in
            let stranger = SessionIdentifier(ring: 9, place: 1, generation: 1)
            #expect(await stage.plane.connection(stranger, interval: .zero) == nil)
            await #expect(throws: DisconnectRefusal.unknownConnection) {
                try await stage.plane.disconnect(stranger, origin: Stage.origin)
            }
            #expect(stage.engine.state.withLock { $0.queries.isEmpty })
        }
    }

    /// From its beginning on never more than the rate allows; everybody else is let alone.
    @Test func aJobEndsThoseThatMatch() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { state in
                state.sessions = (0..<2).map { ring in
                    (0..<20).map { Self.session($0, ring: ring, service: $0 % 2 == 0 ? "web" : "db") }
                }
            }
            var filter = SessionFilter()
            filter.service = "web"
            var request = DisconnectRequest(filter: filter)
            request.rate = DisconnectRate(count: 200, unit: .second)
            let begin = NIODeadline.now().uptimeNanoseconds
            let job = try await stage.plane.disconnect(request, origin: Stage.origin)
            #expect(job.matched == 20 && job.state == .running && job.peer == "127.0.0.1:4000")
            try await ControlTesting.eventually("the job is done") {
                await stage.plane.disconnectJobs().first?.state == .finished
            }
            let ended = stage.engine.state.withLock { $0.ended }
            for (index, end) in ended.enumerated() {
                #expect(end.nanoseconds >= begin + UInt64(index) * request.rate.interval, "number \(index) is early")
            }
            #expect(Set(ended.map(\.identifier)).count == 20)
            #expect(ended.map(\.identifier) != ended.map(\.identifier).sorted { $0.place < $1.place }, "in no order")
            let left = stage.engine.state.withLock { $0.sessions.flatMap { $0 } }
            #expect(left.count == 20 && left.allSatisfy { $0.service == "db" })
            let report = await stage.plane.disconnectJobs()[0]
            #expect(report.ended == 20 && report.gone == 0 && report.remaining == 0)
            #expect(stage.log.lines.contains { $0.contains("connections ended") && $0.contains("ended=20") })
        }
    }

    @Test func aCancelledJobStops() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.sessions[0] = (0..<50).map { Self.session($0) } }
            var request = DisconnectRequest(filter: SessionFilter())
            request.rate = DisconnectRate(count: 1, unit: .minute)
            request.jitterPercent = 0
            let job = try await stage.plane.disconnect(request, origin: Stage.origin)
            let cancelled = await stage.plane.cancelDisconnect(job.id, origin: Stage.origin)
            #expect(cancelled?.state == .cancelled && cancelled?.endedMilliseconds != nil)
            #expect(await stage.plane.cancelDisconnect(99, origin: Stage.origin) == nil)
            try await ControlTesting.eventually("it says so") {
                stage.log.lines.contains { $0.contains("connections ended") && $0.contains("state=cancelled") }
            }
            #expect(stage.engine.state.withLock { $0.sessions[0].count } >= 49)
        }
    }

    @Test func soManyJobsAndNoMore() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.sessions[0] = (0..<50).map { Self.session($0) } }
            var request = DisconnectRequest(filter: SessionFilter())
            request.rate = DisconnectRate(count: 1, unit: .hour)
            for _ in 0..<Disconnects.runningMax {
                _ = try await stage.plane.disconnect(request, origin: Stage.origin)
            }
            await #expect(throws: DisconnectRefusal.tooMany(running: Disconnects.runningMax)) {
                try await stage.plane.disconnect(request, origin: Stage.origin)
            }
            for job in await stage.plane.disconnectJobs() {
                _ = await stage.plane.cancelDisconnect(job.id, origin: Stage.origin)
            }
        }
    }

    /// Those who ask at the same time get their answers one after the other.
    @Test func questionsTakeTurns() async throws {
        try await Stage.run { stage in
            stage.engine.state.withLock { $0.sessions = [[Self.session(1)], [Self.session(1, ring: 1)]] }
            await withTaskGroup(of: Int.self) { group in
                for _ in 0..<20 {
                    group.addTask { await stage.plane.connections(Self.query(limit: 10)).connections.count }
                }
                for await count in group { #expect(count == 2) }
            }
        }
    }
}

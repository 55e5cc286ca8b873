import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import Testing

@testable import ShuttleEngine
@testable import shuttled

struct AccessLogTests {
    /// Sessions in batches, as tests put them there.
    private final class Source: FinishedSessionSource {
        private let batches = Mutex<[FinishedSessions]>([])
        let looks = Mutex(0)

        func add(_ sessions: [FinishedSession], lost: UInt64 = 0) {
            batches.withLock { $0.append(FinishedSessions(sessions: sessions, lost: lost)) }
        }

        func sessionCursor() async -> FinishedSessionCursor { FinishedSessionCursor(positions: [0], logged: [0]) }

        func takeLoggedSessions(since cursor: FinishedSessionCursor, limit: Int) async -> TakenSessions {
            looks.withLock { $0 += 1 }
            let next = batches.withLock { $0.isEmpty ? FinishedSessions(sessions: []) : $0.removeFirst() }
            return TakenSessions(finished: next, cursor: cursor, clock: SessionClock(aheadMilliseconds: 0))
        }
    }

    /// Remembers services of lines; holds its writer up while it is told to.
    private final class Sink: AccessLogSink {
        let services = Mutex<[String]>([])
        let opened = Mutex(0)
        let gate: Mutex<Bool>
        let failing = Mutex(false)

        init(holds: Bool = false) { gate = Mutex(holds) }

        func write(_ lines: [AccessLogSinkLine]) -> AccessLogSinkResult {
            while gate.withLock({ $0 }) { usleep(1000) }
            if failing.withLock({ $0 }) {
                return AccessLogSinkResult(dropped: lines.count, problem: "no room")
            }
            services.withLock { $0 += lines.map(\.service) }
            return AccessLogSinkResult(written: lines.count)
        }

        func reopen() -> String? {
            opened.withLock { $0 += 1 }
            return nil
        }
    }

    private static func session(_ service: String) -> FinishedSession {
        var session = AccessLogLineTests.session()
        session.service = service
        return session
    }

    private struct Stage {
        let source = Source()
        let sink: Sink
        let counts = AccessLogCounts()
        let log = LogCollector()
        let accessLog: AccessLog

        init(holds: Bool = false) {
            sink = Sink(holds: holds)
            let timing = AccessLog.Timing(
                busyPause: .milliseconds(1), idlePause: .milliseconds(1), patience: .milliseconds(50),
                complaintPause: .seconds(3600)
            )
            accessLog = AccessLog(
                source: source, sink: sink, format: .json, counts: counts,
                loop: MultiThreadedEventLoopGroup.singleton.next(), logger: log.logger(), timing: timing
            )
        }

        /// Runs it until `body` returns, and then to its end.
        func run(_ body: () async throws -> Void) async throws {
            let group = ServiceGroup(configuration: .init(services: [accessLog], logger: Logger(label: "test")))
            let running = Task { try await group.run() }
            try await body()
            await group.triggerGracefulShutdown()
            try await running.value
        }
    }

    @Test func everySessionIsWritten() async throws {
        let stage = Stage()
        stage.source.add([Self.session("a"), Self.session("c")])
        try await stage.run {
            try await eventually { stage.counts.values.written == 2 }
            stage.source.add([Self.session("d")])
            try await eventually { stage.counts.values.written == 3 }
        }
        #expect(stage.sink.services.withLock { $0 } == ["a", "c", "d"])
        #expect(stage.counts.values == AccessLogCounts.Values(written: 3))
        #expect(stage.log.lines == [])
    }

    @Test func whatIsLeftIsWrittenAtTheEnd() async throws {
        let stage = Stage(holds: true)
        for name in ["a", "b", "c"] { stage.source.add([Self.session(name)]) }
        try await stage.run {
            try await eventually { stage.source.looks.withLock { $0 } == 1 }
            stage.sink.gate.withLock { $0 = false }
        }
        // The last look takes one batch, as each does.
        let written = stage.sink.services.withLock { $0 }
        #expect(written == Array(["a", "b", "c"].prefix(written.count)) && written.count >= 2)
    }

    /// Nothing is taken while a batch is being written: the rings forget, and nobody waits.
    @Test func oneThatIsHeldUpKeepsNobodyFromStopping() async throws {
        let stage = Stage(holds: true)
        stage.source.add([Self.session("a")])
        try await stage.run { try await eventually { stage.source.looks.withLock { $0 } == 1 } }
        #expect(stage.counts.values.written == 0 && stage.source.looks.withLock { $0 } == 1)
        stage.sink.gate.withLock { $0 = false }
    }

    @Test func whatIsLostIsCountedAndToldOnce() async throws {
        let stage = Stage()
        stage.sink.failing.withLock { $0 = true }
        stage.source.add([Self.session("a")], lost: 5)
        stage.source.add([Self.session("a"), Self.session("a")])
        try await stage.run { try await eventually { stage.counts.values.failed == 3 } }
        #expect(stage.counts.values == AccessLogCounts.Values(overrun: 5, failed: 3))
        #expect(stage.log.lines.count == 1, "\(stage.log.lines)")
        #expect(stage.log.lines.first?.contains("lines=5 reason=\"the log is too slow") == true, "\(stage.log.lines)")
    }

    @Test func itIsReopenedOnItsThread() async throws {
        let stage = Stage()
        await stage.accessLog.reopen()
        #expect(stage.sink.opened.withLock { $0 } == 1)
    }
}

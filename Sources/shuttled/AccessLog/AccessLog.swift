// Owns when the sessions that have ended are taken from the rings and written: the one reader behind the access log.
// Leaves to others: remembering them (the engine), the form of lines, the places they go to (the sinks).

import Logging
import NIOCore
import ServiceLifecycle
import ShuttleEngine
import Synchronization

/// Follows the sessions that end and writes those that their service wants to have logged.
///
/// Rings leave a record of each session in a buffer of fixed size and go on. What was taken from there is written, on a
/// thread of its own, before more is taken: where a disk is slow the buffers run over, which loses lines and counts them,
/// and neither rings nor the control loop wait for it.
actor AccessLog: Service {
    struct Timing: Sendable {
        /// Between looks while sessions end, and while none have.
        var busyPause: TimeAmount = .milliseconds(20)
        var idlePause: TimeAmount = .milliseconds(100)
        /// How long what is left may take to be written when shuttled stops.
        var patience: TimeAmount = .seconds(2)
        /// Between two lines of the program's own log that say that lines are lost.
        var complaintPause: Duration = .seconds(10)
    }

    /// Sessions that are taken at once, of all rings.
    static let batchMax = 512
    /// Room for records on each ring: how many sessions may end there while the log is held up, 512 KiB.
    static let recordsPerRing = 4096

    private let source: any FinishedSessionSource
    private let sink: any AccessLogSink
    private let line: AccessLogLine
    private let counts: AccessLogCounts
    /// As all of the control side: threads of Swift's own are not needed, and would have to be paid for.
    private nonisolated let executor: any SerialExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    private let loop: any EventLoop
    /// Of the sink alone: a disk or a pipe may hold it up for as long as it likes. There is none before the first line.
    private lazy var thread = FileThread(loop: loop)
    private let logger: Logger
    private let timing: Timing
    private var complaintAt: ContinuousClock.Instant?
    private var lostSinceComplaint: UInt64 = 0

    init(
        source: any FinishedSessionSource, sink: any AccessLogSink, format: AccessLogFormat, counts: AccessLogCounts,
        loop: any EventLoop, logger: Logger, timing: Timing = Timing()
    ) {
        self.source = source
        self.sink = sink
        line = AccessLogLine(format: format)
        self.counts = counts
        self.loop = loop
        executor = loop.executor
        self.logger = logger
        self.timing = timing
    }

    /// Runs until it is asked to stop and has written what was left, or could not in time: a pipe that nobody reads must not keep
    /// shuttled from ending.
    func run() async throws {
        let cursor = await source.sessionCursor()
        let over = loop.makePromise(of: Void.self)
        let isOver = Atomic(false)
        let end = { @Sendable in
            if !isOver.exchange(true, ordering: .relaxed) { over.succeed() }
        }
        let following = Task(executorPreference: ControlLoopExecutor(loop: loop)) {
            await self.follow(from: cursor)
            end()
        }
        try? await gracefulShutdown()
        following.cancel()
        let limit = loop.scheduleTask(in: timing.patience) { end() }
        try? await over.futureResult.get()
        limit.cancel()
    }

    /// Opens the place anew, where a file was moved away.
    func reopen() async {
        let sink = sink
        guard let outcome = await thread.run({ sink.reopen() }) else {
            return
        }
        if let problem = outcome {
            logger.warning("the access log cannot be opened", metadata: ["reason": "\(problem)"])
        } else {
            logger.info("access log opened anew")
        }
    }

    /// Ends with the last session that there is once the task is cancelled.
    private func follow(from cursor: FinishedSessionCursor) async {
        var cursor = cursor
        while true {
            let isLast = Task.isCancelled
            let taken = await source.takeLoggedSessions(since: cursor, limit: AccessLog.batchMax)
            cursor = taken.cursor
            await write(taken)
            let count = taken.finished.sessions.count
            guard count < AccessLog.batchMax else {
                continue
            }
            if isLast {
                return
            }
            await loop.pause(count > 0 ? timing.busyPause : timing.idlePause)
        }
    }

    private func write(_ taken: TakenSessions) async {
        let sessions = taken.finished.sessions
        if taken.finished.lost > 0 {
            counts.add(overrun: taken.finished.lost)
            complain(of: taken.finished.lost, "the log is too slow for the sessions that end")
        }
        guard !sessions.isEmpty else {
            return
        }
        let (line, sink, clock) = (line, sink, taken.clock)
        let result = await thread.run {
            sink.write(
                sessions.map { session in
                    AccessLogSinkLine(
                        bytes: line.bytes(of: session, clock), service: session.service, backend: session.backend,
                        reason: session.record.reason.name
                    )
                }
            )
        }
        // The thread has been shut down.
        guard let result else {
            return
        }
        counts.add(written: result.written, failed: result.dropped)
        if result.dropped > 0 {
            complain(of: UInt64(result.dropped), result.problem ?? "unknown")
        }
    }

    private func complain(of lost: UInt64, _ reason: String) {
        lostSinceComplaint += lost
        let now = ContinuousClock.now
        if let complaintAt, now < complaintAt + timing.complaintPause {
            return
        }
        complaintAt = now
        logger.warning(
            "lines of the access log are lost",
            metadata: ["lines": "\(lostSinceComplaint)", "reason": "\(reason)"]
        )
        lostSinceComplaint = 0
    }
}

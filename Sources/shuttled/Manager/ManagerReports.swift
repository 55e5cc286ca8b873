// Owns what a service manager is told, and when: ready, reloading, stopping, how it goes, and a sign of life while every ring
// makes progress.
// Leaves to others: the socket (ManagerSocket), whether rings make progress (RingWatch), whose life it is (Lifecycle).

import Glibc
import Logging
import NIOCore
import ServiceLifecycle

/// Reports to the service manager; without one it only looks at the rings. Unchecked: all of it is on the control loop.
final class ManagerReports: Service, @unchecked Sendable {
    private let control: ControlPlane
    private let socket: ManagerSocket?
    private let loop: any EventLoop
    private let logger: Logger
    private let interval: TimeAmount
    private let isWatched: Bool
    private let drainLimit: TimeAmount
    private var phase = Phase.starting
    private var status = ""
    private var hasFailed = false

    private enum Phase {
        case starting, serving, reloading, stopping
    }

    /// Beyond the drain: ending what is left, and the log.
    private static let stopMargin: TimeAmount = .seconds(10)

    init(
        control: ControlPlane, socket: ManagerSocket?, watchdogMicroseconds: UInt64?, drainLimit: TimeAmount,
        loop: any EventLoop, logger: Logger
    ) {
        self.control = control
        self.socket = socket
        self.loop = loop
        self.logger = logger
        self.drainLimit = drainLimit
        isWatched = watchdogMicroseconds != nil
        interval = ManagerReports.interval(watchdogMicroseconds: watchdogMicroseconds)
    }

    /// How often the rings are looked at: four times in what the watchdog allows, at least once a second; without one every five
    /// seconds.
    static func interval(watchdogMicroseconds: UInt64?) -> TimeAmount {
        guard let watchdogMicroseconds else {
            return .seconds(5)
        }
        return .microseconds(Int64(min(1_000_000, max(1000, watchdogMicroseconds / 4))))
    }

    /// How long a ring may make no turn: half of what the watchdog allows, so that it is told before the end; without one 10 s.
    static func stallLimitMilliseconds(watchdogMicroseconds: UInt64?) -> UInt64 {
        watchdogMicroseconds.map { max(1, $0 / 2000) } ?? 10_000
    }

    /// Until everything else has ended.
    func run() async throws {
        let clock = loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [self] _ in tick() }
        try? await gracefulShutdown()
        clock.cancel()
    }

    private func tick() {
        let areAllWell = control.assumeIsolated { $0.lookAtRings() }
        if isWatched, areAllWell {
            tell(["WATCHDOG=1"])
        }
        let now = text
        if now != status, phase != .starting {
            status = now
            tell(["STATUS=\(now)"])
        }
    }

    // MARK: What happens

    /// Every ring serves, and the admin API answers.
    func ready() {
        phase = .serving
        status = text
        // The first look, so that the next finds progress.
        _ = control.assumeIsolated { $0.lookAtRings() }
        tell(["READY=1", "STATUS=\(status)"])
    }

    /// The configuration, or the tokens, are read again.
    func reloading() {
        guard phase == .serving else { return }
        phase = .reloading
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        tell(["RELOADING=1", "MONOTONIC_USEC=\(time.tv_sec * 1_000_000 + time.tv_nsec / 1000)", "STATUS=\(text)"])
    }

    /// Whatever became of it: what was is served on.
    func reloaded() {
        guard phase == .reloading else { return }
        phase = .serving
        status = text
        tell(["READY=1", "STATUS=\(status)"])
    }

    func stopping() {
        phase = .stopping
        status = text
        let microseconds = (drainLimit + ManagerReports.stopMargin).nanoseconds / 1000
        tell(["STOPPING=1", "EXTEND_TIMEOUT_USEC=\(microseconds)", "STATUS=\(status)"])
    }

    private var text: String {
        let (services, sessions, stalled) = control.assumeIsolated {
            ($0.serviceCount, $0.activeSessions, $0.stalledRings)
        }
        let trouble = stalled.isEmpty ? "" : "; stuck: ring \(stalled.map(String.init).joined(separator: ", "))"
        return switch phase {
        case .starting: "starting"
        case .serving: "serving \(counted(services, "service")), \(counted(sessions, "session"))\(trouble)"
        case .reloading: "reading the configuration again"
        case .stopping: "draining, \(counted(sessions, "session")) left\(trouble)"
        }
    }

    private func counted(_ number: Int, _ word: String) -> String { "\(number) \(word)\(number == 1 ? "" : "s")" }

    private func tell(_ lines: [String]) {
        guard let socket, !socket.tell(lines), !hasFailed else {
            return
        }
        hasFailed = true
        logger.warning(
            "the service manager cannot be told how it goes",
            metadata: ["remedy": "see that NOTIFY_SOCKET names a socket that this user may write to"])
    }
}

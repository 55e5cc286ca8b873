// Owns the life of the running process: its services in the order in which they stop, and what signals mean to it.
// Leaves to others: the services themselves, and what comes before they run (Shuttled).

import Logging
import NIOCore
import ServiceLifecycle
import UnixSignals

/// Runs until it is asked to stop, and stops in order: sessions first, health checks then, the log of sessions that have
/// ended, the admin API last, so that it can be read to the end how far the others are.
struct Lifecycle: Sendable {
    let control: ControlPlane
    let accessLog: AccessLog
    let admin: any Service
    let manager: ManagerReports
    let drainLimit: TimeAmount
    let reload: ConfigurationReload
    /// Where there are tokens.
    let tokenReload: TokenReload?
    let signals: UnixSignalsSequence
    /// Of the control loop.
    let executor: ControlLoopExecutor
    let logger: Logger

    static let signals: [UnixSignal] = [.sigterm, .sigint, .sighup, .sigusr1]

    func run() async throws {
        // Stopped from the last to the first, each when the one after it has ended.
        let services: [any Service] = [
            manager, admin, accessLog, HealthCheckService(control: control),
            DrainService(control: control, limit: drainLimit),
        ]
        let group = ServiceGroup(configuration: .init(services: services, logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await handleSignals(stopping: group) }
            defer { tasks.cancelAll() }
            try await group.run()
        }
        await control.stop()
        logger.info("stopped")
    }

    private func handleSignals(stopping group: ServiceGroup) async {
        var isStopping = false
        for await signal in signals {
            switch signal {
            case .sighup:
                // Not awaited: a reload may wait for a disk or for DNS, and the next signal may be SIGTERM.
                Task(executorPreference: executor) {
                    manager.reloading()
                    async let tokens: Void? = tokenReload?.run(for: .signal)
                    await reload.run()
                    _ = await tokens
                    manager.reloaded()
                }
            case .sigusr1:
                // Not awaited either: the thread that writes may be held up.
                Task(executorPreference: executor) { await accessLog.reopen() }
            case _ where !isStopping:
                isStopping = true
                logger.info("stopping", metadata: ["signal": "\(signal)"])
                manager.stopping()
                await group.triggerGracefulShutdown()
            default:
                logger.warning("stopping at once", metadata: ["signal": "\(signal)"])
                await control.cut()
            }
        }
    }
}

/// Lets sessions finish when the process is to stop.
private struct DrainService: Service {
    let control: ControlPlane
    let limit: TimeAmount

    func run() async throws {
        try await gracefulShutdown()
        await control.drain(limit: limit)
    }
}

/// Ends health checks when the sessions have ended.
private struct HealthCheckService: Service {
    let control: ControlPlane

    func run() async throws {
        try await gracefulShutdown()
        await control.stopHealthChecks()
    }
}

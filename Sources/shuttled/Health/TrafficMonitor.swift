// Owns when the engine is asked what real traffic says of the backends, and telling the log.
// Leaves to others: counting and deciding (the engine).

import Logging
import NIOCore
import ShuttleEngine

/// Looks at regular times. Confined to the loop.
///
/// Rings only raise a flag when a session fails: looking costs a load for each ring while all goes well, and a burst of
/// failures costs no more than one.
final class TrafficMonitor {
    /// A backend that fails stays in for this much longer at most.
    static let interval: TimeAmount = .milliseconds(50)

    private let loop: any EventLoop
    private let logger: Logger
    private let judge: (_ milliseconds: UInt64) -> [EjectionChange]
    private let told: (EjectionChange) -> Void
    private var timer: Scheduled<Void>?
    private var isStopped = false

    /// `told` hears of each change.
    init(
        loop: any EventLoop, logger: Logger, told: @escaping (EjectionChange) -> Void = { _ in },
        judge: @escaping (_ milliseconds: UInt64) -> [EjectionChange]
    ) {
        self.loop = loop
        self.logger = logger
        self.told = told
        self.judge = judge
    }

    /// Looks, and goes on until it is stopped. Starting again changes nothing.
    func start() {
        if timer == nil {
            look()
        }
    }

    func stop() {
        isStopped = true
        timer?.cancel()
    }

    private func look() {
        guard !isStopped else {
            return
        }
        for change in judge(NIODeadline.now().uptimeNanoseconds / 1_000_000) {
            log(change)
            told(change)
        }
        timer = loop.assumeIsolated().scheduleTask(in: TrafficMonitor.interval) {
            self.look()
        }
    }

    private func log(_ change: EjectionChange) {
        let metadata: Logger.Metadata = [
            "service": "\(change.service)",
            "backend": "\(change.backend)",
            "last_failure": "\(change.lastFailure?.reason ?? "none")",
        ]
        if change.isEjected {
            logger.warning("backend is ejected: its traffic fails", metadata: metadata)
        } else {
            logger.info("backend is let back", metadata: metadata)
        }
    }
}

// Owns who waits for something to come about in a service, each until then, to the end of its time, or as long as its
// client is there.
// Leaves to others: looking (ServiceObserver), what is waited for (ServiceWait), how many may wait (Admin).

import NIOCore
import ShuttleEngine

/// Those who wait. Confined to the loop. However many they are, one look is for all of them.
final class ServiceWaits {
    private final class Waiter {
        let wait: ServiceWait
        let continuation: CheckedContinuation<ServiceWait.Outcome, Never>
        var timer: Scheduled<Void>?
        /// Who was in its way when last looked at.
        var obstacles: [ConfigurationIssue]

        init(
            _ wait: ServiceWait, _ obstacles: [ConfigurationIssue],
            _ continuation: CheckedContinuation<ServiceWait.Outcome, Never>
        ) {
            self.wait = wait
            self.obstacles = obstacles
            self.continuation = continuation
        }
    }

    private let loop: any EventLoop
    private var waiters: [UInt64: Waiter] = [:]
    private var lastNumber: UInt64 = 0
    /// Called when there is one where there was none.
    var onFirst: () -> Void = {}

    init(loop: any EventLoop) {
        self.loop = loop
    }

    var count: Int { waiters.count }

    /// Waits; `obstacles` are those of now.
    nonisolated(nonsending) func join(
        _ wait: ServiceWait, obstacles: [ConfigurationIssue], until deadline: NIODeadline, presence: ClientPresence
    ) async -> ServiceWait.Outcome {
        await withCheckedContinuation { continuation in
            lastNumber += 1
            let number = lastNumber
            let waiter = Waiter(wait, obstacles, continuation)
            waiters[number] = waiter
            waiter.timer = loop.assumeIsolated().scheduleTask(deadline: deadline) {
                self.end(number, .timedOut(waiter.obstacles))
            }
            let bound = NIOLoopBound(self, eventLoop: loop)
            presence.onEnd { [loop] reason in
                loop.execute { bound.value.end(number, ServiceWaits.outcome(of: reason)) }
            }
            if waiters.count == 1 {
                onFirst()
            }
        }
    }

    private static func outcome(of end: ClientPresence.End) -> ServiceWait.Outcome {
        switch end {
        case .left, .stalled: .clientLeft
        case .revoked: .revoked
        case .stopping: .shuttingDown
        }
    }

    /// Takes in a look at all services.
    func looked(_ reports: [ServiceReport]) {
        guard !waiters.isEmpty else {
            return
        }
        let wanted = Set(waiters.values.map(\.wait.service))
        var found: [String: ServiceReport] = [:]
        for report in reports where wanted.contains(report.configuration.name) {
            found[report.configuration.name] = report
        }
        for (number, waiter) in waiters {
            switch waiter.wait.progress(found[waiter.wait.service]) {
            case .pending(let obstacles): waiter.obstacles = obstacles
            case let progress: end(number, .settled(progress))
            }
        }
    }

    /// Answers everyone.
    func endAll(_ outcome: ServiceWait.Outcome) {
        for number in waiters.keys {
            end(number, outcome)
        }
    }

    private func end(_ number: UInt64, _ outcome: ServiceWait.Outcome) {
        guard let waiter = waiters.removeValue(forKey: number) else {
            return
        }
        waiter.timer?.cancel()
        waiter.continuation.resume(returning: outcome)
    }
}

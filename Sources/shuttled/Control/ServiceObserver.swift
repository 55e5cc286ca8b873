// Owns when the statistics of all services are looked at: for events, and for those who wait for something to come about.
// Leaves to others: gathering them (ControlPlane), what is made of them (ServiceWaits, ControlEvents).

import NIOCore

/// Looks at regular times, more often while somebody waits. Confined to the loop.
final class ServiceObserver {
    /// Between looks while nobody waits.
    static let interval: TimeAmount = .seconds(1)
    /// Between looks while somebody does.
    static let waitedInterval: TimeAmount = .milliseconds(50)
    /// Looks take one part in so many of the loop's time at most, with and without somebody who waits: with thousands of
    /// services they come less often.
    static let waitedCostParts: Int64 = 20
    static let costParts: Int64 = 100

    private let loop: any EventLoop
    let waits: ServiceWaits
    private var timer: Scheduled<Void>?
    private var isStopped = false
    /// Called when it is time to look; `looked` is to follow.
    var due: () -> Void = {}

    init(loop: any EventLoop) {
        self.loop = loop
        waits = ServiceWaits(loop: loop)
        waits.onFirst = { [unowned self] in schedule(in: ServiceObserver.waitedInterval) }
    }

    func stop() {
        isStopped = true
        timer?.cancel()
        waits.endAll(.shuttingDown)
    }

    /// Takes in a look that began at `start`.
    func looked(_ reports: [ServiceReport], since start: NIODeadline) {
        waits.looked(reports)
        schedule(in: ServiceObserver.pause(after: .now() - start, isWaitedFor: waits.count > 0))
    }

    static func pause(after cost: TimeAmount, isWaitedFor: Bool) -> TimeAmount {
        let (interval, parts) = isWaitedFor ? (waitedInterval, waitedCostParts) : (interval, costParts)
        return max(interval, .nanoseconds(cost.nanoseconds * (parts - 1)))
    }

    private func schedule(in delay: TimeAmount) {
        guard !isStopped else {
            return
        }
        timer?.cancel()
        timer = loop.assumeIsolated().scheduleTask(in: delay) { self.due() }
    }
}

// Owns when a file has changed so that it is to be read again: once it is at rest.
// Leaves to others: being told (FileNotifications), reading and applying it (ConfigurationReload, TokenReload).

import Logging
import NIOCore

/// Watches a file on the control loop, where everything that may block is done by the file thread.
actor FileWatch {
    /// Between an event and a look, and between looks until the file is at rest.
    static let pause: TimeAmount = .milliseconds(200)
    /// Looks at a file that is not at rest, before it is read all the same.
    static let looksMax = 10
    /// Between looks while the kernel cannot tell.
    static let blindPause: TimeAmount = .seconds(10)

    private nonisolated let loop: any EventLoop
    private nonisolated let executor: any SerialExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let path: String
    /// What it is, for the log.
    private let kind: String
    private let thread: FileThread
    private let logger: Logger
    private let changed: @Sendable () async -> Void

    private var notifications: FileNotifications?
    private var watches: Set<Int32> = []
    /// The file as it was read last.
    private var seen: FileIdentity?
    /// The file as it was at the last look, where that was another one.
    private var restless: FileIdentity??
    private var looks = 0
    private var timer: Scheduled<Void>?
    private var isLooking = false
    private var isStopped = false
    /// Why the kernel cannot tell, as the log was told.
    private var failure: FileFailure?

    /// `seen` is the file as it was before it was read. `changed` is called when it is to be read again.
    init(
        path: String, kind: String, seen: FileIdentity?, loop: any EventLoop, thread: FileThread, logger: Logger,
        changed: @escaping @Sendable () async -> Void
    ) {
        self.path = path
        self.kind = kind
        self.seen = seen
        self.loop = loop
        self.executor = loop.executor
        self.thread = thread
        self.logger = logger
        self.changed = changed
    }

    /// Looks at once: it may have changed since it was read.
    func start() async {
        await look()
    }

    func stop() {
        isStopped = true
        timer?.cancel()
        if !isLooking {
            end()
        }
    }

    private func end() {
        notifications?.stop()
        notifications = nil
    }

    private func schedule(in delay: TimeAmount) {
        guard !isStopped else {
            return
        }
        timer?.cancel()
        timer = loop.scheduleTask(in: delay) { [weak self, loop] in
            Task(executorPreference: ControlLoopExecutor(loop: loop)) { await self?.look() }
        }
    }

    private func noticed() {
        schedule(in: FileWatch.pause)
    }

    /// Looks whether it has changed, and has it read once two looks have found the same.
    private func look() async {
        guard !isStopped, !isLooking else {
            return
        }
        isLooking = true
        let isAtRest = await compare()
        if isAtRest == true {
            await changed()
        }
        isLooking = false
        guard !isStopped else {
            end()
            return
        }
        // From here on another event is told; what happened since the look is among those.
        notifications?.goOn()
        if isAtRest == false {
            schedule(in: FileWatch.pause)
        } else if failure != nil {
            schedule(in: FileWatch.blindPause)
        }
    }

    /// True when it has changed and is at rest, false when it may be being written, nil when it has not changed.
    private func compare() async -> Bool? {
        await openNotifications()
        let (path, notifications, before) = (path, notifications, watches)
        // First the watches, then the look: what happens in between is told.
        let found = await thread.run { () -> (watches: Set<Int32>, failure: FileFailure?, identity: FileIdentity?) in
            let (watches, failure) = notifications?.watch(path, before: before) ?? ([], nil)
            return (watches, failure, FileIdentity(of: path))
        }
        guard let found else {
            return nil
        }
        watches = found.watches
        if notifications != nil {
            tell(found.failure)
        }
        guard found.identity != seen else {
            restless = nil
            looks = 0
            return nil
        }
        looks += 1
        guard restless == .some(found.identity) || looks >= FileWatch.looksMax else {
            restless = .some(found.identity)
            return false
        }
        restless = nil
        looks = 0
        seen = found.identity
        return true
    }

    private func openNotifications() async {
        guard notifications == nil else {
            return
        }
        do throws(FileFailure) {
            notifications = try await FileNotifications.open(on: loop) { [weak self, loop] in
                Task(executorPreference: ControlLoopExecutor(loop: loop)) { await self?.noticed() }
            }
        } catch {
            tell(error)
        }
    }

    /// Says once what keeps the kernel from telling; meanwhile the file is looked at now and then.
    private func tell(_ failure: FileFailure?) {
        if let failure, failure != self.failure {
            logger.error(
                "the \(kind) cannot be watched; it is looked at every 10 s instead",
                metadata: ["file": "\(path)", "reason": "\(failure)"]
            )
        } else if failure == nil, self.failure != nil {
            logger.info("the \(kind) is watched again", metadata: ["file": "\(path)"])
        }
        self.failure = failure
    }
}

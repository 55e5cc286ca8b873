// Owns when which backend is checked, how many at once, and what its checks add up to.
// Leaves to others: the check itself (ActiveCheck), its time (CheckSchedule), counting in a row (HealthTracker), and telling the engine.

import Glibc
import Logging
import NIOCore
import ShuttleEngine

/// Checks backends on the control loop, each at its interval. Confined to the loop.
///
/// A check that comes late, because the loop or the queue was busy, is made late; it is never counted as failed. A
/// backend whose checks are turned off counts as up from then on: nothing speaks against it any more.
final class HealthMonitor {
    /// Checks at the same time, each a descriptor; the rest wait in line, first come first served.
    static let checksMax = 128
    /// Of these, checks of backends whose last check was slow: so that a hundred that hang do not keep the ones that
    /// answer waiting.
    static let slowChecksMax = 64
    /// A check that takes longer is slow.
    static let slowCheck: TimeAmount = .milliseconds(500)

    /// Hears of finished checks and of what they lead to.
    struct Observer {
        var checked: (_ identity: BackendIdentity, _ result: CheckResult) -> Void
        var changed: (_ identity: BackendIdentity, _ isUp: Bool) -> Void
        /// Checks have changed it, for this reason; not where there are none any more.
        var told: (_ identity: BackendIdentity, _ isUp: Bool, _ reason: String) -> Void = { _, _, _ in }
    }

    private let loop: any EventLoop
    private let check: HealthCheck
    private let observer: Observer
    private let logger: Logger
    private var times: CheckSchedule
    private let timeOfDayMilliseconds: () -> Int
    private var subjects: [BackendIdentity: Subject] = [:]
    private var due = CircularBuffer<Subject>()
    private var dueSlow = CircularBuffer<Subject>()
    private var running = 0
    private var runningSlow = 0
    private var isStopped = false
    /// When the log was last told that checks cannot be made.
    private var lastStarvationWarning: NIODeadline?

    init(
        loop: any EventLoop, logger: Logger, check: @escaping HealthCheck, observer: Observer,
        schedule: CheckSchedule = CheckSchedule(generator: SystemRandomNumberGenerator()),
        timeOfDayMilliseconds: @escaping () -> Int = HealthMonitor.timeOfDayMilliseconds
    ) {
        self.loop = loop
        self.logger = logger
        times = schedule
        self.timeOfDayMilliseconds = timeOfDayMilliseconds
        self.check = check
        self.observer = observer
    }

    /// One backend and its checks.
    private final class Subject {
        var target: HealthTarget
        var tracker = HealthTracker()
        /// When the check that is waited for, in line or under way was to begin.
        var dueTime: NIODeadline
        var timer: Scheduled<Void>?
        /// In line or under way: it has no timer then.
        var isBusy = false
        /// Whether its last check was slow, and the next one is expected to be.
        var isSlow = false
        var isRemoved = false

        init(target: HealthTarget, dueTime: NIODeadline) {
            self.target = target
            self.dueTime = dueTime
        }
    }

    /// Takes up what is to be checked from now on. What stays keeps its health and what has been counted; what is new,
    /// or is checked at a new address, is checked at once.
    func update(_ targets: [HealthTarget]) {
        let now = loop.now
        var newcomers: [Subject] = []
        var remaining = subjects
        subjects.removeAll(keepingCapacity: true)
        for target in targets {
            if let subject = remaining.removeValue(forKey: target.identity) {
                subjects[target.identity] = subject
                take(target, for: subject, now: now, newcomers: &newcomers)
            } else {
                let subject = Subject(target: target, dueTime: now)
                subjects[target.identity] = subject
                newcomers.append(subject)
            }
        }
        for (index, subject) in newcomers.enumerated() {
            let delay = CheckSchedule.firstDelay(
                of: index, among: newcomers.count, intervalMilliseconds: subject.target.intervalMilliseconds
            )
            schedule(subject, at: now + delay)
        }
        for subject in remaining.values {
            subject.isRemoved = true
            subject.timer?.cancel()
            if !subject.tracker.isUp {
                // Unknown to the engine if the backend is gone too; else it has lost the checks that held it down.
                observer.changed(subject.target.identity, true)
            }
        }
    }

    /// Makes no further check.
    func stop() {
        isStopped = true
        for subject in subjects.values {
            subject.timer?.cancel()
        }
        due.removeAll()
        dueSlow.removeAll()
    }

    // MARK: Time

    private func take(_ target: HealthTarget, for subject: Subject, now: NIODeadline, newcomers: inout [Subject]) {
        let old = subject.target
        subject.target = target
        if subject.isBusy {
            return
        }
        if !old.isCheckedAs(target) {
            subject.timer?.cancel()
            newcomers.append(subject)
        } else if old.intervalMilliseconds != target.intervalMilliseconds {
            subject.timer?.cancel()
            // From when the last one began; a shorter interval may mean now.
            let last = subject.dueTime - .milliseconds(Int64(old.intervalMilliseconds))
            schedule(subject, at: max(now, last + .milliseconds(Int64(target.intervalMilliseconds))))
        }
    }

    private func schedule(_ subject: Subject, at time: NIODeadline) {
        guard !isStopped else {
            return
        }
        subject.dueTime = time
        subject.timer = loop.assumeIsolated().scheduleTask(deadline: time) {
            subject.timer = nil
            subject.isBusy = true
            if subject.isSlow {
                self.dueSlow.append(subject)
            } else {
                self.due.append(subject)
            }
            self.begin()
        }
    }

    private func scheduleNext(_ subject: Subject) {
        let time = times.next(
            after: subject.dueTime, now: loop.now, intervalMilliseconds: subject.target.intervalMilliseconds
        )
        schedule(subject, at: time)
    }

    // MARK: Checks

    /// Begins what is due, as far as there is room.
    private func begin() {
        while running < HealthMonitor.checksMax, !isStopped {
            if let subject = due.popFirst() {
                begin(subject, isSlow: false)
            } else if runningSlow < HealthMonitor.slowChecksMax, let subject = dueSlow.popFirst() {
                begin(subject, isSlow: true)
            } else {
                return
            }
        }
    }

    private func begin(_ subject: Subject, isSlow: Bool) {
        guard !subject.isRemoved else {
            return
        }
        running += 1
        runningSlow += isSlow ? 1 : 0
        let target = subject.target
        let start = loop.now
        let late = start - subject.dueTime
        if late > .milliseconds(Int64(target.intervalMilliseconds)) {
            logger.debug(
                "health check is late",
                metadata: HealthMonitor.metadata(target, ["late_ms": "\(late.nanoseconds / 1_000_000)"])
            )
        }
        check(target)
            .assumeIsolated()
            .whenComplete { result in
                self.running -= 1
                self.runningSlow -= isSlow ? 1 : 0
                subject.isBusy = false
                let duration = self.loop.now - start
                subject.isSlow = duration > HealthMonitor.slowCheck
                let outcome = (try? result.get()) ?? .inconclusive("the check was given up")
                self.finish(subject, target, outcome, duration)
                self.begin()
            }
    }

    private func finish(
        _ subject: Subject, _ target: HealthTarget, _ outcome: CheckOutcome, _ duration: TimeAmount
    ) {
        guard !subject.isRemoved, !isStopped else {
            return
        }
        guard subject.target.isCheckedAs(target) else {
            // It says nothing about the address that is to be checked now, or about what is asked there.
            schedule(subject, at: loop.now)
            return
        }
        scheduleNext(subject)
        observer.checked(
            target.identity, outcome.result(duration: duration, endedAtMilliseconds: timeOfDayMilliseconds())
        )
        switch outcome {
        case .succeeded:
            record(subject, succeeded: true, reason: "check succeeded")
        case .failed(let reason):
            record(subject, succeeded: false, reason: reason)
        case .inconclusive(let reason):
            warnOfStarvation(target, reason)
        }
    }

    private func record(_ subject: Subject, succeeded: Bool, reason: String) {
        let target = subject.target
        let transition = subject.tracker.record(succeeded: succeeded, fall: target.fall, rise: target.rise)
        switch transition {
        case .wentDown:
            observer.changed(target.identity, false)
            observer.told(target.identity, false, reason)
            logger.warning(
                "backend is down",
                metadata: HealthMonitor.metadata(target, ["reason": "\(reason)", "failed_checks": "\(target.fall)"])
            )
        case .wentUp:
            observer.changed(target.identity, true)
            observer.told(target.identity, true, reason)
            logger.info(
                "backend is up",
                metadata: HealthMonitor.metadata(target, ["reason": "\(reason)", "good_checks": "\(target.rise)"])
            )
        case nil:
            break
        }
    }

    /// Says that checks cannot be made, once a minute: with thousands of backends the log would say nothing else.
    private func warnOfStarvation(_ target: HealthTarget, _ reason: String) {
        let now = loop.now
        if let last = lastStarvationWarning, now - last < .minutes(1) {
            return
        }
        lastStarvationWarning = now
        logger.warning(
            "health check could not be made; the backend keeps its health",
            metadata: HealthMonitor.metadata(target, ["reason": "\(reason)"])
        )
    }

    static func timeOfDayMilliseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    private static func metadata(_ target: HealthTarget, _ more: Logger.Metadata) -> Logger.Metadata {
        let metadata: Logger.Metadata = [
            "service": "\(target.identity.service)",
            "backend": "\(target.identity.backend)",
            "check_address": "\(target.checkAddress)",
        ]
        return metadata.merging(more) { first, _ in first }
    }
}

// Owns asking for the names in use again, each at its time, and saying when they stand for others.
// Leaves to others: asking the machine (SystemNames), what is kept of an answer (NameMemory), applying what has moved
// (ControlPlane).

import Glibc
import Logging
import NIOCore
import ShuttleEngine

/// Watches names on the control loop. Confined to it. However many backends use a name, it is asked for once.
final class NameWatch {
    /// Names asked for at the same time; the rest wait in line, first come first served.
    static let lookupsMax = 4

    private let loop: any EventLoop
    private let lookup: NameLookup
    private let delay: Delay
    private let logger: Logger
    private let executor: ControlLoopExecutor
    private var subjects: [NameQuestion: Subject] = [:]
    private var due = CircularBuffer<Subject>()
    private var running = 0
    private var isStopped = false
    /// Called when names stand for others than before.
    var moved: () -> Void = {}

    /// When to ask again.
    typealias Delay = (NameMemory, NamePace) -> TimeAmount

    init(
        loop: any EventLoop, logger: Logger, lookup: @escaping NameLookup,
        delay: @escaping Delay = { memory, pace in memory.delay(pace) }
    ) {
        self.loop = loop
        self.logger = logger
        self.lookup = lookup
        self.delay = delay
        executor = ControlLoopExecutor(loop: loop)
    }

    /// One name.
    private final class Subject {
        let question: NameQuestion
        var memory: NameMemory
        var pace: NamePace
        /// When its last lookup ended.
        var lookupTime: NIODeadline
        var timer: Scheduled<Void>?
        /// In line or under way: it has no timer then.
        var isBusy = false
        var isRemoved = false

        init(question: NameQuestion, memory: NameMemory, pace: NamePace, lookupTime: NIODeadline) {
            self.question = question
            self.memory = memory
            self.pace = pace
            self.lookupTime = lookupTime
        }
    }

    /// What is known of a name; nil when it is not in use.
    func memory(of question: NameQuestion) -> NameMemory? {
        subjects[question]?.memory
    }

    /// Takes up which names are in use from now on. `fresh` has what has just been learned of those that were not.
    func update(_ wanted: [NameQuestion: NamePace], fresh: [NameQuestion: NameMemory]) {
        let now = NIODeadline.now()
        for (question, subject) in subjects where wanted[question] == nil {
            subject.isRemoved = true
            subject.timer?.cancel()
            subjects[question] = nil
        }
        for (question, pace) in wanted {
            if let subject = subjects[question] {
                if subject.pace != pace {
                    subject.pace = pace
                    if !subject.isBusy {
                        subject.timer?.cancel()
                        schedule(subject)
                    }
                }
                continue
            }
            let subject = Subject(
                question: question, memory: fresh[question] ?? NameMemory(), pace: pace, lookupTime: now
            )
            subjects[question] = subject
            if let failure = subject.memory.failure {
                tell(failure, of: subject)
            }
            schedule(subject)
        }
    }

    /// Asks for nothing any more.
    func stop() {
        isStopped = true
        for subject in subjects.values {
            subject.timer?.cancel()
        }
        due.removeAll()
    }

    private func schedule(_ subject: Subject) {
        guard !isStopped else {
            return
        }
        let time = subject.lookupTime + delay(subject.memory, subject.pace)
        subject.timer = loop.assumeIsolated().scheduleTask(deadline: time) {
            subject.timer = nil
            subject.isBusy = true
            self.due.append(subject)
            self.begin()
        }
    }

    /// Begins what is due, as far as there is room.
    private func begin() {
        while running < NameWatch.lookupsMax, !isStopped, let subject = due.popFirst() {
            guard !subject.isRemoved else {
                continue
            }
            running += 1
            ask(subject.question).assumeIsolated().whenComplete { result in
                self.running -= 1
                subject.isBusy = false
                subject.lookupTime = .now()
                if !subject.isRemoved, !self.isStopped {
                    self.take((try? result.get()) ?? .failure(NameFailure(reason: "could not be looked up")), subject)
                    self.schedule(subject)
                }
                self.begin()
            }
        }
    }

    private func ask(_ question: NameQuestion) -> EventLoopFuture<Result<NameAnswer, NameFailure>> {
        let promise = loop.makePromise(of: Result<NameAnswer, NameFailure>.self)
        let lookup = lookup
        Task(executorPreference: executor) {
            let answers = await lookup([question])
            promise.succeed(answers[question] ?? .failure(NameFailure(reason: "could not be looked up")))
        }
        return promise.futureResult
    }

    private func take(_ result: Result<NameAnswer, NameFailure>, _ subject: Subject) {
        let before = subject.memory.targets
        let effect = subject.memory.take(result, time: time(nil))
        let name: Logger.Metadata.Value = "\(subject.question.name)"
        if effect.hasBegunToFail, let failure = subject.memory.failure {
            tell(failure, of: subject)
        } else if effect.hasRecovered {
            logger.info(
                "a host name resolves again",
                metadata: ["name": name, "addresses": "\(NameWatch.text(subject.memory.targets))"]
            )
        }
        if effect.hasMoved {
            logger.info(
                "a host name has moved",
                metadata: [
                    "name": name, "from": "\(NameWatch.text(before))",
                    "to": "\(NameWatch.text(subject.memory.targets))",
                ]
            )
            moved()
        }
    }

    private func tell(_ failure: NameFailure, of subject: Subject) {
        logger.warning(
            "a host name fails; what it stood for stays in use",
            metadata: [
                "name": "\(subject.question.name)", "reason": "\(failure.reason)",
                "addresses": "\(NameWatch.text(subject.memory.targets))",
            ]
        )
    }

    /// Targets in a log line at most: it is read by people.
    private static let targetsLoggedMax = 8

    private static func text(_ targets: [ResolvedTarget]) -> String {
        guard !targets.isEmpty else {
            return "none"
        }
        let texts = targets.prefix(targetsLoggedMax).map { target in
            target.port == 0
                ? target.address.host
                : "\(target.host)=\(target.address.with(port: target.port)) priority \(target.priority) "
                    + "weight \(target.weight)"
        }
        let more = targets.count - texts.count
        return texts.joined(separator: ", ") + (more > 0 ? ", \(more) more" : "")
    }
}

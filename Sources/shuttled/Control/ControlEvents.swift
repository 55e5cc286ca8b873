// Owns which events the control side posts, and what they say.
// Leaves to others: keeping and sending them (EventLog, Admin), noticing what they tell (ControlPlane, Health, LimitWatch).

import ShuttleEngine

/// A change that was made: durable, and taken up by every ring.
struct AppliedChange: Sendable {
    /// Who asked for it, and for what.
    var origin: ChangeOrigin
    var plan: ChangePlan
    /// Of the whole configuration.
    var versionBefore: VersionTag
    var version: VersionTag
    var epoch: Epoch
    var milliseconds: Double
}

/// Posts events. Confined to the control loop.
final class ControlEvents {
    let log: EventLog
    private var limits = LimitWatch()

    init(_ log: EventLog) {
        self.log = log
    }

    func changed(_ change: AppliedChange) {
        log.post(
            .change,
            [
                "from": .text(change.origin.peer), "token": change.origin.caller.map { .text($0.name) },
                "request": .text(change.origin.request),
                "changes": .text(change.plan.summary), "version": .text(change.version.text),
                "previous_version": .text(change.versionBefore.text),
            ]
        )
    }

    /// Of the refusals of changes those that tell of the machine are events: whoever asked has an answer to all.
    func refused(_ refusal: ChangeRefusal, _ origin: ChangeOrigin) {
        switch refusal {
        case .addressInUse(let issues), .cannotListen(let issues):
            for issue in issues {
                log.post(
                    .listenFailed,
                    [
                        "from": .text(origin.peer), "token": origin.caller.map { .text($0.name) },
                        "request": .text(origin.request), "pointer": .text(issue.pointer),
                        "reason": .text(issue.detail),
                    ]
                )
            }
        default: break
        }
    }

    // MARK: Confirmation

    func awaits(_ change: PendingChange, remaining milliseconds: Int) {
        log.post(
            .confirmPending,
            [
                "id": .number(change.id), "from": .text(change.peer), "token": change.token.map { .text($0) },
                "request": .text(change.request),
                "remaining_milliseconds": .number(milliseconds),
            ]
        )
    }

    func confirmed(_ change: PendingChange, _ origin: ChangeOrigin) {
        log.post(
            .confirmed,
            [
                "id": .number(change.id), "from": .text(origin.peer), "token": origin.caller.map { .text($0.name) },
                "request": .text(origin.request),
            ]
        )
    }

    func reverted(_ change: PendingChange, _ origin: ChangeOrigin) {
        log.post(
            .reverted,
            [
                "id": .number(change.id), "from": .text(origin.peer), "token": origin.caller.map { .text($0.name) },
                "request": .text(origin.request),
            ]
        )
    }

    func revertFailed(_ change: PendingChange, _ refusal: ChangeRefusal) {
        log.post(.revertFailed, ["id": .number(change.id), "reason": .text("\(refusal)")])
    }

    // MARK: Backends

    func checked(_ identity: BackendIdentity, isUp: Bool, reason: String) {
        log.post(
            isUp ? .backendUp : .backendDown,
            [
                "service": .text(identity.service), "backend": .text(identity.backend), "cause": .text("check"),
                "reason": .text(reason),
            ]
        )
    }

    func judged(_ change: EjectionChange) {
        let reason = change.isEjected ? change.lastFailure?.reason ?? "its traffic fails" : "let back"
        log.post(
            change.isEjected ? .backendDown : .backendUp,
            [
                "service": .text(change.service), "backend": .text(change.backend), "cause": .text("traffic"),
                "reason": .text(reason),
            ]
        )
    }

    // MARK: Counters

    func looked(
        at reports: [ServiceReport], _ rings: [RingStatistics], capacity: Int, milliseconds now: UInt64
    ) {
        let observations =
            limits.look(at: reports, milliseconds: now)
            + limits.look(at: rings, capacity: capacity, milliseconds: now)
        for observation in observations {
            switch observation {
            case .limit(let limit, let service, .began(let count)):
                log.post(
                    .limitBegin, ["service": .text(service), "limit": .text(limit), "count": .number(count)]
                )
            case .limit(let limit, let service, .ended(let count, let milliseconds)):
                log.post(
                    .limitEnd,
                    [
                        "service": .text(service), "limit": .text(limit), "count": .number(count),
                        "milliseconds": .number(milliseconds),
                    ]
                )
            case .drained(let service, let backend):
                log.post(.backendDrained, ["service": .text(service), "backend": .text(backend)])
            case .accepting(.began(let count)):
                log.post(.acceptPaused, ["count": .number(count)])
            case .accepting(.ended(let count, let milliseconds)):
                log.post(.acceptResumed, ["count": .number(count), "milliseconds": .number(milliseconds)])
            }
        }
    }

    // MARK: The end

    func draining(sessions: Int) {
        log.post(.stop, ["phase": .text("draining"), "sessions": .number(sessions)])
    }

    /// `sessions` are those that were cut.
    func drained(sessions: Int) {
        log.post(.stop, ["phase": .text(sessions > 0 ? "cut" : "drained"), "sessions": .number(sessions)])
    }
}

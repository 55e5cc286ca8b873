// Owns how what other parts refuse becomes a problem that a client can act on.
// Leaves to others: finding the reasons (ConfigurationDecoder, ControlPlane), and the form (ProblemDetails).

import Hummingbird
import ShuttleEngine

extension ProblemDetails {
    /// A body that is not a configuration.
    init(_ error: ConfigurationDecodingError) {
        switch error.kind {
        case .malformed:
            self.init(
                .malformedJSON, error.problems.first?.description ?? "the body is not JSON", issues: error.issues
            )
        case .invalid:
            self.init(
                .invalidConfiguration,
                ProblemDetails.summary(
                    error.problems.first?.description, count: error.problems.count, isTruncated: error.isTruncated
                ),
                issues: error.issues
            )
        }
    }

    /// A change that was not made.
    init(_ refusal: ChangeRefusal) {
        switch refusal {
        case .invalid(let issues):
            self.init(.invalidConfiguration, ProblemDetails.summary(of: issues), issues: issues)
        case .unknownService(let name):
            self = .unknownService(name)
        case .unknownBackend(let service, let name):
            self = .unknownBackend(name, of: service)
        case .addressInUse(let issues):
            self.init(.addressInUse, ProblemDetails.summary(of: issues), issues: issues)
        case .cannotListen(let issues):
            self.init(.cannotListen, ProblemDetails.summary(of: issues), issues: issues)
        case .conditionFailed(let failure):
            self.init(failure)
        case .shuttingDown:
            self.init(
                .shuttingDown, "shuttled is shutting down: changes are no longer made, nothing has been changed"
            )
        case .notPermitted(let caller, let needed, let excess):
            self.init(
                .insufficientRole, caller, needed: needed,
                "this change takes \(needed.rawValue), since it is more than the weight and the state of backends and "
                    + "the maintenance of services: \(excess)"
            )
        case .notDurable(let reason):
            self.init(.notDurable, "the change was not made, because it could not be made durable: \(reason)")
        case .awaitsConfirmation(let id, let request, let until, let services):
            self = .awaitsConfirmation(id, request: request, until: until, services: services)
        case .barsWayBack(let id, let request, let issues):
            self.init(
                .awaitsConfirmation,
                "change \(id) (\(Event.bounded(request))) waits to be confirmed, and could not be taken back after this one: "
                    + "\(issues.first?.detail ?? "it would not be valid"). \(ProblemDetails.endWaiting(id))"
            )
        case .hasNoWayBack(let issues):
            self.init(
                .unsupportedParameter,
                "the change could not be taken back, since what it leads away from could not be applied again: "
                    + "\(issues.first?.detail ?? "it would not be valid"). Make it without confirm. Nothing was changed"
            )
        case .notPending(let id, .reverted):
            self.init(
                .confirmationEnded,
                "change \(id) does not wait any more: it was taken back. GET /v1/history says when; make it again"
            )
        case .notPending(let id, .confirmed):
            self.init(
                .confirmationEnded,
                "change \(id) does not wait any more: it was confirmed. POST /v1/history/{id}/restore with the id of the "
                    + "change before it takes it back"
            )
        case .notPending(let id, nil):
            self = .unknownConfirmation("\(id)")
        }
    }

    private static func awaitsConfirmation(
        _ id: Int, request: String, until: Int, services: [String]
    ) -> ProblemDetails {
        let what =
            services.isEmpty
            ? "one change at a time can wait"
            : "it is about \(services.prefix(16).map { "\(Quoted($0))" }.joined(separator: ", "))"
                + (services.count > 16 ? " and \(services.count - 16) more services" : "") + " as well"
        let seconds = max(1, (until - ControlPlane.millisecondsNow() + 999) / 1000)
        return ProblemDetails(
            .awaitsConfirmation,
            "change \(id) (\(Event.bounded(request))) waits to be confirmed until "
                + "\(Timestamp.text(milliseconds: until)), and \(what). \(endWaiting(id))",
            headers: [.retryAfter: "\(seconds)"]
        )
    }

    private static func endWaiting(_ id: Int) -> String {
        "POST /v1/confirm/\(id) keeps it, DELETE /v1/confirm/\(id) takes it back. Nothing was changed"
    }

    static func unknownConfirmation(_ id: String) -> ProblemDetails {
        ProblemDetails(
            .unknownConfirmation,
            "no change \(Quoted(id)) waits to be confirmed; GET /v1/confirm says which one does. The id is that of the "
                + "field Confirm-Id of the answer to a change with ?confirm="
        )
    }

    /// A condition that does not hold.
    init(_ failure: ConditionFailure) {
        switch failure {
        case .otherVersion(let tag):
            self.init(
                .conditionFailed,
                "If-Match names another version than there is, which is \(tag.entityTag); somebody has changed it "
                    + "since. Read it again, and decide anew. Nothing was changed",
                headers: tag.headers
            )
        case .missing:
            self.init(
                .conditionFailed,
                "If-Match asks for a version of what does not exist, or exists no more. Nothing was changed"
            )
        case .present(let tag):
            self.init(
                .conditionFailed,
                "If-None-Match names the version that there is, \(tag.entityTag): with * the request creates only what "
                    + "does not exist. Nothing was changed",
                headers: tag.headers
            )
        }
    }

    static func unknownService(_ name: String) -> ProblemDetails {
        ProblemDetails(
            .unknownService,
            "there is no service \(Quoted(name)); GET /config lists the ones there are, PUT /{service} creates one"
        )
    }

    static func unknownBackend(_ name: String, of service: String) -> ProblemDetails {
        ProblemDetails(
            .unknownBackend,
            "service \(Quoted(service)) has no backend \(Quoted(name)); GET /\(service) lists the ones it has, "
                + "PUT /{service}/{backend} creates one"
        )
    }

    private static func summary(of issues: [ConfigurationIssue]) -> String {
        summary(
            issues.first.map { $0.pointer.isEmpty ? $0.detail : "at \(Quoted($0.pointer)): \($0.detail)" },
            count: issues.count, isTruncated: issues.count >= ConfigurationIssue.countMax
        )
    }

    /// The first problem in full, and how many there are: a person fixes one, a program reads the list.
    private static func summary(_ first: String?, count: Int, isTruncated: Bool) -> String {
        let first = first ?? "the configuration is not valid"
        if count <= 1 {
            return first
        }
        return "\(first) (\(isTruncated ? "at least " : "")\(count) problems; the others are listed in errors)"
    }
}

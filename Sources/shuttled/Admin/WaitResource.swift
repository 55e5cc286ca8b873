// Owns `/v1/services/{service}/wait`: an answer that comes when something has come about in the service.
// Leaves to others: looking, and who else waits (ControlPlane), how many may (LongAnswerPlaces).

import Hummingbird
import NIOCore
import ShuttleEngine

struct WaitResource: Sendable {
    let control: any AdminControl
    let places: LongAnswerPlaces
    let service: String

    func get(_ request: AdminRequest, _ attend: AdminResponder.Attend) async throws -> Response {
        let parameters = try QueryParameters(request.parameters, known: ["until", "timeout", "backend"])
        let wait = ServiceWait(service: service, goal: try goal(parameters), backend: parameters["backend"])
        let timeout =
            try parameters.duration("timeout", max: request.limits.waitTimeoutMax) ?? request.limits.waitTimeout
        let place = try places.takeForWait()
        defer { withExtendedLifetime(place) {} }
        let presence = ClientPresence()
        attend(presence, .wait)
        let start = NIODeadline.now()
        let outcome = await control.wait(for: wait, timeout: timeout, presence: presence)
        let seen = try seen(outcome, wait, timeout)
        return .json(WaitResource.bytes(wait, seen, waited: .now() - start))
    }

    private func goal(_ parameters: QueryParameters) throws(ProblemDetails) -> ServiceWait.Goal {
        let text = parameters["until"] ?? ""
        guard let goal = ServiceWait.Goal(rawValue: text) else {
            let goals = ServiceWait.Goal.allCases.map(\.rawValue).joined(separator: " or ")
            throw ProblemDetails(
                .invalidParameter, "until is \(Quoted(text)); it must say what to wait for: \(goals)"
            )
        }
        return goal
    }

    /// What was seen where it has come about.
    private func seen(
        _ outcome: ServiceWait.Outcome, _ wait: ServiceWait, _ timeout: TimeAmount
    ) throws(ProblemDetails) -> [ServiceWait.Seen] {
        let backend = wait.backend ?? ""
        switch outcome {
        case .settled(.reached(let seen)):
            return seen
        case .settled(.takesSessions):
            throw ProblemDetails(
                .notDraining,
                "backend \(Quoted(backend)) of service \(Quoted(service)) is ready and gets new sessions, so it is never "
                    + "drained for certain; PATCH /{service}/{backend} with {\"state\":\"drain\"} first"
            )
        case .settled(.unknownBackend):
            throw ProblemDetails.unknownBackend(backend, of: service)
        case .settled(.unknownService), .settled(.pending):
            throw ProblemDetails.unknownService(service)
        case .timedOut(let obstacles):
            throw timedOut(wait, obstacles, timeout)
        case .clientLeft:
            throw ProblemDetails(
                .clientLeft,
                "the connection was ended on the client's side while it waited, which is taken for its leaving; keep it "
                    + "open until the answer is there"
            )
        case .revoked:
            throw AccessGuard.revoked
        case .shuttingDown:
            throw ProblemDetails(
                .shuttingDown, "shuttled is shutting down: nothing is waited for any more", headers: [.retryAfter: "5"]
            )
        }
    }

    private func timedOut(
        _ wait: ServiceWait, _ obstacles: [ConfigurationIssue], _ timeout: TimeAmount
    ) -> ProblemDetails {
        let remedy =
            switch wait.goal {
            case .drained: "Wait again, or end them over time by drain_timeout of the service"
            case .healthy: "Wait again, or look at check_reason and last_failure by GET /{service}"
            }
        let more = obstacles.count > 1 ? " (\(obstacles.count) are in the way; errors lists them)" : ""
        return ProblemDetails(
            .waitTimeout,
            "service \(Quoted(service)) is not \(wait.goal.rawValue) after \(QueryParameters.text(timeout)): "
                + "\(obstacles.first?.detail ?? "nobody knows why")\(more). \(remedy)",
            issues: Array(obstacles.prefix(ConfigurationIssue.countMax))
        )
    }

    private static func bytes(_ wait: ServiceWait, _ seen: [ServiceWait.Seen], waited: TimeAmount) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("service", wait.service)
            writer.member("until", wait.goal.rawValue)
            writer.member("waited_milliseconds", waited.nanoseconds / 1_000_000)
            writer.list("backends") { writer in
                for backend in seen {
                    writer.object { writer in
                        writer.member("name", backend.name)
                        writer.member("state", backend.state.rawValue)
                        writer.member("up", backend.isUp)
                        writer.member("active", backend.active)
                    }
                }
            }
        }
        return writer.finish(trailingNewline: true)
    }
}

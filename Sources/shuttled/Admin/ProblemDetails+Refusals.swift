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
        case .shuttingDown:
            self.init(
                .shuttingDown, "shuttled is shutting down: changes are no longer made, nothing has been changed"
            )
        case .notDurable(let reason):
            self.init(.notDurable, "nothing has been changed, because it could not be made durable: \(reason)")
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

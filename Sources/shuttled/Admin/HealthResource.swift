// Owns `/livez`, `/readyz` and `/healthz`: answers for supervisors and load balancers, in plain text.
// Leaves to others: what readiness consists of (ControlPlane).

import Hummingbird

struct HealthResource: Sendable {
    let control: any AdminControl

    /// `verbose` lists every check; a status code is all that most callers look at.
    func get(_ probe: HealthProbe, isVerbose: Bool) async -> Response {
        let checks: [(name: String, isGood: Bool, detail: String)]
        switch probe {
        case .livez:
            // Answering at all is the check: the control thread runs, and the control plane takes its turn.
            _ = await control.readiness()
            checks = [("control", true, "the control thread answers")]
        case .readyz, .healthz:
            checks = await control.readiness().checks
        }
        let isGood = checks.allSatisfy(\.isGood)
        let status: HTTPResponse.Status = isGood ? .ok : .serviceUnavailable
        guard isVerbose else {
            let failed = checks.filter { !$0.isGood }.map { "\($0.name): \($0.detail)\n" }
            return .text(status, isGood ? "ok\n" : failed.joined())
        }
        var text = ""
        for check in checks {
            text += "[\(check.isGood ? "+" : "-")] \(check.name): \(check.detail)\n"
        }
        text += "\(probe.rawValue) \(isGood ? "passed" : "failed")\n"
        return .text(status, text)
    }
}

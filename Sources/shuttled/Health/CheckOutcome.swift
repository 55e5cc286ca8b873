// Owns how a check can end, and what is told of it.
// Leaves to others: ending so (ActiveCheck), and what it leads to (HealthMonitor).

import Glibc
import NIOCore
import ShuttleEngine

/// How a check ended.
enum CheckOutcome: Equatable, Sendable {
    case succeeded
    /// The reason, as the end of a sentence: "connection refused".
    case failed(String)
    /// Nothing was learned about the backend, because this process or machine had run out of something.
    case inconclusive(String)
}

/// Starts a check of a backend. Runs on the loop; the future belongs to it.
typealias HealthCheck = (_ target: HealthTarget) -> EventLoopFuture<CheckOutcome>

extension CheckOutcome {
    /// What an error of a channel says of the backend, or of us.
    init(_ error: any Error) {
        guard let code = (error as? IOError)?.errnoCode else {
            self = .failed(CheckReason.bounded("\(error)"))
            return
        }
        let reason = String(cString: strerror(code)).lowercased()
        switch code {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EAGAIN, EADDRINUSE:
            self = .inconclusive(reason)
        default:
            self = .failed(reason)
        }
    }

    /// What statistics keep of it.
    func result(duration: TimeAmount, endedAtMilliseconds: Int) -> CheckResult {
        let status: CheckResult.Status
        let reason: String?
        switch self {
        case .succeeded: (status, reason) = (.success, nil)
        case .failed(let text): (status, reason) = (.fail, text)
        case .inconclusive(let text): (status, reason) = (.inconclusive, text)
        }
        return CheckResult(
            status: status, reason: reason, durationMicroseconds: Int(duration.nanoseconds / 1000),
            endedAtMilliseconds: endedAtMilliseconds
        )
    }
}

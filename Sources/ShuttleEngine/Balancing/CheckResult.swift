// Owns what is kept of a backend's last health check.
// Leaves to others: making it (shuttled/Health), and what several of them lead to.

/// How one health check ended.
public struct CheckResult: Equatable, Sendable {
    public enum Status: String, Sendable, CaseIterable {
        case success
        case fail
        /// Nothing was learned about the backend; it counts neither way.
        case inconclusive
    }

    public var status: Status
    /// Why it did not succeed: one line of printable text.
    public var reason: String?
    /// From the begin of its connect to its end.
    public var durationMicroseconds: Int
    /// Time of day, since 1970.
    public var endedAtMilliseconds: Int

    public init(status: Status, reason: String?, durationMicroseconds: Int, endedAtMilliseconds: Int) {
        self.status = status
        self.reason = reason
        self.durationMicroseconds = durationMicroseconds
        self.endedAtMilliseconds = endedAtMilliseconds
    }
}

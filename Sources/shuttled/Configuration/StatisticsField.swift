// Owns the names of the fields that statistics add to a configuration. Printing statistics uses them, and reading a
// configuration passes over them, so that what was read from a service can be changed and written back.
// Leaves to others: the values.

import ShuttleEngine

/// What statistics say of a service, beside its configuration. A new case is known on input as well.
enum ServiceStatisticsField: String, CaseIterable {
    /// Bytes from clients to backends.
    case sent
    /// Bytes from backends to clients.
    case received
    case errors
    /// Accepted ever.
    case connections
    case active
    /// Times that a backend was let stay although its traffic fails.
    case panics
    /// Waiting for a place now.
    case queued
    /// Closed at once, ever: over a limit without a queue, or in maintenance.
    case refused
    case refusedPerClient = "refused_per_client"
    case queueTimeouts = "queue_timeouts"
    case queueOverflows = "queue_overflows"
    /// Sessions that are still to end of those that drain.
    case draining
    /// Sessions that shuttled itself ended, by the reason.
    case ended
}

/// What statistics say of a backend, beside its configuration. A new case is known on input as well.
enum BackendStatisticsField: String, CaseIterable {
    case up
    case sent
    case received
    case errors
    /// Established ever.
    case connections
    case active
    case checkSuccess = "check_success"
    case checkFail = "check_fail"
    /// Whether failures of its traffic have taken it out.
    case ejected
    case ejections
    /// The reason of its last failure in traffic; absent before the first.
    case lastFailure = "last_failure"
    case draining
    case ended
    /// Of the last check, absent before the first one: `success`, `fail`, or `inconclusive`.
    case checkStatus = "check_status"
    /// Why it did not succeed; absent where it did.
    case checkReason = "check_reason"
    case checkDurationMicroseconds = "check_duration_microseconds"
    /// When it ended.
    case checkLast = "check_last"
}

/// What statistics say of a backend whose address has a name. A new case is known on input as well.
enum NameField: String, CaseIterable {
    /// What the name stands for, empty as long as it has not resolved.
    case resolvedAddress = "resolved_address"
    /// What is wrong with the name now, empty where nothing is.
    case resolveError = "resolve_error"
    /// When the last good answer came.
    case resolveTime = "resolve_time"
    /// What the SRV records list, each with statistics of its own.
    case targets
}

/// A configuration object that statistics are kept of.
protocol StatisticsObject: ConfigurationObject {
    /// Names that are passed over on input.
    static var statisticsNames: Set<String> { get }
}

extension ServiceConfiguration: StatisticsObject {
    static let statisticsNames = Set(ServiceStatisticsField.allCases.map(\.rawValue))
}

extension BackendConfiguration: StatisticsObject {
    static let statisticsNames = Set(
        BackendStatisticsField.allCases.map(\.rawValue) + NameField.allCases.map(\.rawValue)
    )
}

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
    /// Closed at once, ever: the lists do not let their addresses in.
    case denied
    /// Closed at once, ever: too early for the rate limit.
    case refusedByRate = "refused_by_rate"
    /// Waiting now until they are in time for the rate limit.
    case delayed
    /// Those that had to, ever.
    case delays
    /// Times that a session was held back to its bandwidth, ever.
    case bandwidthHolds = "bandwidth_holds"
    /// Further tries for clients whose connect had failed.
    case retried
    /// Closed, ever, since what was to be read first was not what it must be.
    case prereadFailures = "preread_failures"
    /// Closed, ever, since it did not come in time.
    case prereadTimeouts = "preread_timeouts"
    /// Led to other services by routes, ever.
    case routed
    /// Sessions that are still to end of those that drain.
    case draining
    /// Sessions that shuttled itself ended, by the reason.
    case ended
    /// Of a UDP service only: datagrams sent on to backends and to clients, and dropped, of those the ones for a limit of
    /// bandwidth; sessions that a backend's host refused, and that ended to make room for others.
    case datagramsSent = "datagrams_sent"
    case datagramsReceived = "datagrams_received"
    case datagramsDropped = "datagrams_dropped"
    case datagramsLimited = "datagrams_limited"
    case datagramsRefused = "datagrams_refused"
    case evicted

    /// Whether only UDP services have it.
    var isOfDatagrams: Bool {
        switch self {
        case .datagramsSent, .datagramsReceived, .datagramsDropped, .datagramsLimited, .datagramsRefused, .evicted: true
        default: false
        }
    }
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
    /// Further tries that came to it.
    case retried
    /// What counts of its weight; 100 unless it ramps.
    case slowStartPercent = "slow_start_percent"
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

// Owns the values that statistics are reported in; summing them is Engine+Statistics's.

/// What a service has done since it was created, summed over all rings at one moment.
public struct ServiceStatistics: Sendable, Equatable {
    public var configuration: ServiceConfiguration
    /// Bytes sent on from clients to backends.
    public var sentBytes: UInt64
    /// Bytes sent on from backends to clients.
    public var receivedBytes: UInt64
    /// Failed connects and resets of its backends, and clients for whom no backend was usable.
    public var errors: UInt64
    /// Connections accepted, ever.
    public var connections: UInt64
    /// Sessions now, those of removed backends included.
    public var active: Int
    /// Times that a backend was let stay although its traffic fails, because too many would have been out.
    public var panics: UInt64
    /// In the order of the configuration.
    public var backends: [BackendStatistics]
}

/// What a backend has done since it was created, summed over all rings at one moment.
public struct BackendStatistics: Sendable, Equatable {
    public var configuration: BackendConfiguration
    /// Whether it can get sessions: checks call it up, and it is not ejected.
    public var isUp: Bool
    public var sentBytes: UInt64
    public var receivedBytes: UInt64
    /// Failed connects and resets by the backend.
    public var errors: UInt64
    /// Sessions established, ever.
    public var connections: UInt64
    /// Sessions now, those still connecting included.
    public var active: Int
    public var checkSuccesses: UInt64
    public var checkFailures: UInt64
    /// Nil before the first.
    public var lastCheck: CheckResult?
    /// Whether failures of its traffic have taken it out.
    public var isEjected: Bool
    /// Times that they have, ever.
    public var ejections: UInt64
    /// Nil before the first.
    public var lastFailure: TrafficFailure?
}

extension BackendStatistics {
    /// Of a backend that is not there: its name does not resolve.
    public static func none(of configuration: BackendConfiguration) -> BackendStatistics {
        BackendStatistics(
            configuration: configuration, isUp: false, sentBytes: 0, receivedBytes: 0, errors: 0, connections: 0,
            active: 0, checkSuccesses: 0, checkFailures: 0, isEjected: false, ejections: 0, lastFailure: nil
        )
    }

    /// Of a backend that stands for several: up as long as one of them is, the last check that of any.
    public static func sum(of parts: [BackendStatistics], as configuration: BackendConfiguration) -> BackendStatistics {
        var sum = none(of: configuration)
        for part in parts {
            sum.isUp = sum.isUp || part.isUp
            sum.sentBytes += part.sentBytes
            sum.receivedBytes += part.receivedBytes
            sum.errors += part.errors
            sum.connections += part.connections
            sum.active += part.active
            sum.checkSuccesses += part.checkSuccesses
            sum.checkFailures += part.checkFailures
            if let check = part.lastCheck, check.endedAtMilliseconds >= sum.lastCheck?.endedAtMilliseconds ?? 0 {
                sum.lastCheck = check
            }
            sum.ejections += part.ejections
            sum.lastFailure = part.lastFailure ?? sum.lastFailure
        }
        sum.isEjected = !parts.isEmpty && parts.allSatisfy(\.isEjected)
        return sum
    }
}

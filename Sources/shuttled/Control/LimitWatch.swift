// Owns what can be seen by comparing statistics with those of a moment ago: that limits turn clients away, that they no longer
// do, that a drain is done; pure, with the time handed in.
// Leaves to others: when to look (ServiceObserver), what is told (ControlEvents).

import ShuttleEngine

/// Something that goes on for a while, seen by a counter that rises.
struct Episode: Equatable, Sendable {
    enum Change: Equatable, Sendable {
        case began(count: UInt64)
        case ended(count: UInt64, milliseconds: UInt64)
    }

    /// It has ended when the counter has not risen for so long: under load limits are met again and again.
    static let quietMilliseconds: UInt64 = 5000

    private var counter: UInt64 = 0
    private var begin: UInt64 = 0
    private var lastRise: UInt64 = 0
    private var count: UInt64 = 0
    var isUnderWay: Bool { count > 0 }

    /// Takes in the counter. `lasts`: what is counted is known to go on, although the counter stands still.
    mutating func look(at value: UInt64, lasts: Bool = false, milliseconds now: UInt64) -> Change? {
        // Less than before: another counter, of a service that was made anew.
        let rise = value >= counter ? value - counter : value
        counter = value
        if rise > 0 {
            lastRise = now
            count += rise
            guard count > rise else {
                begin = now
                return .began(count: rise)
            }
            return nil
        }
        if isUnderWay, lasts {
            lastRise = now
        }
        return isUnderWay && now - lastRise >= Episode.quietMilliseconds ? end() : nil
    }

    /// Ends it, if it is under way.
    mutating func end() -> Change? {
        guard isUnderWay else {
            return nil
        }
        defer { count = 0 }
        return .ended(count: count, milliseconds: lastRise - begin)
    }
}

/// What limits turn clients away, and which drains are done.
struct LimitWatch: Sendable {
    /// By the name of the field that sets it.
    enum Limit: String, CaseIterable, Sendable {
        /// Of the service, or of all of its usable backends.
        case connections = "max_connections"
        case connectionsPerClient = "max_connections_per_client"
        case rate = "rate_limit"
        case queue = "queue_limit"
        case queueTime = "queue_timeout"

        func counter(_ statistics: ServiceStatistics) -> UInt64 {
            switch self {
            case .connections: statistics.refused
            case .connectionsPerClient: statistics.refusedPerClient
            case .rate: statistics.refusedByRate + statistics.delays
            case .queue: statistics.queueOverflows
            case .queueTime: statistics.queueTimeouts
            }
        }
    }

    enum Observation: Equatable, Sendable {
        /// `limit` is `maintenance` where the service is in maintenance.
        case limit(String, service: String, Episode.Change)
        case drained(service: String, backend: String)
        case accepting(Episode.Change)
    }

    private enum Drain {
        case none
        case underWay
        case done
    }

    private struct Service {
        var episodes = Array(repeating: Episode(), count: Limit.allCases.count)
        /// The limit that an episode was told as.
        var names = Limit.allCases.map(\.rawValue)
        var drains: [String: Drain] = [:]
    }

    private var services: [String: Service] = [:]
    private var accepting = Episode()

    /// Compares with the last look.
    mutating func look(at reports: [ServiceReport], milliseconds now: UInt64) -> [Observation] {
        var observations: [Observation] = []
        var next: [String: Service] = [:]
        next.reserveCapacity(reports.count)
        for report in reports {
            let name = report.configuration.name
            var service = services.removeValue(forKey: name) ?? Service()
            lookAtLimits(report.statistics, of: &service, now, &observations)
            lookAtDrains(report, of: &service, &observations)
            next[name] = service
        }
        for (name, var service) in services {
            for index in service.episodes.indices {
                if let change = service.episodes[index].end() {
                    observations.append(.limit(service.names[index], service: name, change))
                }
            }
        }
        services = next
        return observations
    }

    private func lookAtLimits(
        _ statistics: ServiceStatistics, of service: inout Service, _ now: UInt64, _ observations: inout [Observation]
    ) {
        for (index, limit) in Limit.allCases.enumerated() {
            guard let change = service.episodes[index].look(at: limit.counter(statistics), milliseconds: now) else {
                continue
            }
            if case .began = change {
                let isMaintenance = limit == .connections && statistics.configuration.isInMaintenance
                service.names[index] = isMaintenance ? "maintenance" : limit.rawValue
            }
            observations.append(.limit(service.names[index], service: statistics.configuration.name, change))
        }
    }

    private func lookAtDrains(
        _ report: ServiceReport, of service: inout Service, _ observations: inout [Observation]
    ) {
        var drains: [String: Drain] = [:]
        drains.reserveCapacity(report.backends.count)
        for backend in report.backends {
            let name = backend.configuration.name
            let before = service.drains[name]
            guard backend.configuration.state != .ready else {
                drains[name] = Drain.none
                continue
            }
            if backend.statistics.active > 0 {
                drains[name] = .underWay
                continue
            }
            drains[name] = .done
            // One that never took anything has not been drained.
            if before == Drain.none || before == .underWay {
                observations.append(.drained(service: report.configuration.name, backend: name))
            }
        }
        service.drains = drains
    }

    /// Compares what rings say with the last look; `capacity` is what all of them hold.
    mutating func look(at rings: [RingStatistics], capacity: Int, milliseconds now: UInt64) -> [Observation] {
        let pauses = rings.reduce(0) { $0 + $1.acceptPauses }
        // A ring that is full does not try again, and so counts nothing.
        let isFull = rings.contains { $0.sessions >= max(1, capacity / rings.count) }
        return accepting.look(at: pauses, lasts: isFull, milliseconds: now).map { [.accepting($0)] } ?? []
    }
}

// Owns what can be waited for, and whether it has come about by what is reported of a service; pure.
// Leaves to others: looking again and again (ServiceObserver), who waits (ServiceWaits), how it is asked for (Admin).

import ShuttleEngine

/// Something that is to come about in a service.
struct ServiceWait: Equatable, Sendable {
    enum Goal: String, CaseIterable, Sendable {
        /// The backends that take nothing new have no sessions.
        case drained
        /// The backends that take sessions are up.
        case healthy
    }

    var service: String
    var goal: Goal
    /// The one that it is about; nil for all that it can be about.
    var backend: String?

    /// What was seen of a backend.
    struct Seen: Equatable, Sendable {
        var name: String
        var state: BackendState
        var isUp: Bool
        var active: Int
    }

    enum Progress: Equatable, Sendable {
        case reached([Seen])
        /// Who is in the way and how; pointers lead into what `GET /{service}` answers.
        case pending([ConfigurationIssue])
        /// The backend gets new sessions, so that it is never drained for certain.
        case takesSessions
        case unknownService
        case unknownBackend
    }

    /// How a wait ended.
    enum Outcome: Equatable, Sendable {
        /// With what cannot become better by waiting.
        case settled(Progress)
        /// With those who were in the way when the time was over.
        case timedOut([ConfigurationIssue])
        case clientLeft
        /// What the client was let in by lets nobody in any more.
        case revoked
        case shuttingDown
    }

    /// How far it is. `report` is that of the service, nil where there is none of this name.
    func progress(_ report: ServiceReport?) -> Progress {
        guard let report else {
            return .unknownService
        }
        let indices = report.backends.indices.filter { index in
            backend == nil ? isMeant(report.backends[index]) : report.backends[index].configuration.name == backend
        }
        if backend != nil {
            guard let index = indices.first else {
                return .unknownBackend
            }
            if goal == .drained, ServiceWait.takesSessions(report.backends[index].configuration) {
                return .takesSessions
            }
        }
        let issues = indices.compactMap { index in
            obstacle(report.backends[index], of: report.configuration, index: index)
        }
        guard issues.isEmpty else {
            return .pending(issues)
        }
        return .reached(
            indices.map { index in
                let backend = report.backends[index]
                return Seen(
                    name: backend.configuration.name, state: backend.configuration.state,
                    isUp: backend.statistics.isUp, active: backend.statistics.active
                )
            }
        )
    }

    /// Whether a backend is meant where none is named.
    private func isMeant(_ report: BackendReport) -> Bool {
        switch goal {
        case .drained: report.configuration.state != .ready
        case .healthy: report.configuration.state == .ready
        }
    }

    private static func takesSessions(_ backend: BackendConfiguration) -> Bool {
        backend.state == .ready && backend.weight > 0
    }

    private func obstacle(
        _ report: BackendReport, of service: ServiceConfiguration, index: Int
    ) -> ConfigurationIssue? {
        let name = Quoted(report.configuration.name)
        switch goal {
        case .drained:
            let active = report.statistics.active
            return active == 0
                ? nil
                : ConfigurationIssue(
                    pointer: "/backends/\(index)/active",
                    detail: "backend \(name) has \(active) active \(active == 1 ? "session" : "sessions")"
                )
        case .healthy:
            return ServiceWait.illness(report, of: service).map { reason in
                ConfigurationIssue(pointer: "/backends/\(index)/up", detail: "backend \(name) \(reason)")
            }
        }
    }

    /// Why a backend cannot be called healthy; nil where it can. One that is checked starts as up, but to say that it is
    /// healthy takes a check that was good, and no bad one after it.
    private static func illness(_ report: BackendReport, of service: ServiceConfiguration) -> String? {
        let statistics = report.statistics
        let last = statistics.lastCheck
        if !statistics.isUp {
            if statistics.isEjected {
                return "is ejected: \(statistics.lastFailure?.reason ?? "its traffic fails")"
            }
            if last?.status == .fail {
                return "is down: \(last?.reason ?? "its check fails")"
            }
            return report.name?.outcome?.failure.map { "is not there: \($0)" } ?? "is down"
        }
        guard service.checkIntervalMilliseconds > 0, !report.configuration.checkAddress.isEmpty else {
            return nil
        }
        if last?.status == .fail {
            return "is up, but its last check failed: \(last?.reason ?? "no reason is known")"
        }
        return statistics.checkSuccesses > 0 ? nil : "has not been checked with success yet"
    }
}

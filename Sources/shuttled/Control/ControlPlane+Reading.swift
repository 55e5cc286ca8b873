// Owns what the control plane tells of what there is, and waiting for something to come about in it.
// Leaves to others: changing it (ControlPlane).

import NIOCore
import ShuttleEngine

extension ControlPlane {
    func configuration() -> LiveConfiguration {
        LiveConfiguration(services: services.map(\.configuration), versions: versions)
    }

    func statistics() -> LiveStatistics {
        // Committed in order of names, reported in order of commit.
        let reports = zip(services, dataPlane.statistics()).map { service, statistics in
            ServiceReport(of: service, statistics) { names.memory(of: $0) }
        }
        return LiveStatistics(services: reports, versions: versions)
    }

    /// What every ring says of itself.
    func ringStatistics() -> [RingStatistics] {
        dataPlane.ringStatistics()
    }

    func readiness() -> Readiness {
        Readiness(checks: [
            (
                "configuration", hasStarted,
                hasStarted ? "applied, services: \(services.count)" : "being applied"
            ),
            (
                "rings", stalledRings.isEmpty,
                stalledRings.isEmpty
                    ? "\(dataPlane.ringCount) rings, \(dataPlane.sessionCapacity) sessions at most"
                    : "stuck: ring \(stalledRings.map(String.init).joined(separator: ", "))"
            ),
            (
                "accepting", !isShuttingDown,
                isShuttingDown ? "shutting down, \(dataPlane.activeSessions) sessions left" : "taking connections"
            ),
        ])
    }

    /// What would become of a client that came now; nil where there is no such service.
    func explain(service name: String, client: ExplainedClient) -> ServiceExplanation? {
        guard let explanation = dataPlane.explain(service: name, client: client) else {
            return nil
        }
        // The engine has no backend whose name stands for nothing.
        let looked = services.first { $0.configuration.name == explanation.service.name }
        let unresolved = looked.map { service in
            zip(service.configuration.backends, service.places).filter { $1.isEmpty }.map { backend, _ in backend }
        }
        return ServiceExplanation(explanation: explanation, unresolved: unresolved ?? [])
    }

    // MARK: Waiting

    /// Comes back when what is waited for has come about, or can no longer, or the time is over, or the client has left.
    func wait(
        for wait: ServiceWait, timeout: TimeAmount, presence: ClientPresence
    ) async -> ServiceWait.Outcome {
        guard !isShuttingDown else {
            return .shuttingDown
        }
        let reports = statistics().services
        let progress = wait.progress(reports.first { $0.configuration.name == wait.service })
        guard case .pending(let obstacles) = progress else {
            return .settled(progress)
        }
        guard timeout > .zero else {
            return .timedOut(obstacles)
        }
        return await observer.waits.join(wait, obstacles: obstacles, until: .now() + timeout, presence: presence)
    }

    func observe() {
        let start = NIODeadline.now()
        let reports = statistics().services
        told.looked(
            at: reports, ringStatistics(), capacity: dataPlane.sessionCapacity,
            milliseconds: start.uptimeNanoseconds / 1_000_000
        )
        observer.looked(reports, since: start)
    }
}

// Owns what the admin API needs of the control plane: the seam at which tests put something else.
// Leaves to others: doing it (shuttled/Control).

import NIOCore
import ShuttleEngine

/// The control plane as the admin API sees it.
protocol AdminControl: ConnectionControl, Sendable {
    /// Where everything runs, for what has to happen in time.
    var loop: any EventLoop { get }
    /// What has happened.
    var events: EventLog { get }
    func configuration() async -> LiveConfiguration
    /// Makes a change durable and live, and returns the whole resulting configuration.
    func apply(
        _ change: ConfigurationChange, origin: ChangeOrigin, if condition: ChangeCondition
    ) async throws(ChangeRefusal) -> LiveConfiguration
    /// Says what a change would come to, and makes none.
    func preview(
        _ change: ConfigurationChange, origin: ChangeOrigin, if condition: ChangeCondition
    ) async throws(ChangeRefusal) -> ChangePreview
    /// The change that waits to be confirmed.
    func pendingChange() async -> PendingChange?
    /// Has it stay, and returns the whole configuration; the condition is about all of it.
    func confirm(
        _ id: Int, origin: ChangeOrigin, if condition: ChangeCondition
    ) async throws(ChangeRefusal) -> LiveConfiguration
    /// Takes it back.
    func revert(
        _ id: Int, origin: ChangeOrigin, if condition: ChangeCondition
    ) async throws(ChangeRefusal) -> LiveConfiguration
    /// Changes that were made, the newest first.
    func history(before id: Int?, limit: Int) async -> HistoryPage
    func historyEntry(_ id: Int) async -> HistoryDetail?
    func statistics() async -> LiveStatistics
    /// In the order of the rings.
    func ringStatistics() async -> [RingStatistics]
    /// The newest sessions that have ended; nil where none are remembered.
    func recentSessions(_ query: RecentSessionsQuery) async -> RecentSessions?
    /// Everything that is counted.
    func metrics(_ bounds: DistributionBounds) async -> MetricsReading
    func readiness() async -> Readiness
    /// What would become of a client that came now; nil where there is no such service.
    func explain(service: String, client: ExplainedClient) async -> ServiceExplanation?
    /// Comes back when what is waited for has come about, or why it did not.
    func wait(for wait: ServiceWait, timeout: TimeAmount, presence: ClientPresence) async -> ServiceWait.Outcome
}

extension ControlPlane: AdminControl {}

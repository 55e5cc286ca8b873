// Owns what the admin API needs of the control plane: the seam at which tests put something else.
// Leaves to others: doing it (shuttled/Control).

import ShuttleEngine

/// The control plane as the admin API sees it.
protocol AdminControl: Sendable {
    /// The live configuration, sorted by name.
    func configuration() async -> [ServiceConfiguration]
    /// Makes a change durable and live, and returns the whole resulting configuration, sorted by name.
    func apply(_ change: ConfigurationChange, origin: ChangeOrigin) async throws(ChangeRefusal)
        -> [ServiceConfiguration]
    /// Sorted by name.
    func statistics() async -> [ServiceReport]
    /// In the order of the rings.
    func ringStatistics() async -> [RingStatistics]
    func readiness() async -> Readiness
}

extension ControlPlane: AdminControl {}

// Owns what readiness consists of. Leaves to others: finding it out (ControlPlane) and answering `/readyz` (Admin).

/// Whether new connections and changes are being taken, and why not.
struct Readiness: Sendable {
    var checks: [(name: String, isGood: Bool, detail: String)]

    /// Ready when every check is good.
    var isReady: Bool { checks.allSatisfy(\.isGood) }
}

// Owns what is told of what would become of a client: what the engine knows, and what only the control side does.
// Leaves to others: finding it out (ShuttleEngine), printing it (Admin).

import ShuttleEngine

/// An explanation, and what the engine does not know of.
struct ServiceExplanation: Equatable, Sendable {
    var explanation: Explanation
    /// Backends whose names stand for nothing now.
    var unresolved: [BackendConfiguration] = []
}

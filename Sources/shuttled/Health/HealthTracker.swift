// Owns when checks in a row make a backend up or down; pure.
// Leaves to others: making the checks (HealthMonitor) and acting on a transition (ControlPlane).

/// Counts the checks of one backend.
struct HealthTracker: Equatable, Sendable {
    enum Transition: Equatable, Sendable {
        case wentUp
        case wentDown
    }

    /// A backend is up until checks say otherwise: a new one takes connections at once.
    private(set) var isUp = true
    /// Checks in a row that speak against `isUp`.
    private(set) var streak = 0

    /// Takes in one finished check. The limits may change from check to check; what has been counted stays counted.
    mutating func record(succeeded: Bool, fall: Int, rise: Int) -> Transition? {
        guard succeeded != isUp else {
            streak = 0
            return nil
        }
        streak += 1
        guard streak >= (isUp ? fall : rise) else {
            return nil
        }
        streak = 0
        isUp.toggle()
        return isUp ? .wentUp : .wentDown
    }
}

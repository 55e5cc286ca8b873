// Owns counting failures within a time that slides. Knows no clock: the time comes with every call.
// Leaves to others: what a count leads to (PassiveEjection).

/// Failures of the last while, in steps: its size does not grow with their number.
///
/// A failure counts as long as the window, and a 64th of it longer at most.
struct FailureWindow: Equatable {
    private struct Step: Equatable {
        var begin: UInt64
        var end: UInt64
        var count: Int
    }

    static let stepsMax = 64

    /// The oldest first.
    private var steps: [Step] = []

    /// When the last failure was counted that is still in the window.
    var last: UInt64 { steps.last?.end ?? 0 }

    /// `now` never goes back.
    mutating func add(_ count: Int, at now: UInt64, windowMilliseconds: Int) {
        let width = UInt64(windowMilliseconds / FailureWindow.stepsMax)
        if let index = steps.indices.last, now - steps[index].begin < width {
            steps[index].end = now
            steps[index].count += count
        } else {
            steps.append(Step(begin: now, end: now, count: count))
        }
        slide(to: now, windowMilliseconds: windowMilliseconds)
    }

    /// Failures in the window that ends now.
    mutating func count(at now: UInt64, windowMilliseconds: Int) -> Int {
        slide(to: now, windowMilliseconds: windowMilliseconds)
        return steps.reduce(0) { $0 + $1.count }
    }

    private mutating func slide(to now: UInt64, windowMilliseconds: Int) {
        steps.removeAll { $0.end + UInt64(windowMilliseconds) <= now }
        // A window that has become longer has steps that are too fine for it.
        while steps.count > FailureWindow.stepsMax + 1 {
            steps[1].begin = steps[0].begin
            steps[1].count += steps[0].count
            steps.removeFirst()
        }
    }
}

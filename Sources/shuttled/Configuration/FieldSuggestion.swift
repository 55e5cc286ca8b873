// Owns finding the field that a misspelt name was meant to be.
// Leaves to others: which names there are, and the message.

/// Finds the known name nearest to an unknown one.
enum FieldSuggestion {
    /// Longer names are not compared letter by letter: they are not slips of a known one.
    private static let lengthMax = 40

    /// The candidate that `name` most likely stands for, or nil when none is near.
    ///
    /// Case, underscores and hyphens do not count, so `checkInterval` is `check_interval`. Beyond that, one slip in
    /// three letters is near: a letter missing, added, changed, or swapped with its neighbour.
    static func nearest(to name: String, among candidates: [String]) -> String? {
        guard name.utf8.count <= lengthMax else {
            return nil
        }
        let plainName = plain(name)
        var best: (candidate: String, distance: Int)?
        for candidate in candidates {
            let plainCandidate = plain(candidate)
            let distance = distance(plainName, plainCandidate)
            let allowed = max(1, max(plainName.count, plainCandidate.count) / 3)
            // Of equally near ones the first is taken.
            if distance <= allowed, distance < min(plainCandidate.count, best?.distance ?? .max) {
                best = (candidate, distance)
            }
        }
        return best?.candidate
    }

    private static func plain(_ name: String) -> [UInt8] {
        name.lowercased().utf8.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") }
    }

    /// Edits that make `first` out of `second` (optimal string alignment).
    private static func distance(_ first: [UInt8], _ second: [UInt8]) -> Int {
        var beforePrevious: [Int] = []
        var previous = Array(0...second.count)
        for (row, a) in first.enumerated() {
            var current = [row + 1]
            for (column, b) in second.enumerated() {
                var cost = min(previous[column] + (a == b ? 0 : 1), previous[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, a == second[column - 1], first[row - 1] == b {
                    cost = min(cost, beforePrevious[column - 1] + 1)
                }
                current.append(cost)
            }
            beforePrevious = previous
            previous = current
        }
        return previous[second.count]
    }
}

// Owns how often the same warning is worth a line, and how many were left out. Pure: the time is given.
// Leaves to others: what a line says (Observability/Logging), asking in time.

import Logging
import ShuttleEngine

/// Lets a few lines of a kind through in each window, and counts the others.
struct LogLimiter: Sendable {
    /// Lines of a kind in a window.
    static let linesMax = 5
    /// From the first line of a kind on.
    static let windowNanoseconds: UInt64 = 10_000_000_000
    /// Kinds that are told apart at a time. Beyond them those of a part of the program are one.
    static let kindsMax = 256

    struct Kind: Hashable, Sendable {
        var component: LogComponent
        var level: Logger.Level
        var message: String
    }

    /// Lines that were held back.
    struct Rest: Equatable, Sendable {
        var kind: Kind
        var count: Int

        var text: String { "\(count) more like \(Quoted(kind.message)) were held back" }
    }

    private struct Window {
        var end: UInt64
        var lines = 0
        var heldBack = 0
    }
    private var windows: [Kind: Window] = [:]

    /// Whether a line may be written at `now`, in nanoseconds that never go back.
    mutating func admit(_ kind: Kind, at now: UInt64) -> Bool {
        var kind = kind
        if windows[kind] == nil, windows.count >= LogLimiter.kindsMax {
            kind.message = "messages of too many kinds"
        }
        var window = windows[kind] ?? Window(end: now + LogLimiter.windowNanoseconds)
        let isAdmitted = window.lines < LogLimiter.linesMax
        if isAdmitted { window.lines += 1 } else { window.heldBack += 1 }
        windows[kind] = window
        return isAdmitted
    }

    /// Ends the windows that are over, or all of them, and says what was held back in them. To be asked before `admit`, and
    /// now and then.
    mutating func takeRests(at now: UInt64, endingAll: Bool = false) -> [Rest] {
        guard !windows.isEmpty else {
            return []
        }
        let over = windows.filter { endingAll || $0.value.end <= now }
        for kind in over.keys { windows[kind] = nil }
        return over.filter { $0.value.heldBack > 0 }
            .map { Rest(kind: $0.key, count: $0.value.heldBack) }
            .sorted { $0.kind.message < $1.kind.message }
    }
}

// Owns when failures of real traffic take backends out and let them back, and how many may be out. Pure: the time comes
// with every call. Leaves to others: counting (TrafficFailures), carrying it out (CompiledService.judgeTraffic).

/// What the configuration says of one backend.
struct PassiveRule: Equatable {
    var configuration: PassiveConfiguration
    /// A good check brings the backend back, and nothing else does.
    var isReturnedByCheck: Bool
}

/// What traffic has said of one backend. The control thread's own.
struct PassiveTracker: Equatable {
    private(set) var window = FailureWindow()
    /// Since when there have been too many failures: it is out, or was let stay because too many were.
    private(set) var accusedAt: UInt64?
    fileprivate(set) var isEjected = false
    /// Times that it was taken out, ever.
    fileprivate(set) var ejections: UInt64 = 0
    /// How many failures of its record have been counted here.
    private var failuresSeen: UInt64 = 0

    /// Takes in what the record counts by now.
    mutating func observe(failures: UInt64, _ rule: PassiveRule, at now: UInt64) {
        let count = Int(failures - failuresSeen)
        failuresSeen = failures
        if count > 0, rule.configuration.failures > 0 {
            window.add(count, at: now, windowMilliseconds: rule.configuration.windowMilliseconds)
        }
    }

    /// A check went well, which lets the backend start afresh.
    mutating func checkSucceeded() {
        accusedAt = nil
        window = FailureWindow()
    }

    /// Accuses, or lets an accusation lapse.
    fileprivate mutating func judge(_ rule: PassiveRule, at now: UInt64) {
        guard rule.configuration.failures > 0 else { return checkSucceeded() }
        if let end = end(rule), end <= now { checkSucceeded() }
        if accusedAt == nil, count(rule, at: now) >= rule.configuration.failures { accusedAt = now }
    }

    fileprivate mutating func count(_ rule: PassiveRule, at now: UInt64) -> Int {
        window.count(at: now, windowMilliseconds: rule.configuration.windowMilliseconds)
    }

    /// When the accusation lapses by itself.
    fileprivate func end(_ rule: PassiveRule) -> UInt64? {
        guard let accusedAt, !rule.isReturnedByCheck else { return nil }
        return accusedAt + UInt64(rule.configuration.downTimeMilliseconds)
    }
}

/// The backends of one service, and what is to become of them.
///
/// At most half of the backends that could be used otherwise are out, rounded down; a backend that is the only one may be
/// out as well. Of more that are accused the least bad stay: those with the fewest failures in the window, among equals
/// those whose last failure is longest ago. One that is out counts twice its failures, so that two that are dead do not
/// take turns with every failure.
struct PassiveEjection {
    struct Backend {
        var tracker: PassiveTracker
        var rule: PassiveRule
        /// It has a weight, checks call it up, and the operator has nothing against it.
        var isOtherwiseUsable: Bool
    }

    var backends: [Backend]
    /// Times that an accused backend was let stay, or let back, because too many would have been out.
    private(set) var panics: UInt64 = 0
    /// When something changes by itself.
    private(set) var nextChange: UInt64?

    init(_ backends: [Backend]) {
        self.backends = backends
    }

    /// How many of `count` may be out.
    static func ejectedMax(of count: Int) -> Int { count == 1 ? 1 : count / 2 }

    mutating func judge(at now: UInt64) {
        var accused: [(index: Int, badness: Int, last: UInt64)] = []
        var wasAccused: [Bool] = []
        for index in backends.indices {
            wasAccused.append(backends[index].tracker.accusedAt != nil)
            let rule = backends[index].rule
            backends[index].tracker.judge(rule, at: now)
            guard backends[index].tracker.accusedAt != nil else {
                backends[index].tracker.isEjected = false
                continue
            }
            if let end = backends[index].tracker.end(rule) { nextChange = min(nextChange ?? end, end) }
            guard backends[index].isOtherwiseUsable else { continue }
            let count = backends[index].tracker.count(rule, at: now)
            let badness = backends[index].tracker.isEjected ? 2 * count : count
            accused.append((index, badness, backends[index].tracker.window.last))
        }
        let usableCount = backends.reduce(0) { $0 + ($1.isOtherwiseUsable ? 1 : 0) }
        accused.sort { first, second in
            (first.badness, first.last, second.index) > (second.badness, second.last, first.index)
        }
        for (place, entry) in accused.enumerated() {
            let wasEjected = backends[entry.index].tracker.isEjected
            let isEjected = place < PassiveEjection.ejectedMax(of: usableCount)
            backends[entry.index].tracker.isEjected = isEjected
            if isEjected, !wasEjected { backends[entry.index].tracker.ejections += 1 }
            if !isEjected, wasEjected || !wasAccused[entry.index] { panics += 1 }
        }
    }
}

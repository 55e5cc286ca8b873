// Owns how long a client that joins a queue may wait: the configured time, and less while the queue is too slow.
// Knows no clock: times are given. Leaves to others: the order of the queue (WaitingQueue), ending a wait (Worker).

/// When a queue has been too slow for a while, the newest wait less, rather than everyone too long.
///
/// Time is cut into intervals of half the configured wait. An interval in which nobody was served within the target, an
/// eighth of the configured wait, and in which the queue was never empty, was too slow: a queue that stands, not one
/// that takes up a burst. Each such interval halves what a client that joins from then on may wait, down to the target;
/// each that was not doubles it again. So a queue that is overloaded for long serves those it serves within about a
/// quarter of the configured time, and turns the others away early, while they can still try elsewhere. Who has joined
/// keeps the time it was given; who joins an empty queue has all of it, so that no place stays free for want of a client.
struct QueueDelay: Equatable {
    /// Halvings, from the configured wait down to the target.
    static let levelsMax: UInt8 = 3
    private static let intervalsPerWait: UInt64 = 2

    /// How often what newcomers may wait is halved.
    private(set) var level: UInt8 = 0
    /// When the present interval is over; 0 before the first.
    private var intervalEnd: UInt64 = 0
    /// Somebody was served within the target in this interval, or the queue was empty.
    private var wasFast = true

    static func target(of wait: UInt64) -> UInt64 { max(1, wait >> UInt64(levelsMax)) }
    static func interval(of wait: UInt64) -> UInt64 { max(1, wait / intervalsPerWait) }

    /// What a client that joins now may wait; `wait` is what is configured, 0 for no limit, which stays that.
    mutating func patience(now: UInt64, wait: UInt64, isQueueEmpty: Bool) -> UInt64 {
        guard wait > 0 else { return 0 }
        if isQueueEmpty { wasFast = true }
        closeIntervals(now: now, wait: wait, isQueueEmpty: isQueueEmpty)
        return isQueueEmpty ? wait : max(QueueDelay.target(of: wait), wait >> UInt64(level))
    }

    /// A client was served after it had waited for `waited`; `isQueueEmpty` when it was the last.
    mutating func served(after waited: UInt64, now: UInt64, wait: UInt64, isQueueEmpty: Bool) {
        guard wait > 0 else { return }
        closeIntervals(now: now, wait: wait, isQueueEmpty: false)
        if waited <= QueueDelay.target(of: wait) || isQueueEmpty { wasFast = true }
    }

    /// Everyone who waited has left.
    mutating func emptied() {
        wasFast = true
    }

    /// Judges the intervals that are over. While nothing happens a queue keeps as it is: one that was empty was so all
    /// the time, and each of the intervals counts; one that stood has heard of nobody, and only the first counts.
    private mutating func closeIntervals(now: UInt64, wait: UInt64, isQueueEmpty: Bool) {
        let interval = QueueDelay.interval(of: wait)
        guard now >= intervalEnd else { return }
        if intervalEnd > 0 {
            let passed = isQueueEmpty ? 1 + (now - intervalEnd) / interval : 1
            if wasFast {
                level -= UInt8(min(UInt64(level), passed))
            } else if level < QueueDelay.levelsMax {
                level += 1
            }
        }
        intervalEnd = now &+ interval
        wasFast = isQueueEmpty
    }
}

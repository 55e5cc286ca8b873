// Owns the one place that every warning and error passes, whoever logs it, and the clock that it goes by.
// Leaves to others: which may pass (LogLimiter).

import Glibc
import Synchronization

/// Holds back warnings and errors that come too often. May be used from anywhere.
final class LogGate: Sendable {
    private let limiter = Mutex(LogLimiter())
    private let nowNanoseconds: @Sendable () -> UInt64

    /// That of the process.
    static let process = LogGate()

    init(nowNanoseconds: @escaping @Sendable () -> UInt64 = LogGate.monotonicNanoseconds) {
        self.nowNanoseconds = nowNanoseconds
    }

    /// Whether a line of this kind may be written; before it, what was held back is told.
    func admits(_ kind: LogLimiter.Kind, _ tell: (LogLimiter.Rest) -> Void) -> Bool {
        let now = nowNanoseconds()
        let (rests, isAdmitted) = limiter.withLock { limiter in
            (limiter.takeRests(at: now), limiter.admit(kind, at: now))
        }
        rests.forEach(tell)
        return isAdmitted
    }

    /// Tells what was held back in windows that are over, or in all.
    func tellRests(endingAll: Bool, _ tell: (LogLimiter.Rest) -> Void) {
        let now = nowNanoseconds()
        limiter.withLock { $0.takeRests(at: now, endingAll: endingAll) }.forEach(tell)
    }

    @Sendable static func monotonicNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

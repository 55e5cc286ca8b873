// Owns telling the log of requests without a valid token: that somebody tries, and not each time.
// Leaves to others: refusing them (AccessGuard).

import Logging
import NIOCore
import Synchronization

/// Says at once that there was one, and of those that follow every ten seconds at most.
final class UnauthorizedLog: Sendable {
    static let pause: TimeAmount = .seconds(10)

    private struct State {
        var last: NIODeadline?
        var untold = 0
    }
    private let state = Mutex(State())

    func note(from peer: AdminPeer, logger: Logger, now: NIODeadline = .now()) {
        let count = state.withLock { state -> Int? in
            state.untold += 1
            if let last = state.last, now - last < UnauthorizedLog.pause {
                return nil
            }
            defer { state = State(last: now) }
            return state.untold
        }
        if let count {
            logger.warning(
                "requests without a valid token were refused",
                metadata: ["requests": "\(count)", "last_from": "\(peer)"]
            )
        }
    }
}

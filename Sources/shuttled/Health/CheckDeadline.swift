// Owns when time is up for a backend that is being talked to, and when it is only this process that was too busy to
// hear it.
// Leaves to others: the limit of a connect (CheckConnector), and what is said (the conversations).

import Glibc
import NIOCore

/// The time that a conversation may take. A check that is late because the loop was busy is never counted as failed.
final class CheckDeadline {
    /// A timer that fires later than this tells of a busy loop.
    static let lateness: TimeAmount = .milliseconds(20)
    /// What a backend whose bytes are waiting to be read gets in addition.
    static let extensionMin: TimeAmount = .milliseconds(20)
    static let extensionsMax = 8

    enum Decision: Equatable {
        case expired
        /// Look again after this time.
        case extended(TimeAmount)
        /// Nothing can be said of the backend.
        case inconclusive
    }

    /// What to do when the timer has fired: the backend gets back the time that the loop has taken from it, and what it
    /// has sent is read before it is judged.
    static func decision(late: TimeAmount, hasUnreadBytes: Bool, extensions: Int) -> Decision {
        guard late > lateness || hasUnreadBytes else {
            return .expired
        }
        guard extensions < extensionsMax else {
            return .inconclusive
        }
        return .extended(max(late, extensionMin))
    }

    private let channel: any Channel
    private let reached: (Decision) -> Void
    private var timer: Scheduled<Void>?
    private var extensions = 0

    /// `reached` hears once whether time is up or nothing can be said; never after `cancel`.
    init(_ channel: any Channel, limit: TimeAmount, reached: @escaping (Decision) -> Void) {
        self.channel = channel
        self.reached = reached
        arm(channel.eventLoop.now + limit)
    }

    func cancel() {
        timer?.cancel()
    }

    private func arm(_ deadline: NIODeadline) {
        timer = channel.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.fired(deadline)
        }
    }

    private func fired(_ deadline: NIODeadline) {
        let now = channel.eventLoop.now
        let decision = CheckDeadline.decision(
            late: now - deadline, hasUnreadBytes: hasUnreadBytes(), extensions: extensions
        )
        guard case .extended(let time) = decision else {
            reached(decision)
            return
        }
        extensions += 1
        arm(now + time)
    }

    /// Whether the kernel holds something that the loop has not come to read, be it the end of the stream.
    private func hasUnreadBytes() -> Bool {
        let count = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            var byte: UInt8 = 0
            return recv($0, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        }
        return (count ?? -1) >= 0
    }
}

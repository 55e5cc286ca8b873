// Owns the one thread for blocking file calls: an fsync may take seconds, and no health check waits for it.
// Leaves to others: the calls (StateFile, ConfigurationFile).

import NIOCore
import NIOPosix

/// Runs file work off the loop, one piece after the other.
final class FileThread: Sendable {
    private let pool = NIOThreadPool(numberOfThreads: 1)
    private let loop: any EventLoop

    init(loop: any EventLoop) {
        self.loop = loop
        pool.start()
    }

    /// Runs `body` on the file thread. It is not cancelled with the task that waits: what has begun is finished.
    func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value? {
        try? await pool.runIfActive(eventLoop: loop) { body() }.get()
    }
}

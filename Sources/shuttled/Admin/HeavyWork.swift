// Owns keeping long computations off the control thread, which health checks and changes share.
// Leaves to others: which work is long; it must be pure, for it runs beside everything else.

import NIOPosix

/// Reading and printing configurations of the largest size takes most of a second.
enum HeavyWork {
    /// Bodies from this size on are read elsewhere.
    static let bytesMin = 256 * 1024
    /// Configurations with this many services and backends are printed elsewhere.
    static let objectsMin = 2048

    /// Runs `work` here, or on NIO's threads for blocking work where it is long. Those start when they are first needed.
    static func run<Value: Sendable, Failure: Error>(
        isLong: Bool, _ work: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        guard isLong else {
            return try work()
        }
        // Only the pool's own end can fail here, and the shared one has none.
        let result = try? await NIOThreadPool.singleton.runIfActive { () -> Result<Value, Failure> in
            do throws(Failure) {
                return .success(try work())
            } catch {
                return .failure(error)
            }
        }
        guard let result else {
            return try work()
        }
        return try result.get()
    }
}

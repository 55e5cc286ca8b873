// Owns the memory of a rate limiter: shared by the compiled services that follow each other as long as the limit stays
// the same, so that a change of something else gives nobody new tokens.

import Synchronization

/// Keeps a limiter in its place as long as any compiled service has it.
final class RateLimit {
    private static let identifiers = Atomic<UInt32>(0)

    let limiter: UnsafeMutablePointer<RateLimiter>

    init(_ configuration: RateLimitConfiguration) {
        limiter = .allocate(capacity: 1)
        let identifier = RateLimit.identifiers.wrappingAdd(1, ordering: .relaxed).newValue
        limiter.initialize(to: RateLimiter(configuration, identifier: identifier))
    }

    deinit {
        limiter.deinitialize(count: 1)
        limiter.deallocate()
    }
}

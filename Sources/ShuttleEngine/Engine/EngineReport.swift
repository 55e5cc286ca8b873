// Owns what the engine tells about itself at start: features chosen, capacity, bounds.

/// What was chosen on this machine, for `-check` and the log.
public struct EngineReport: Sendable {
    public let ringCount: Int
    /// Sessions that fit at the same time, by the limit of open files.
    public let sessionCapacity: Int
    /// A line each, for people.
    public let lines: [String]

    init(capabilities: RingCapabilities, ringCount: Int, sizes: LinuxRing.Sizes, capacity: SessionCapacity) {
        self.ringCount = ringCount
        sessionCapacity = capacity.sessionsPerRing(listenerCount: 0) * ringCount
        let pool = sizes.buffers * sizes.bufferSize / (1 << 20)
        lines =
            [
                "kernel: \(MachineFacts.kernelRelease()), io_uring usable",
                "rings: \(ringCount), each with \(sizes.submissions) submissions, \(sizes.completions) completions "
                    + "and buffers for at most \(pool) MiB",
                "sessions: at most \(sessionCapacity) by the limit of \(capacity.descriptorLimit) open files",
                "ring operations: restricted to the \(RingRestrictions.count(wakesByEvent: !capabilities.hasMessageWithoutRing)) that "
                    + "are used; the kernel refuses all others",
            ] + capabilities.lines
    }
}

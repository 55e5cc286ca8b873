// Owns how many sessions fit: the descriptors of the process, less what everything else needs, shared by the rings.

import Glibc

/// Sessions that may exist, from the limit of open files.
///
/// A session takes two descriptors. Some are kept back, so that the admin endpoint, health checks and log files still
/// get theirs when clients have taken all of the others.
struct SessionCapacity: Equatable, Sendable {
    let descriptorLimit: Int
    let ringCount: Int

    /// Descriptors kept back for everything that is not a session or a listener.
    static let reservedDescriptors = 256
    private static let descriptorsPerSession = 2
    private static let descriptorsPerRing = 2
    private static let descriptorsPerPipe = 2
    private static let pipesPerRingMax = 64
    /// Pipes take at most one of so many descriptors.
    private static let descriptorsForEachOfPipes = 32
    /// Also bounded by the slots that fit into a tag.
    private static let slotsPerRingMax = 1 << 20

    /// Half of a limit too small for the full reserve.
    private var reserved: Int {
        min(SessionCapacity.reservedDescriptors, descriptorLimit / 2)
            + ringCount * (SessionCapacity.descriptorsPerRing + pipesPerRing * SessionCapacity.descriptorsPerPipe)
    }

    /// Pipes that a ring may keep for spliced flows.
    var pipesPerRing: Int {
        let share = descriptorLimit / SessionCapacity.descriptorsForEachOfPipes / SessionCapacity.descriptorsPerPipe
        return min(SessionCapacity.pipesPerRingMax, share / ringCount)
    }

    /// Sessions that one ring may hold while there are `listenerCount` listeners; at least 1.
    func sessionsPerRing(listenerCount: Int) -> Int {
        let free = descriptorLimit - reserved - listenerCount
        return min(max(1, free / SessionCapacity.descriptorsPerSession / ringCount), slotsPerRing)
    }

    /// Slots that a ring reserves address space for.
    var slotsPerRing: Int {
        let most = (descriptorLimit - reserved) / SessionCapacity.descriptorsPerSession / ringCount
        return min(max(1, most), SessionCapacity.slotsPerRingMax)
    }

    /// The soft RLIMIT_NOFILE of this process.
    static func processDescriptorLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(min(limit.rlim_cur, 1 << 30))
    }
}

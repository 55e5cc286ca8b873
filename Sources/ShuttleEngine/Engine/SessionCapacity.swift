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

    /// Sessions that one ring may hold while there are `listenerCount` listening sockets, and UDP services may have
    /// `datagramSessions`; at least 1.
    func sessionsPerRing(listenerCount: Int, datagramSessions: Int = 0) -> Int {
        let free = freeDescriptors(listenerCount) - datagramShare(listenerCount, datagramSessions)
        return min(max(1, free / SessionCapacity.descriptorsPerSession / ringCount), slotsPerRing)
    }

    /// Datagram sessions that one ring may hold, likewise: all of them, as the kernel may give all clients to one ring;
    /// only where descriptors do not last for that its part.
    func datagramSessionsPerRing(listenerCount: Int, datagramSessions: Int) -> Int {
        guard datagramSessions > 0 else { return 0 }
        let share = datagramShare(listenerCount, datagramSessions)
        let ofRing = share == datagramSessions ? share : (share + ringCount - 1) / ringCount
        return min(max(1, ofRing), slotsPerRing)
    }

    private func freeDescriptors(_ listenerCount: Int) -> Int { max(0, descriptorLimit - reserved - listenerCount) }

    /// A datagram session takes one descriptor. As many as services may have are set aside, but never more than half.
    private func datagramShare(_ listenerCount: Int, _ wanted: Int) -> Int {
        min(wanted, freeDescriptors(listenerCount) / 2)
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

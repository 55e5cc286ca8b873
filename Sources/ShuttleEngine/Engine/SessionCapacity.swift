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
    /// Sockets of datagram sessions that have ended take at most one of so many descriptors.
    private static let descriptorsForEachThatEnds = 8
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
        let ofDatagrams = datagramDescriptors(listenerCount: listenerCount, datagramSessions: datagramSessions)
        let free = freeDescriptors(listenerCount) - ofDatagrams
        return min(max(1, free / SessionCapacity.descriptorsPerSession / ringCount), slotsPerRing)
    }

    /// Datagram sessions that one ring may hold, likewise: all of them, as the kernel may give all clients to one ring;
    /// only where descriptors do not last for that its part.
    func datagramSessionsPerRing(listenerCount: Int, datagramSessions: Int) -> Int {
        guard datagramSessions > 0 else { return 0 }
        let descriptors = datagramDescriptors(listenerCount: listenerCount, datagramSessions: datagramSessions)
        let share = descriptors - endingShare(freeDescriptors(listenerCount))
        let ofRing = share == datagramSessions ? share : (share + ringCount - 1) / ringCount
        return min(max(1, ofRing), slotsPerRing)
    }

    /// Descriptors that datagram sessions of all rings may have together, likewise: one each, those included that have ended
    /// and whose sockets are not closed yet. As many as services may have sessions are set aside and some for those that
    /// end, but never more than half; at least 1.
    func datagramDescriptors(listenerCount: Int, datagramSessions: Int) -> Int {
        guard datagramSessions > 0 else { return 0 }
        let free = freeDescriptors(listenerCount)
        return max(1, min(datagramSessions + endingShare(free), free / 2))
    }

    private func freeDescriptors(_ listenerCount: Int) -> Int { max(0, descriptorLimit - reserved - listenerCount) }

    /// A socket is closed a turn or two after its session's end; so many sessions may make room for others meanwhile.
    private func endingShare(_ free: Int) -> Int {
        min(ringCount * DatagramSessions.slotsForEnding, free / SessionCapacity.descriptorsForEachThatEnds)
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

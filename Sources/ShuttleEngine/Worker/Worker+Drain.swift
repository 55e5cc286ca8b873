// Owns how a worker brings the sessions of backends that drain to their gradual end: it finds them a few at a time and
// have their timers come when their time does; and tells them of other limits of bandwidth on the way.
// Leaves to others: what drains, and when each session's time comes (Drain).

import Synchronization

/// Where a worker's look for sessions that drain has come to.
struct DrainSweep {
    /// The changes of drains that a look was begun for.
    var changesSeen: UInt64 = 0
    var next: UInt32 = 0
    var end: UInt32 = 0

    @inline(__always) var isUnderWay: Bool { next < end }
}

extension Worker where Ring: ~Copyable {
    /// Slots looked at in a turn: a few tens of microseconds, so that adopting a snapshot takes none of it and sessions
    /// wait for none of it.
    private static var slotsPerTurn: UInt32 { 128 }

    /// Some backend has begun to drain, or drains otherwise: everybody has to be looked at. Those that come later find
    /// out by themselves when they are established.
    mutating func startDrainSweep(_ changes: UInt64) {
        drainSweep = DrainSweep(changesSeen: changes, next: 0, end: sessions.touchedCount)
        if sessions.touchedCount == 0 { sweepDatagrams() }
    }

    /// Datagram sessions are looked through after the others, by the indices of their timers.
    private mutating func sweepDatagrams() {
        drainSweep.next = datagramTimer(0)
        drainSweep.end = datagramTimer(datagrams.table.touchedCount)
    }

    mutating func continueDrainSweep() {
        let isOfStreams = Int(drainSweep.next) < sessions.capacity
        let end = min(drainSweep.end, drainSweep.next &+ Self.slotsPerTurn)
        for index in drainSweep.next..<end {
            guard Int(index) < sessions.capacity else {
                sweepDatagramSession(index &- datagramTimer(0))
                continue
            }
            let slot = sessions[index]
            guard slot.pointee.isOccupied, slot.pointee.session.phase != .closing else { continue }
            renewPace(index)
            guard slot.pointee.session.phase == .established,
                slot.pointee.flushDeadline == 0
            else { continue }
            let deadline = drainDeadline(index, slot)
            if deadline != .max { timers.bringForward(index, to: deadline) }
        }
        drainSweep.next = end
        if isOfStreams, end == drainSweep.end { sweepDatagrams() }
    }

    /// When the session's backend wants it ended, `.max` for never.
    @inline(__always)
    func drainDeadline(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) -> UInt64 {
        guard let backend = slot.pointee.backend, backend.pointee.drain.isActive else { return .max }
        let key = UInt64(self.index) << 56 ^ UInt64(index) << 32 ^ UInt64(slot.pointee.generation)
        return backend.pointee.drain.deadline(of: key)
    }
}

// Owns finding the ends of connections that an armed receive has not reported. Leaves to others: what an end leads to.
// The time of the next look is shared with the queues, which wait for rests of backends to end (Worker+Queue).
//
// Linux loses them: a multishot receive that takes bytes may not be told again of a reset, or of an end on a unix socket,
// that came together with them (decision 5). A new receive sees it.

extension Worker where Ring: ~Copyable {
    /// How long a session must have been silent before it is asked, and how often the silent ones are picked out. One that
    /// goes on receiving is told by its next receive, or by the send of what came from the other side.
    static var silenceMilliseconds: UInt64 { 20 }

    /// A receive took bytes and is still armed.
    @inline(__always)
    mutating func watchForEnd(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        guard !slot.pointee.isWatched else { return }
        slot.pointee.isWatched = true
        putOnWatch(index, slot)
    }

    private mutating func putOnWatch(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        slot.pointee.nextWatched = watchedHead
        watchedHead = index
        if watchAt == .max {
            watchAt = now &+ Self.silenceMilliseconds
            lookAt = min(lookAt, watchAt)
        }
    }

    /// Does whatever is to be done at a time without a session's timer.
    mutating func look() {
        lookAt = .max
        if watchAt <= now { lookForEnds() }
        if restEndsAt <= now { callThoseWhoWaitForRests() }
        lookAt = min(watchAt, restEndsAt)
    }

    /// Asks the sockets of those that have fallen silent, once: what happens after that wakes their receives.
    private mutating func lookForEnds() {
        var next = watchedHead
        watchedHead = SessionTable.none
        watchAt = .max
        while next != SessionTable.none {
            let index = next
            let slot = sessions[index]
            next = slot.pointee.nextWatched
            // The session may have ended, and its slot may be another's.
            let isOver = !slot.pointee.isOccupied || slot.pointee.session.phase == .closing
            let lastReceive = max(slot.pointee.downstreamClock.lastReceive, slot.pointee.upstreamClock.lastReceive)
            if !isOver, now < lastReceive &+ Self.silenceMilliseconds {
                putOnWatch(index, slot)
                continue
            }
            slot.pointee.isWatched = false
            guard !isOver else { continue }
            lookForEnd(of: .downstream, index, slot)
            lookForEnd(of: .upstream, index, slot)
        }
    }

    /// Takes the receive back if there is an end to be reported; the one that follows reports it.
    private mutating func lookForEnd(of side: Side, _ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) {
        guard slot.pointee.session.flow(from: side).canCancelReceive, ring.hasEnded(slot.pointee.socket(side)) else {
            return
        }
        slot.pointee.session.withFlow(from: side) { $0.receiveCancelSubmitted() }
        ring.prepareCancel(OperationTag(.receive(side), slot: index, generation: slot.pointee.generation))
    }
}

// Owns how a worker takes up a snapshot, lets go of listeners, and says so.

import Synchronization

extension Worker where Ring: ~Copyable {
    /// Takes the newest snapshot and runs on it from the next completion on.
    ///
    /// How long no session was served meanwhile is recorded. Accepts that this prepares are submitted with the turn's
    /// other operations and are not part of that time, unless the submission queue fills up.
    mutating func adopt() {
        let start = ring.nowNanoseconds()
        guard let next = link.pointee.mailbox.take() else { return }
        view = UnsafePointer(next)
        let entries = next.pointee.listeners
        if listeners.count < entries.count { listeners.grow(to: entries.count) }
        for index in 0..<entries.count { follow(entries[index], at: index) }
        if queuedHead != SessionTable.none { reviewQueues() }
        if next.pointee.drainChanges != drainSweep.changesSeen { startDrainSweep(next.pointee.drainChanges) }
        // Before the acknowledgement: who is told that a change is in effect finds it counted.
        link.pointee.adoptions.record(ring.nowNanoseconds() &- start)
        acknowledgeIfSettled()
    }

    /// Brings one listener to the state that the snapshot asks for.
    private mutating func follow(_ entry: ListenerEntry, at index: Int) {
        let isSame = listeners[index].pointee.generation == entry.generation
        if isSame && listeners[index].pointee.state == entry.state {
            listeners[index].pointee.table = entry.table
            return
        }
        precondition(isSame || !listeners[index].pointee.isAcceptArmed, "a listener was replaced in use")
        if listeners[index].pointee.isPaused {
            listeners[index].pointee.isPaused = false
            pausedListeners -= 1
        }
        listeners[index].pointee.state = entry.state
        listeners[index].pointee.generation = entry.generation
        listeners[index].pointee.socket = entry.socket
        listeners[index].pointee.table = entry.table
        switch entry.state {
        case .open:
            if !isStopping { armAccept(index) }
        case .closing:
            if listeners[index].pointee.isAcceptArmed {
                listenersLettingGo += 1
                ring.prepareCancel(acceptTag(index))
            }
        case .draining:
            drain(index)
        case .none:
            break
        }
    }

    /// An epoch is acknowledged when nothing of an earlier one is in use: also no accept on a listener that closes.
    mutating func acknowledgeIfSettled() {
        guard listenersLettingGo == 0, let view else { return }
        link.pointee.acknowledgedEpoch.store(view.pointee.epoch, ordering: .releasing)
    }

    /// Before the thread ends: takes every accept back.
    mutating func letGoOfListeners() {
        for index in listeners.indices where listeners[index].pointee.isAcceptArmed {
            ring.prepareCancel(acceptTag(index))
        }
    }
}

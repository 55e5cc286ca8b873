// Owns how a worker takes up a snapshot, lets go of listeners, and says so.

import Synchronization

extension Worker where Ring: ~Copyable {
    /// Takes the newest snapshot and runs on it from the next completion on.
    ///
    /// How long no session was served meanwhile is recorded. It visits what has changed since the snapshot that it ran on;
    /// what the kernel has to be asked for is left to this turn and those that follow.
    mutating func adopt() {
        let start = ring.nowNanoseconds()
        guard let next = link.pointee.mailbox.take() else { return }
        let epochBefore = view?.pointee.epoch ?? 0
        view = UnsafePointer(next)
        let entries = next.pointee.listeners
        if listeners.count < entries.count { listeners.grow(to: entries.count) }
        let changes = next.pointee.listenerChanges
        for block in changes.blocks where changes.hasChanged(block, since: epochBefore) {
            for index in changes.range(of: block) { follow(entries[index], at: index) }
        }
        if datagrams.listenerCount > 0 || !next.pointee.datagramListeners.isEmpty {
            followDatagramListeners(UnsafePointer(next), since: epochBefore)
        }
        if queuedHead != SessionTable.none { reviewQueues() }
        if delayedHead != SessionTable.none { reviewDelayed() }
        if next.pointee.drainChanges != drainSweep.changesSeen { startDrainSweep(next.pointee.drainChanges) }
        isFollowing = changedListeners != ListenerTable.none || drainSweep.isUnderWay || inspection != nil
        // Before the acknowledgement: who is told that a change is in effect finds it counted.
        let duration = ring.nowNanoseconds() &- start
        link.pointee.adoptions.record(duration)
        Probe.adopt(epoch: UInt64(next.pointee.epoch), nanoseconds: duration)
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
        // It may end by itself before it is taken back, and counts from here on.
        if entry.state == .closing, listeners[index].pointee.isAcceptArmed { listenersLettingGo += 1 }
        guard entry.state != .none, !listeners[index].pointee.isChanged else { return }
        listeners[index].pointee.isChanged = true
        listeners[index].pointee.nextChanged = changedListeners
        changedListeners = UInt32(index)
    }

    /// Goes on with what the snapshot asks for. Apart, so that the loop is not the larger for it.
    @inline(never)
    mutating func continueFollowing() {
        if changedListeners != ListenerTable.none { continueAdopting() }
        if drainSweep.isUnderWay { continueDrainSweep() }
        continueInspection()
        isFollowing = changedListeners != ListenerTable.none || drainSweep.isUnderWay || inspection != nil
    }

    /// Asks the kernel for what the state of changed listeners wants, whatever later snapshots have made of it meanwhile.
    private mutating func continueAdopting() {
        var count = 0
        while changedListeners != ListenerTable.none, count < listenersPerTurn {
            let index = Int(changedListeners)
            changedListeners = listeners[index].pointee.nextChanged
            listeners[index].pointee.isChanged = false
            let isArmed = listeners[index].pointee.isAcceptArmed
            switch listeners[index].pointee.state {
            case .open:
                if !isStopping, !isArmed, !listeners[index].pointee.isPaused { armAccept(index) }
            case .closing:
                if isArmed { ring.prepareCancel(acceptTag(index)) }
            case .draining:
                drain(index)
            case .none:
                break
            }
            count += 1
        }
        acknowledgeIfSettled()
    }

    /// An epoch is acknowledged when nothing of an earlier one is in use, also no accept on a listener that closes, and
    /// the kernel has been asked for all that it wants.
    mutating func acknowledgeIfSettled() {
        guard listenersLettingGo == 0, changedListeners == ListenerTable.none, let view else { return }
        link.pointee.acknowledgedEpoch.store(view.pointee.epoch, ordering: .releasing)
    }

    /// Before the thread ends: takes every accept back.
    mutating func letGoOfListeners() {
        for index in listeners.indices where listeners[index].pointee.isAcceptArmed {
            ring.prepareCancel(acceptTag(index))
        }
    }
}

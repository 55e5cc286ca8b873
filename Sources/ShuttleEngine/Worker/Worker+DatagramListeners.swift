// Owns how a worker takes up and lets go of the sockets that UDP clients write to, and looks through datagram sessions
// when a snapshot asks for it. Leaves to others: connections' listeners (Worker+Adopt), datagrams (Worker+Datagrams).

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    func datagramListenerTag(_ place: Int) -> OperationTag {
        OperationTag(
            .receiveFromClients, slot: UInt32(place), generation: datagrams.listener(place).pointee.generation)
    }

    /// Brings every UDP listener that has changed since `epoch` to the state that a snapshot asks for.
    @inline(never)
    mutating func followDatagramListeners(_ view: UnsafePointer<SnapshotView>, since epoch: UInt64) {
        let entries = view.pointee.datagramListeners
        if datagrams.listenerCount < entries.count { datagrams.growListeners(to: entries.count) }
        let changes = view.pointee.datagramListenerChanges
        for block in changes.blocks where changes.hasChanged(block, since: epoch) {
            for place in changes.range(of: block) {
                // There are as many sockets as rings.
                let first = entries[place].firstSocket
                let socket = entries[place].state == .none ? -1 : view.pointee.datagramSockets[first + index]
                follow(entries[place], socket, at: place)
            }
        }
    }

    private mutating func follow(_ entry: DatagramListenerEntry, _ socket: Int32, at place: Int) {
        let listener = datagrams.listener(place)
        let isSame = listener.pointee.generation == entry.generation
        listener.pointee.table = entry.table
        if isSame && listener.pointee.state == entry.state { return }
        precondition(isSame || !listener.pointee.isReceiveArmed, "a listener was replaced in use")
        listener.pointee.state = entry.state
        listener.pointee.generation = entry.generation
        listener.pointee.socket = socket
        listener.pointee.isIPv4 = entry.isIPv4
        listener.pointee.address = entry.state == .open ? ring.localAddress(of: socket) : nil
        switch entry.state {
        case .open:
            if !isStopping { armClientReceive(place) }
        case .closing:
            if listener.pointee.isReceiveArmed {
                listenersLettingGo += 1
                ring.prepareCancel(datagramListenerTag(place))
            }
            // Its sessions have no way back to their clients any more.
            startDrainSweep(drainSweep.changesSeen)
        case .draining, .none:
            break
        }
    }

    private mutating func armClientReceive(_ place: Int) {
        datagrams.listener(place).pointee.isReceiveArmed = true
        ring.prepareReceiveFromClients(datagrams.listener(place).pointee.socket, tag: datagramListenerTag(place))
    }

    /// An empty datagram, want of buffers or a full completion queue ends a receive: buffers are free again by the time of
    /// the submission, since none is held beyond its completion.
    mutating func clientReceiveEnded(_ place: Int) {
        switch datagrams.listener(place).pointee.state {
        case .open where isStopping: break
        case .open: armClientReceive(place)
        case .closing:
            listenersLettingGo -= 1
            acknowledgeIfSettled()
        case .draining, .none: break
        }
    }

    /// Before the thread ends.
    @inline(never)
    mutating func letGoOfDatagramListeners() {
        for place in 0..<datagrams.listenerCount where datagrams.listener(place).pointee.isReceiveArmed {
            ring.prepareCancel(datagramListenerTag(place))
        }
    }

    @inline(never)
    mutating func cutDatagramSessions() {
        for slot in 0..<datagrams.table.touchedCount where datagrams.table.isLive(slot) {
            endDatagramSession(slot, because: .cut)
        }
    }

    /// One of the sessions that a sweep comes by: it ends with its listener, or in time with its backend's drain.
    @inline(never)
    mutating func sweepDatagramSession(_ slot: UInt32) {
        guard datagrams.table.isLive(slot) else { return }
        guard datagrams.listener(datagrams.table.listener(of: slot)) != nil else {
            return endDatagramSession(slot, because: .serviceRemoved)
        }
        let deadline = drainDeadlineOfDatagrams(slot)
        if deadline != .max { timers.bringForward(datagramTimer(slot), to: deadline) }
    }
}

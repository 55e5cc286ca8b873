// Owns how a client comes into a service that has limits, or is turned away; and how places are given back.
// Leaves to others: services without limits (Worker+Accept), waiting (Worker+Queue), the counts (Balancing).

import Synchronization

extension Worker where Ring: ~Copyable {
    /// Lets a client in under its service's limits, into its queue, or closes it.
    mutating func admit(_ socket: Int32, to table: UnsafePointer<ServiceTable>, draw: UInt64) {
        let service = table.pointee.record
        let limits = table.pointee.limits
        let counters = service.pointee.counters.block(of: index)
        if limits.isInMaintenance {
            counters.pointee.refused.addAsOnlyWriter(1)
            return ring.close(socket, reset: false)
        }
        var address: ClientAddress?
        if limits.sessionsPerClientMax > 0, let peer = ring.peerAddress(of: socket) {
            let client = ClientAddress(peer)
            guard service.pointee.clients.add(client, limit: limits.sessionsPerClientMax) else {
                counters.pointee.refusedPerClient.addAsOnlyWriter(1)
                return ring.close(socket, reset: false)
            }
            address = client
        }
        // Nobody overtakes those who wait.
        var isUnusable = false
        if service.pointee.queue.isEmpty, service.pointee.occupy(below: limits.sessionsMax) {
            switch table.pointee.chooseBackend(for: draw, excluding: TriedBackends()) {
            case .reserved(let backend):
                openSession(socket, table, backend: backend, client: address, draw: draw)
                return
            case .full: break
            case .unusable: isUnusable = true
            }
            service.pointee.vacate()
            // Another ring's client may have found that place taken.
            callWaiters(of: service)
        }
        if !isUnusable, limits.queueLimit > 0, currentTable(of: service) != nil {
            return enqueue(openSession(socket, table, backend: nil, client: address, draw: draw), table)
        }
        if isUnusable {
            counters.pointee.errors.addAsOnlyWriter(1)
        } else {
            counters.pointee.refused.addAsOnlyWriter(1)
        }
        if let address { service.pointee.clients.remove(address) }
        ring.close(socket, reset: false)
    }

    // MARK: Giving places back

    /// The last step of a session: its places go to those who wait, its slot to whoever comes.
    mutating func leaveService(_ index: UInt32) {
        let slot = sessions[index]
        let service = slot.pointee.service
        if slot.pointee.isCountedForClient { service.pointee.clients.remove(slot.pointee.clientAddress) }
        let hadPlace = slot.pointee.hasPlace
        if hadPlace { service.pointee.vacate() }
        // Counted after its bytes: whoever sees the gauge fall sees every one of them.
        releaseBackend(slot)
        if hadPlace { callWaiters(of: service) }
        // The last touch of the service's record.
        slot.pointee.serviceCounters.pointee.active.addAsOnlyWriter(-1)
        link.pointee.sessions.addAsOnlyWriter(-1)
        sessions.free(index)
    }
}

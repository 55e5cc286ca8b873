// Owns how a client comes into a service that has limits or lists, or is turned away; and how places are given back.
// Leaves to others: services without them (Worker+Accept), waiting (Worker+Queue, Worker+Rate), the counts (Balancing).

import Synchronization

extension Worker where Ring: ~Copyable {
    /// Lets a client in under its service's lists and limits, has it wait, or closes it.
    mutating func admit(_ socket: Int32, to table: UnsafePointer<ServiceTable>, draw: UInt64) {
        let service = table.pointee.record
        let limits = table.pointee.limits
        let counters = service.pointee.counters.block(of: index)
        if limits.isInMaintenance {
            counters.pointee.refused.addAsOnlyWriter(1)
            return ring.close(socket, reset: false)
        }
        // Where a header is to come it tells whose address counts.
        if table.pointee.preread.proxyHeader { return beginPreread(socket, table) }
        let asksForClient =
            table.pointee.access != nil || limits.sessionsPerClientMax > 0
            || table.pointee.rate?.pointee.asksForClient ?? false
        let client = asksForClient ? clientAddress(of: socket) : nil
        guard comesIn(client, isOnUnix: table.pointee.timeouts.hasUnixClient, by: table) else {
            counters.pointee.denied.addAsOnlyWriter(1)
            // Who may not come in must not take this for an answer, nor leave a connection behind that lingers.
            return ring.close(socket, reset: true)
        }
        if table.pointee.preread.clientHello { return beginPreread(socket, table) }
        if let limiter = table.pointee.rate {
            switch takeToken(of: limiter, service, client) {
            case .isInTime:
                break
            case .isInTimeAt(let due):
                return delay(openSession(socket, table, backend: nil, client: nil, draw: draw), until: due, limiter)
            case .isTooEarly:
                service.pointee.refusedByRate.wrappingAdd(1, ordering: .relaxed)
                return ring.close(socket, reset: false)
            }
        }
        var counted: ClientAddress?
        if limits.sessionsPerClientMax > 0, let client {
            guard service.pointee.clients.add(client, limit: limits.sessionsPerClientMax) else {
                counters.pointee.refusedPerClient.addAsOnlyWriter(1)
                return ring.close(socket, reset: false)
            }
            counted = client
        }
        let choice = takePlace(in: table, draw)
        if case .reserved(let backend) = choice {
            openSession(socket, table, backend: backend, client: counted, draw: draw)
            return
        }
        if choice == .full, limits.queueLimit > 0, currentTable(of: service) != nil {
            return enqueue(openSession(socket, table, backend: nil, client: counted, draw: draw), table)
        }
        countTurnedAway(choice, counters)
        if let counted { service.pointee.clients.remove(counted) }
        ring.close(socket, reset: false)
    }

    /// Whether the service's lists let a client in. One that is gone has no address any more, and may have said something
    /// before: it does not come in.
    private func comesIn(
        _ client: ClientAddress?, isOnUnix: Bool, by table: UnsafePointer<ServiceTable>
    ) -> Bool {
        guard let access = table.pointee.access else { return true }
        if isOnUnix { return access.pointee.admitsUnix }
        return client.map(access.pointee.admits) ?? false
    }

    /// The same for a session, whose service may not be the one that its client came to. What a PROXY header has told counts,
    /// whatever the connection came by.
    func comesIn(_ index: UInt32, _ client: ClientAddress?, by table: UnsafePointer<ServiceTable>) -> Bool {
        let isOnUnix = isUnix(.downstream, sessions[index]) && conveyedAddresses(of: index) == nil
        return comesIn(client, isOnUnix: isOnUnix, by: table)
    }

    mutating func deny(_ index: UInt32) {
        sessions[index].pointee.serviceCounters.pointee.denied.addAsOnlyWriter(1)
        closeStart(index, because: .denied, resetDownstream: true)
    }

    /// The same for a session whose client has said what it has to say first.
    mutating func admit(_ index: UInt32, to table: UnsafePointer<ServiceTable>) {
        let slot = sessions[index]
        let service = slot.pointee.service
        let counters = slot.pointee.serviceCounters
        if table.pointee.limits.isInMaintenance {
            counters.pointee.refused.addAsOnlyWriter(1)
            return closeStart(index, because: .maintenance)
        }
        let address = address(ofClient: index)
        let client = address.map { ClientAddress($0) }
        guard comesIn(index, client, by: table) else { return deny(index) }
        slot.pointee.draw = random.next()
        if table.pointee.algorithm == .hash, let address { slot.pointee.draw = ClientHash.of(address) }
        guard let limiter = table.pointee.rate else { return seat(index, table) }
        switch takeToken(of: limiter, service, client) {
        case .isInTime: seat(index, table)
        case .isInTimeAt(let due): delay(index, until: due, limiter)
        case .isTooEarly:
            service.pointee.refusedByRate.wrappingAdd(1, ordering: .relaxed)
            closeStart(index, because: .rateLimited)
        }
    }

    /// Lets a session in that had to wait before it could ask for a place: as `admit` does for a client that comes.
    mutating func seat(_ index: UInt32, _ table: UnsafePointer<ServiceTable>) {
        let slot = sessions[index]
        let service = slot.pointee.service
        let limits = table.pointee.limits
        if limits.sessionsPerClientMax > 0, let client = client(of: index) {
            guard service.pointee.clients.add(client, limit: limits.sessionsPerClientMax) else {
                slot.pointee.serviceCounters.pointee.refusedPerClient.addAsOnlyWriter(1)
                return closeStart(index, because: .clientLimit)
            }
            slot.pointee.clientAddress = client
            slot.pointee.isCountedForClient = true
        }
        let choice = takePlace(in: table, slot.pointee.draw)
        if case .reserved(let backend) = choice {
            slot.pointee.hasPlace = true
            // The time for all tries did not run while it waited.
            let retryMilliseconds = UInt64(slot.pointee.timeouts.retryMilliseconds)
            slot.pointee.retryDeadline = retryMilliseconds == 0 ? .max : now &+ retryMilliseconds
            connect(index, to: backend)
            return touch(index)
        }
        if choice == .full, limits.queueLimit > 0 { return enqueue(index, table) }
        countTurnedAway(choice, slot.pointee.serviceCounters)
        closeStart(index, because: choice == .full ? .serviceFull : .noBackend)
    }

    /// A place of the service and one at a backend, or neither. Nobody overtakes those who wait.
    private mutating func takePlace(in table: UnsafePointer<ServiceTable>, _ draw: UInt64) -> BackendChoice {
        let service = table.pointee.record
        guard service.pointee.queue.isEmpty, service.pointee.occupy(below: table.pointee.limits.sessionsMax) else {
            return .full
        }
        let choice = table.chooseBackend(for: draw, excluding: TriedBackends())
        if case .reserved = choice { return choice }
        service.pointee.vacate()
        // Another ring's client may have found that place taken.
        callWaiters(of: service)
        return choice
    }

    private func countTurnedAway(_ choice: BackendChoice, _ counters: UnsafeMutablePointer<CounterBlock>) {
        if choice == .full {
            counters.pointee.refused.addAsOnlyWriter(1)
        } else {
            counters.pointee.errors.addAsOnlyWriter(1)
        }
    }

    func clientAddress(of socket: Int32) -> ClientAddress? { ring.peerAddress(of: socket).map { ClientAddress($0) } }

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

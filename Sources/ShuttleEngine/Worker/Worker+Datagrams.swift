// Owns the way of a client's datagram: whose session it is, a new session where there is none, and on to the backend.
// Leaves to others: the way back and the end (Worker+DatagramReplies), listeners (Worker+DatagramListeners), which session
// belongs to whom (DatagramTable), the kernel (the ring).

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    /// A completion of a listener's receive.
    @inline(never)
    mutating func clientDatagramCompleted(_ completion: Completion) {
        let place = Int(completion.tag.slot)
        guard place < datagrams.listenerCount,
            datagrams.listener(place).pointee.generation == completion.tag.generation
        else {
            countStale()
            if let buffer = completion.buffer { ring.giveBackDatagram(buffer) }
            return
        }
        if !completion.hasMore { datagrams.listener(place).pointee.isReceiveArmed = false }
        if let buffer = completion.buffer {
            if let table = datagrams.listener(place).pointee.table, !isStopping {
                relay(ring.clientDatagram(in: buffer, count: completion.result), at: place, to: table)
            }
            ring.giveBackDatagram(buffer)
        } else if completion.result == -ENOBUFS {
            link.pointee.starvations.addAsOnlyWriter(1)
        }
        if !completion.hasMore { clientReceiveEnded(place) }
    }

    /// Sends datagrams on in the session that they belong to, or in a new one.
    private mutating func relay(_ datagram: ClientDatagram, at place: Int, to table: UnsafePointer<ServiceTable>) {
        let batch = datagram.payload
        guard !datagram.isCut else {
            return table.pointee.record.pointee.datagrams.block(of: index).pointee.dropped.addAsOnlyWriter(1)
        }
        let listener = DatagramListenerKey(
            place: UInt32(place), generation: datagrams.listener(place).pointee.generation)
        guard !table.pointee.preread.proxyHeader else { return relayBehindHeaders(datagram, at: listener, to: table) }
        // Each that could begin a session, and may not, counts.
        guard batch.count > 1,
            table.pointee.datagrams.areLookedAtSingly || datagrams.table.find(datagram.path, at: listener) == nil
        else {
            return relay(batch, along: datagram.path, at: listener, to: table)
        }
        for index in 0..<batch.count { relay(batch[index], along: datagram.path, at: listener, to: table) }
    }

    /// `conveyed` is what a header has told of the path's client, which is told on to a backend that wants to know.
    mutating func relay(
        _ batch: DatagramBatch, along path: DatagramPath, at listener: DatagramListenerKey,
        to table: UnsafePointer<ServiceTable>, conveyed: UnsafePointer<ConveyedAddresses>? = nil
    ) {
        let counters = table.pointee.record.pointee.datagrams.block(of: index)
        // The second time after a send that told of an earlier datagram's refusal: these have not been sent to anybody.
        for _ in 0..<2 {
            guard let slot = session(of: path, at: listener, of: table) else { break }
            switch forward(batch, in: slot, conveyed) {
            case .sent(let count): return counters.pointee.dropped.addAsOnlyWriter(UInt64(batch.count &- count))
            case .sessionEnded: continue
            }
        }
        counters.pointee.dropped.addAsOnlyWriter(UInt64(batch.count))
    }

    private enum Forwarding {
        /// So many, the first ones; the others are dropped.
        case sent(Int)
        case sessionEnded
    }

    private mutating func forward(
        _ batch: DatagramBatch, in slot: UInt32, _ conveyed: UnsafePointer<ConveyedAddresses>?
    ) -> Forwarding {
        let session = datagrams[slot]
        datagrams.table.touch(slot, now: now)
        guard isWithinBandwidth(batch, slot, from: .downstream) else { return .sent(0) }
        switch sendToBackend(batch, in: slot, conveyed) {
        case .success(let bytes):
            let count = batch.count(ofBytes: Int(bytes))
            session.pointee.requests &+= UInt32(truncatingIfNeeded: count)
            session.pointee.facts.sentBytes &+= UInt64(bytes)
            session.pointee.serviceCounters.pointee.sentBytes.addAsOnlyWriter(UInt64(bytes))
            session.pointee.backendCounters.pointee.sentBytes.addAsOnlyWriter(UInt64(bytes))
            session.pointee.datagramCounters.pointee.sent.addAsOnlyWriter(UInt64(count))
            return .sent(count)
        case .failure(let error):
            guard Self.speaksAgainstBackend(error.code) else { return .sent(0) }
            datagramRefused(slot, code: error.code)
            return .sessionEnded
        }
    }

    /// Whether a failed send or receive says something of the backend; else this machine had no room for the datagram, or its
    /// way takes none of that size.
    static func speaksAgainstBackend(_ code: Int32) -> Bool {
        switch code {
        case EAGAIN, ENOBUFS, ENOMEM, EMSGSIZE, EINTR, EPERM: false
        default: true
        }
    }

    // MARK: Whose session it is

    /// The client's session, looked at anew if the configuration has changed; `nil` when there is none to be had.
    private mutating func session(
        of path: DatagramPath, at listener: DatagramListenerKey, of table: UnsafePointer<ServiceTable>
    ) -> UInt32? {
        guard let slot = datagrams.table.find(path, at: listener) else {
            return beginSession(path, at: listener, of: table)
        }
        let session = datagrams[slot]
        if session.pointee.epoch != view?.pointee.epoch {
            switch review(slot, path, by: table) {
            case .stays: break
            case .begins: return beginSession(path, at: listener, of: table)
            case .moves(let backend): return beginSession(path, at: listener, of: table, with: backend)
            case .ends: return nil
            }
        }
        if session.pointee.rules.isFull(requests: session.pointee.requests) {
            // What it has asked for may still be answered.
            datagrams.table.forget(slot)
            return beginSession(path, at: listener, of: table)
        }
        return slot
    }

    private enum Review {
        case stays
        /// It has ended, and its client gets another one.
        case begins
        /// The same, at a backend where a place is reserved.
        case moves(UnsafeMutablePointer<BackendRecord>)
        case ends
    }

    /// A snapshot has come since the session's last datagram: another service may have the address, the backend may be gone
    /// or down. One that only drains keeps its sessions.
    private mutating func review(_ slot: UInt32, _ path: DatagramPath, by table: UnsafePointer<ServiceTable>) -> Review
    {
        let session = datagrams[slot]
        guard session.pointee.service == table.pointee.record else {
            endDatagramSession(slot, because: .serviceRemoved)
            return .begins
        }
        session.pointee.epoch = view?.pointee.epoch ?? 0
        if session.pointee.rules.bandwidth != table.pointee.datagrams.bandwidth {
            // By the new one from now on, as a session that has just begun.
            (session.pointee.uploadPaidAt, session.pointee.downloadPaidAt) = (0, 0)
        }
        session.pointee.rules = table.pointee.datagrams
        setDatagramTimer(slot)
        let backend = session.pointee.backend
        let isConfigured = table.pointee.entries.contains { $0.record == backend }
        if isConfigured, backend.pointee.isUp.load(ordering: .relaxed) { return .stays }
        var tried = TriedBackends()
        tried.insert(backend.pointee.identifier)
        if case .reserved(let other) = table.chooseBackend(for: draw(path, table), excluding: tried) {
            endDatagramSession(slot, because: .backendGone)
            return .moves(other)
        }
        // One that is down is better than none.
        if isConfigured { return .stays }
        session.pointee.serviceCounters.pointee.errors.addAsOnlyWriter(1)
        endDatagramSession(slot, because: .backendGone)
        return .ends
    }

    /// What the choice of a client's backend is drawn from.
    private mutating func draw(_ path: DatagramPath, _ table: UnsafePointer<ServiceTable>) -> UInt64 {
        guard table.pointee.algorithm == .hash else { return random.next() }
        return ClientHash.of(high: path.client.high, low: path.client.low)
    }

    // MARK: A new session

    /// Begins a session, at a backend where a place is reserved or at one that is chosen now.
    private mutating func beginSession(
        _ path: DatagramPath, at listener: DatagramListenerKey, of table: UnsafePointer<ServiceTable>,
        with reserved: UnsafeMutablePointer<BackendRecord>? = nil
    ) -> UInt32? {
        let service = table.pointee.record
        let counters = service.pointee.counters.block(of: index)
        guard let backend = reserved ?? chooseBackend(path, of: table, counters) else { return nil }
        guard makeRoom(at: listener.place, of: service, table.pointee.datagrams) else {
            backend.pointee.release()
            counters.pointee.refused.addAsOnlyWriter(1)
            return nil
        }
        guard takeDatagramDescriptor() else {
            evictForNext(at: listener.place)
            backend.pointee.release()
            service.pointee.vacate()
            counters.pointee.refused.addAsOnlyWriter(1)
            return nil
        }
        switch openUpstream(to: backend, of: service) {
        case .failure(let error):
            returnDatagramDescriptor()
            datagramSocketFailed(error.code, at: listener.place, backend, service, counters)
            backend.pointee.release()
            service.pointee.vacate()
            return nil
        case .success(let socket):
            guard let slot = datagrams.table.begin(path, at: listener, now: now) else {
                closeDatagramSocket(socket)
                backend.pointee.release()
                service.pointee.vacate()
                counters.pointee.refused.addAsOnlyWriter(1)
                return nil
            }
            start(slot, socket, backend, table, counters)
            return slot
        }
    }

    private mutating func chooseBackend(
        _ path: DatagramPath, of table: UnsafePointer<ServiceTable>, _ counters: UnsafeMutablePointer<CounterBlock>
    ) -> UnsafeMutablePointer<BackendRecord>? {
        guard !table.pointee.limits.isInMaintenance else {
            counters.pointee.refused.addAsOnlyWriter(1)
            return nil
        }
        let client = ClientAddress(high: path.client.high, low: path.client.low)
        if let access = table.pointee.access, !access.pointee.admits(client) {
            counters.pointee.denied.addAsOnlyWriter(1)
            return nil
        }
        if let limiter = table.pointee.rate,
            limiter.pointee.take(client, at: ring.nowNanoseconds(), mayWait: false) != .isInTime
        {
            table.pointee.record.pointee.refusedByRate.wrappingAdd(1, ordering: .relaxed)
            return nil
        }
        switch table.chooseBackend(for: draw(path, table), excluding: TriedBackends()) {
        case .reserved(let backend):
            return backend
        case .full:
            counters.pointee.refused.addAsOnlyWriter(1)
        case .unusable:
            counters.pointee.errors.addAsOnlyWriter(1)
        }
        return nil
    }

    private mutating func start(
        _ slot: UInt32, _ socket: Int32, _ backend: UnsafeMutablePointer<BackendRecord>,
        _ table: UnsafePointer<ServiceTable>, _ counters: UnsafeMutablePointer<CounterBlock>
    ) {
        let service = table.pointee.record
        let lifetimeDeadline = table.pointee.lifetime.deadline(now: now, &random)
        datagrams[slot].initialize(
            to: DatagramSession(
                upstream: socket,
                isReceiveArmed: true,
                epoch: view?.pointee.epoch ?? 0,
                rules: table.pointee.datagrams,
                requests: 0,
                responses: 0,
                lifetimeDeadline: lifetimeDeadline,
                facts: datagramFacts(slot, backend),
                service: service,
                serviceCounters: counters,
                datagramCounters: service.pointee.datagrams.block(of: index),
                backend: backend,
                backendCounters: backend.pointee.counters.block(of: index)
            )
        )
        counters.pointee.connections.addAsOnlyWriter(1)
        counters.pointee.active.addAsOnlyWriter(1)
        datagrams[slot].pointee.backendCounters.pointee.connections.addAsOnlyWriter(1)
        link.pointee.sessions.addAsOnlyWriter(1)
        ring.prepareReceiveFromBackend(socket, tag: datagramTag(slot))
        let timer = datagramTimer(slot)
        // A slot of before may be new to the wheel.
        if datagrams.table.generation(of: slot) == 1 { timers.register(timer) }
        setDatagramTimer(slot)
    }

    /// Takes a place of the service, and sees to it that this worker has one for another session. Where there is none, the
    /// session that has been idle for longest gives way: one of this worker, which knows no other.
    private mutating func makeRoom(
        at place: UInt32, of service: UnsafeMutablePointer<ServiceRecord>, _ rules: DatagramRules
    ) -> Bool {
        let capacity = view?.pointee.datagramCapacity ?? 0
        if datagrams.table.liveCount >= capacity, !evictOldest(at: place) { return false }
        if service.pointee.occupy(below: rules.sessionsMax) { return true }
        // Under a limit that was lowered two go for each that comes, so that their number falls to it.
        if service.pointee.occupied.load(ordering: .relaxed) > rules.sessionsMax { _ = evictOldest(at: place) }
        while let oldest = datagrams.table.oldest(at: place) {
            // Sessions of a service that had the address before give back the places of that one.
            let hasPlaceOfService = datagrams[oldest].pointee.service == service
            evict(oldest, leavingPlace: hasPlaceOfService)
            if hasPlaceOfService { return true }
        }
        return service.pointee.occupy(below: rules.sessionsMax)
    }

    private mutating func evictOldest(at place: UInt32) -> Bool {
        guard let oldest = datagrams.table.oldest(at: place) else { return false }
        evict(oldest, leavingPlace: false)
        return true
    }

    /// This client gets no socket. What the next one needs is what a session that says nothing has; while sessions that have
    /// ended are about to give theirs back, nobody need end for it.
    private mutating func evictForNext(at place: UInt32) {
        if datagrams.table.count == datagrams.table.liveCount { _ = evictOldest(at: place) }
    }

    /// `leavingPlace`: its place of the service is for whoever comes, so that no other ring can take it in between.
    private mutating func evict(_ slot: UInt32, leavingPlace: Bool) {
        let session = datagrams[slot]
        session.pointee.datagramCounters.pointee.evicted.addAsOnlyWriter(1)
        if leavingPlace { session.pointee.service.pointee.occupy() }
        endDatagramSession(slot, because: .evicted)
    }

    // MARK: The socket to the backend

    /// From the service's source addresses in turn; one without a free port gives way to the next.
    private mutating func openUpstream(
        to backend: UnsafeMutablePointer<BackendRecord>, of service: UnsafeMutablePointer<ServiceRecord>
    ) -> CallResult {
        let address = backend.pointee.address
        guard let addresses = service.pointee.sources?.pointee.addresses(for: address.pointee.family),
            let first = addresses.baseAddress, !addresses.isEmpty
        else { return ring.openDatagramSocket(for: address, from: nil) }
        var opened = CallResult.failure(SystemCallError(code: EADDRNOTAVAIL))
        for _ in 0..<addresses.count {
            opened = ring.openDatagramSocket(for: address, from: first + Int(sourceTurn) % addresses.count)
            sourceTurn &+= 1
            guard case .failure(let error) = opened, Self.isWantOfPorts(error.code) else { return opened }
        }
        return opened
    }

    /// Unlike TCP's, a UDP socket that gets no port says EAGAIN.
    private static func isWantOfPorts(_ code: Int32) -> Bool { code == EADDRNOTAVAIL || code == EAGAIN }

    private mutating func datagramSocketFailed(
        _ code: Int32, at place: UInt32, _ backend: UnsafeMutablePointer<BackendRecord>,
        _ service: UnsafeMutablePointer<ServiceRecord>, _ counters: UnsafeMutablePointer<CounterBlock>
    ) {
        counters.pointee.errors.addAsOnlyWriter(1)
        if Self.isOwnExhaustion(code) {
            return evictForNext(at: place)
        }
        backend.pointee.counters.block(of: index).pointee.errors.addAsOnlyWriter(1)
        blame(backend, of: service, for: Self.failure(code))
    }
}

// Owns what must hold of the records that sessions leave: one each, with the client, the bytes and the reason that the
// kernel has seen. Leaves to others: how records are kept (SessionRecordBuffer has tests of its own).

@testable import ShuttleEngine

extension Simulation {
    /// After every turn of a worker: as many records as sessions have ended, each of them true.
    func checkRecords(_ index: Int) {
        var ended: UInt64 = 0
        for slot in 0..<workers[index].sessions.touchedCount {
            // The first session of a slot has generation 1, and each end makes another of it.
            ended += UInt64(workers[index].sessions[slot].pointee.generation - 1)
        }
        let buffer = links[index]
        let end = buffer.pointee.records.end
        if end != ended {
            return network.violate(.counters, "ring \(index): \(ended) sessions have ended and left \(end) records")
        }
        while recordsSeen[index] < end {
            guard let record = buffer.pointee.records.record(at: recordsSeen[index]) else {
                return network.violate(.counters, "ring \(index): record \(recordsSeen[index]) cannot be read")
            }
            recordsSeen[index] += 1
            check(record, of: rings[index])
        }
    }

    private func check(_ record: SessionRecord, of ring: RingCore) {
        let place =
            "ring \(ring.index): a record with \(record.reason.name) of \(record.client?.description ?? "nobody") "
        guard let client = takeClient(of: record, ring) else {
            return network.violate(
                .counters,
                place + "and \(record.sentBytes) and \(record.receivedBytes) bytes, backend \(record.backend), connect "
                    + "\(record.connectDuration.map(String.init) ?? "none") belongs to no client. Those left: \(clientsLeft(record))"
            )
        }
        reasonsMet.insert(record.reason)
        // The clock is read once for each turn.
        if record.endedAt / 1_000_000 > network.now || record.startedAt < 1_000_000_000 {
            network.violate(.counters, place + "began at \(record.startedAt) and took \(record.duration)")
        }
        if let fault = fault(in: record.reason, client, client.session, ring) {
            network.violate(.counters, place + "where \(fault)")
        }
    }

    /// The client whose session left the record, which no other record is of. Those that are closed and have left one are
    /// known, so but for clients that never had a session only those are left that were closed in this turn.
    private func takeClient(of record: SessionRecord, _ ring: RingCore) -> SimulatedConnection? {
        let candidates = network.connections.filter { client in
            client.isClient && client.acceptedAt > 0 && client.isClosePrepared
                && !recordedClients.contains(client.key) && isTrue(record, of: client)
        }
        // Several have the same address only where a header has told it, or there is none.
        let likely = candidates.filter { fault(in: record.reason, $0, $0.session, ring) == nil }
        let client =
            likely.first { client in
                guard let session = client.session else { return false }
                let hasSpoken = session.upstream.map { $0.readByProxy > 0 } ?? false
                return session.isEstablished == (record.connectDuration != nil)
                    && hasSpoken == (record.firstByteDuration != nil)
            } ?? likely.first { $0.session != nil } ?? candidates.first
        if let client { recordedClients.insert(client.key) }
        return client
    }

    /// What the network has seen of those whose address it is.
    private func clientsLeft(_ record: SessionRecord) -> String {
        network.connections.filter { client in
            client.isClient && !recordedClients.contains(client.key)
                && [client.isUnix ? nil : RawAddress(client.address).address, client.conveyed?.source].contains(
                    record.client)
        }.map { client in
            let upstream = client.session?.upstream
            return
                "\(client.key) closed \(client.isClosePrepared) established \(client.session?.isEstablished ?? false) "
                + "port \(upstream?.port ?? 0) used \(upstream?.wasUsed ?? false) bytes \(upstream?.accepted ?? 0)+"
                + "\(upstream?.prefaceAccepted ?? 0) and \(client.accepted) read \(upstream?.readByProxy ?? 0)"
        }.joined(separator: "; ")
    }

    /// Whether the network has seen of a client what the record says. Those on unix sockets, and those of whom a header has
    /// told, have no address of their own; the address of any other is one client's alone.
    private func isTrue(_ record: SessionRecord, of client: SimulatedConnection) -> Bool {
        let addresses = [client.isUnix ? nil : RawAddress(client.address).address, client.conveyed?.source]
        guard addresses.contains(record.client) else { return false }
        let upstream = client.session.flatMap { $0.isEstablished ? $0.upstream : nil }
        guard let upstream else {
            return record.connectDuration == nil && record.sentBytes == 0 && record.receivedBytes == 0
        }
        // A connect may succeed while its session is being closed: that need not be known.
        if record.connectDuration == nil { return !upstream.wasUsed }
        let backend = control.backends.first { $0.record.pointee.identifier == record.backend }
        return backend?.port == upstream.port
            && record.sentBytes == UInt64(upstream.accepted + upstream.prefaceAccepted)
            && record.receivedBytes == UInt64(client.accepted)
            // What comes after its session has begun to close is dropped.
            && (record.receivedBytes == 0 || record.firstByteDuration != nil)
            && (record.firstByteDuration == nil || upstream.readByProxy > 0)
    }

    /// Why the reason cannot be true; nil where it may be.
    private func fault(
        in reason: TerminationReason, _ client: SimulatedConnection, _ session: SimulatedSession?, _ ring: RingCore
    ) -> String? {
        let upstream = session?.upstream
        let isEstablished = session?.isEstablished ?? false
        switch reason {
        case .clientClosed: return client.hasPeerFinished ? nil : "the client has not ended"
        case .clientReset: return client.hasPeerReset ? nil : "the client has not reset"
        case .backendClosed: return upstream?.hasPeerFinished ?? false ? nil : "the backend has not ended"
        case .backendReset: return upstream?.hasPeerReset ?? false ? nil : "the backend has not reset"
        case .connectRefused, .connectTimeout, .connectUnreachable, .connectFailed:
            return isEstablished ? "a backend was reached" : nil
        case .noBackend, .serviceFull, .queueFull, .queueTimeout, .clientLimit, .denied, .rateLimited, .maintenance,
            .prereadFailed, .prereadTimeout, .serviceRemoved:
            return isEstablished ? "a backend was reached" : nil
        case .clientIdle, .backendIdle, .halfCloseTimeout, .maxLifetime, .drained:
            return session.map { $0.couldAbort || network.ledger.mayAbort($0) } ?? false ? nil : "its time had not come"
        case .operator:
            return session?.mayBeEndedByOperator ?? false ? nil : "no operator has ended it"
        case .cut: return ring.isCut ? nil : "nothing was cut"
        case .clientLost: return client.hasPeerReset ? nil : "the client has not gone"
        case .backendLost: return upstream?.hasPeerReset ?? false ? nil : "the backend has not gone"
        case .idle, .backendRefused, .evicted, .answered, .backendGone:
            return "nothing of the kind happens here"
        }
    }
}

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
        var records: [SessionRecord] = []
        while recordsSeen[index] < end {
            guard let record = buffer.pointee.records.record(at: recordsSeen[index]) else {
                return network.violate(.counters, "ring \(index): record \(recordsSeen[index]) cannot be read")
            }
            recordsSeen[index] += 1
            records.append(record)
            reasonsMet.insert(record.reason)
            // The clock is read once for each turn.
            if record.endedAt / 1_000_000 > network.now || record.startedAt < 1_000_000_000 {
                network.violate(
                    .counters, "ring \(index): a record began at \(record.startedAt) and took \(record.duration)")
            }
        }
        if !records.isEmpty { match(records, on: rings[index]) }
    }

    /// Finds for each record of a turn a client of its own of whom it is true. Clients that have been found are known, so but
    /// for those that never had a session only those are left that were closed in this turn.
    private func match(_ records: [SessionRecord], on ring: RingCore) {
        let closed = network.connections.filter { client in
            client.isClient && client.acceptedAt > 0 && client.isClosePrepared && !recordedClients.contains(client.key)
        }
        // Several may be like one another: of whom a header has told the same, or who have no address.
        var recordOfClient: [Int: Int] = [:]
        func find(_ index: Int, _ asked: inout Set<Int>) -> Bool {
            for client in closed where !asked.contains(client.key) && isTrue(records[index], of: client, ring) {
                asked.insert(client.key)
                if let other = recordOfClient[client.key], !find(other, &asked) { continue }
                recordOfClient[client.key] = index
                return true
            }
            return false
        }
        for (index, record) in records.enumerated() {
            var asked: Set<Int> = []
            guard !find(index, &asked) else { continue }
            let faults = closed.filter { $0.told == record.client || $0.address == record.client }.map { client in
                fault(in: record.reason, client, client.session, ring) ?? "something else is wrong"
            }
            return network.violate(
                .counters,
                "ring \(ring.index): a record with \(record.reason.name) of \(record.client?.description ?? "nobody"), "
                    + "\(record.sentBytes) and \(record.receivedBytes) bytes, backend \(record.backend), connect "
                    + "\(record.connectDuration.map(String.init) ?? "none") is true of no client: \(faults)")
        }
        recordedClients.formUnion(recordOfClient.keys)
    }

    /// Whether the network has seen of a client what the record says. Those on unix sockets, and those of whom a header has
    /// told, have no address of their own; the address of any other is one client's alone.
    private func isTrue(_ record: SessionRecord, of client: SimulatedConnection, _ ring: RingCore) -> Bool {
        let addresses = [client.isUnix ? nil : RawAddress(client.address).address, client.conveyed?.source]
        guard addresses.contains(record.client),
            fault(in: record.reason, client, client.session, ring) == nil
        else { return false }
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

// Owns what must hold of limits and queues: as the backends count, whenever nothing can happen, and at the end.

import Synchronization

@testable import ShuttleEngine

/// Clients of a service that got no backend, by why.
struct TurnedAway: Equatable {
    var errors = 0
    var refused = 0
    var refusedPerClient = 0
    var queueOverflows = 0
    var queueTimeouts = 0
    var denied = 0
    var refusedByRate = 0

    init() {}

    mutating func add(_ other: TurnedAway) {
        errors += other.errors
        refused += other.refused
        refusedPerClient += other.refusedPerClient
        queueOverflows += other.queueOverflows
        queueTimeouts += other.queueTimeouts
        denied += other.denied
        refusedByRate += other.refusedByRate
    }

    init(_ record: UnsafeMutablePointer<ServiceRecord>) {
        errors = Int(record.pointee.counters.sum { $0.errors.load(ordering: .relaxed) })
        refused = Int(record.pointee.counters.sum { $0.refused.load(ordering: .relaxed) })
        refusedPerClient = Int(record.pointee.counters.sum { $0.refusedPerClient.load(ordering: .relaxed) })
        queueOverflows = Int(record.pointee.counters.sum { $0.queueOverflows.load(ordering: .relaxed) })
        queueTimeouts = Int(record.pointee.counters.sum { $0.queueTimeouts.load(ordering: .relaxed) })
        denied = Int(record.pointee.counters.sum { $0.denied.load(ordering: .relaxed) })
        refusedByRate = Int(record.pointee.refusedByRate.load(ordering: .relaxed))
    }
}

extension Simulation {
    // MARK: As the backends count

    /// A session has reached a backend: of those that the proxy has not ended there may be as many as the widest limit
    /// that the service has had.
    func checkLimits(_ backend: SimulatedConnection) {
        guard let service = control.backend(at: backend.port)?.service else { return }
        let open = network.live.filter { connection in
            !connection.isClient && connection.isEstablished && !connection.isProxyClosed
                && control.backend(at: connection.port)?.service == service
        }
        reachedMax[service] = max(reachedMax[service] ?? 0, open.count)
        let plans = control.history.flatMap(\.values).filter { $0.name == service }
        checkAccess(backend, of: service, plans)
        if let limit = widest(plans.map(\.connectionsMax)), open.count > limit {
            network.violate(.limit, "service \(service) has \(open.count) sessions, its limit is \(limit)")
        }
        guard let limit = widest(plans.map(\.connectionsPerClientMax)), let client = backend.session?.client else {
            return
        }
        let own = open.count { $0.session?.client.map { ClientAddress($0.told) } == ClientAddress(client.told) }
        if own > limit {
            network.violate(
                .limit, "the client at \(client.told) has \(own) sessions, the limit of \(service) is \(limit)")
        }
    }

    /// Whoever has reached a backend was let in by the lists of some time.
    private func checkAccess(_ backend: SimulatedConnection, of service: String, _ plans: [ServicePlan]) {
        guard let client = backend.session?.client, plans.allSatisfy(\.hasAccessLists) else { return }
        let address = ClientAddress(client.told)
        let isOnUnix = client.isUnix && client.conveyed == nil
        func isNamed(_ texts: [String]) -> Bool {
            if isOnUnix { return texts.contains("unix") }
            return texts.contains { text in
                guard let network = try? NetworkPrefix(parsing: text) else { return false }
                return network.family == .ipv4
                    && (network.first...network.last).contains(UInt128(address.low & 0xffff_ffff))
            }
        }
        if !plans.contains(where: { !isNamed($0.deny) && ($0.allow.isEmpty || isNamed($0.allow)) }) {
            network.violate(
                .limit, "the client at \(client.told) came in to \(service), whose lists do not let it in")
        }
    }

    /// `nil` when there was none at some time.
    private func widest(_ limits: [Int]) -> Int? {
        limits.contains(0) ? nil : limits.max()
    }

    // MARK: When nothing can happen at this time

    /// Nobody waits beside a free place, nor longer than the queue's timeout, nor for a service that is gone.
    func checkQueues() {
        for (name, record) in control.serviceRecords where !record.pointee.queue.isEmpty {
            let waiting = record.pointee.queue.waitingNumbers.count
            let called = record.pointee.queue.count.load(ordering: .relaxed) - waiting
            if called > 0 { network.violate(.stuck, "\(called) sessions of \(name) were called and not told") }
            guard let table = control.compiledService(named: name).map({ UnsafePointer($0.table) }) else {
                if control.isSettled { network.violate(.stuck, "\(waiting) sessions wait for \(name), which is gone") }
                continue
            }
            let occupied = record.pointee.occupied.load(ordering: .relaxed)
            let sessionsMax = table.pointee.limits.sessionsMax
            let hasPlace = sessionsMax == 0 || occupied < sessionsMax
            if hasPlace, table.hasRoom(beyond: called, now: network.now) {
                network.violate(
                    .stuck, "\(waiting) sessions of \(name) wait, \(occupied) have places and there are more")
            }
        }
        for (index, ring) in rings.enumerated() {
            for use in ring.waited where workers[index].sessions.touchedCount > use.slot {
                let slot = workers[index].sessions[use.slot]
                guard slot.pointee.isOccupied, slot.pointee.generation == use.generation,
                    slot.pointee.session.isQueued
                else { continue }
                let deadline = slot.pointee.connectDeadline
                if deadline != 0, network.now > deadline + 5 {
                    network.violate(.stuck, "ring \(index), slot \(use.slot) was to leave its queue at \(deadline) ms")
                }
            }
        }
    }

    // MARK: At the end

    func checkPlacesReturned() {
        for (name, record) in control.serviceRecords {
            let occupied = record.pointee.occupied.load(ordering: .relaxed)
            let queued = record.pointee.counters.queued
            let addresses = record.pointee.clients.addressCount
            let delayed = record.pointee.delayed.load(ordering: .relaxed)
            if delayed != 0 { network.violate(.leak, "service \(name) has \(delayed) sessions left that were delayed") }
            if occupied != 0 || queued != 0 || addresses != 0 || !record.pointee.queue.isEmpty {
                network.violate(
                    .leak,
                    "service \(name) has \(occupied) places taken, \(queued) sessions queued and \(addresses) addresses left"
                )
            }
        }
    }

    // MARK: For scenarios

    func turnedAway(from service: String) -> TurnedAway {
        control.serviceRecords.first { $0.name == service }.map { TurnedAway($0.record) } ?? TurnedAway()
    }
}

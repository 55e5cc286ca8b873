// Owns what must hold of every choice of a backend, judged by the rules that users are told and what was known when it
// was made. Leaves to others: whether round robin's turns add up (Simulation+Checks).

import Synchronization

@testable import ShuttleEngine

extension Simulation {
    // MARK: Choices

    func connectLedger() {
        let ledger = network.ledger
        ledger.idleLimits = { [unowned self] session in
            guard let client = session.client, Int(session.epoch) < control.history.count else { return IdleLimits() }
            return control.history[Int(session.epoch)][client.port]?.idleLimits() ?? IdleLimits()
        }
        ledger.isDraining = { [unowned self] port in
            control.backends.contains { $0.port == port && $0.record.pointee.drain.isActive }
        }
        ledger.connectStarts = { [unowned self] session, port in
            // A queue that was full and is not any more: the choice was made when it was asked first.
            let use = SlotUse(slot: session.slot, generation: session.generation)
            if session.ring.askingAgain.removeValue(forKey: use) == port {
                noteTurnIfExact(session, port)
            } else {
                checkChoice(session, port)
            }
            checkConnectionCount(port)
        }
        ledger.loads = { [unowned self] in loads() }
        ledger.turnedAway = { [unowned self] in checkTurnedAway($0, $1) }
        ledger.clientKnown = { [unowned self] in checkService($0) }
        ledger.reachedBackend = { [unowned self] in checkLimits($0) }
    }

    /// The backend belongs to the service whose listener the client came through, in the epoch of its arrival.
    private func checkService(_ session: SimulatedSession) {
        guard let client = session.client, let port = session.triedPorts.first, !session.hasWaited else { return }
        let service = control.history[Int(session.epoch)][client.port]
        if service?.backends.contains(where: { $0.port == port && $0.getsSessions }) != true {
            network.violate(
                .balance,
                "a client of port \(client.port) went to \(port), not a backend of \(service?.name ?? "nobody") in epoch "
                    + "\(session.epoch)"
            )
        }
    }

    /// Of the present configuration's backends, each at a port of its own.
    private func loads() -> [UInt16: BackendLoad] {
        var loads: [UInt16: BackendLoad] = [:]
        for backend in control.backends where backend.countersAtEnd == nil {
            let record = backend.record
            loads[backend.port] = BackendLoad(
                active: record.pointee.active.load(ordering: .relaxed),
                isUp: record.pointee.isUp.load(ordering: .relaxed),
                isResting: record.pointee.rest.isOn
            )
        }
        return loads
    }

    /// The first backend was chosen when the client was accepted, further ones are chosen now, and so is that of a
    /// client that was called out of the queue.
    private func checkChoice(_ session: SimulatedSession, _ port: UInt16) {
        let isFirst = session.triedPorts.isEmpty && !session.hasWaited
        // The client may not be known yet, as that of a slot that was given away within a turn.
        let ring = session.ring
        guard
            let choice = isFirst
                ? session.client?.choice
                : Choice(
                    epoch: session.hasWaited ? ring.viewEpoch : ring.leavingEpoch ?? ring.viewEpoch, loads: loads())
        else { return noteTurnIfExact(session, port) }
        let epoch = Int(choice.epoch)
        guard
            let service = control.history[epoch].values.first(where: { plan in
                plan.backends.contains { $0.port == port }
            }),
            let chosen = service.backends.first(where: { $0.port == port })
        else {
            return network.violate(.balance, "port \(port) is not a backend in epoch \(epoch)")
        }
        guard let present = choice.loads[port] else {
            // Removed by the change that the ring is about to take up.
            if isFirst || ring.leavingEpoch == nil {
                network.violate(.balance, "port \(port) is not a backend any more, after epoch \(epoch)")
            }
            return
        }
        if !chosen.getsSessions || !present.isUp {
            network.violate(.balance, "the backend at port \(port) gets nothing new (\(chosen)) or is down")
        }
        if service.backends.contains(where: { $0.hashLimit < .max && choice.loads[$0.port]?.isUp == true }) {
            choicesMet.ramping += 1
        }
        checkFurtherTry(session, port)
        checkTier(session, chosen, service, choice.loads)
        // Its own count includes the new session already, but for a first choice.
        let load = present.active + (isFirst ? 1 : 0)
        if chosen.connectionsMax > 0 && load > chosen.connectionsMax {
            network.violate(.balance, "port \(port) got session \(load) of \(chosen.connectionsMax)")
        }
        if service.balance == .hash {
            checkHashed(session, chosen, service, choice, isFirst: isFirst)
        } else if service.balance == .leastConnections || !session.triedPorts.isEmpty {
            checkLeastLoaded(session, chosen, service, choice.loads, load: load, isFirst: isFirst)
        } else {
            noteTurnIfExact(session, port)
        }
    }

    /// Each backend once, no more of them than the service allows, and only while there is time.
    private func checkFurtherTry(_ session: SimulatedSession, _ port: UInt16) {
        guard let firstTime = session.connectTimes.first ?? (session.triedPorts.isEmpty ? nil : 0) else { return }
        // One that waits is sent to it again, when it has rested.
        if session.triedPorts.contains(port), !session.hasWaited {
            network.violate(.balance, "port \(port) was tried twice for a client")
        }
        checkRest(session, port)
        guard let client = session.client, let service = control.history[Int(session.epoch)][client.port] else {
            return
        }
        // One that waits in between is bounded by the rests.
        if session.triedPorts.count > service.retries, !session.hasWaited {
            network.violate(
                .balance,
                "\(session.triedPorts.count + 1) backends were tried for a client with \(service.retries) retries")
        }
        let limit = UInt64(service.retryTimeout)
        // Of a client that waits for a place in between, the time starts anew.
        if limit > 0, firstTime > 0, !session.hasWaited, session.ring.timeTold >= firstTime + limit {
            network.violate(
                .balance, "port \(port) was tried after \(session.ring.timeTold - firstTime) of \(limit) ms")
        }
    }

    /// A backend that has refused a client rests before the client is sent there again, unless another one's connect has
    /// succeeded, of which the ring may be told later.
    private func checkRest(_ session: SimulatedSession, _ port: UInt16) {
        guard let failure = session.failures.last(where: { $0.port == port }) else { return }
        let told = session.ring.timeTold
        if told < failure.at + BackendRest.milliseconds,
            (network.ledger.lastEstablished[port] ?? 0) + 50 < failure.began
        {
            network.violate(
                .balance, "port \(port) was tried again \(told - failure.at) ms after it had refused the client")
        }
        choicesMet.rested += 1
    }

    /// A backup gets nothing while a backend that is not one is usable and untried, be it full.
    private func checkTier(
        _ session: SimulatedSession,
        _ chosen: ServicePlan.Backend,
        _ service: ServicePlan,
        _ loads: [UInt16: BackendLoad]
    ) {
        guard chosen.isBackup else { return }
        let primary = service.backends.first {
            !$0.isBackup && $0.getsSessions && loads[$0.port]?.isUp == true && !session.triedPorts.contains($0.port)
        }
        guard let primary else {
            choicesMet.backups += 1
            return
        }
        network.violate(.balance, "backup \(chosen.port) was chosen though port \(primary.port) was usable")
    }

    /// The same client, the same backend, unless that was down, full, tried or resting: then the next along the table.
    private func checkHashed(
        _ session: SimulatedSession,
        _ chosen: ServicePlan.Backend,
        _ service: ServicePlan,
        _ choice: Choice,
        isFirst: Bool
    ) {
        // Of earlier epochs the tables are gone.
        guard let client = session.client, Int(choice.epoch) == Int(control.epoch),
            let tables = control.compiledService(named: service.name)?.hashTables
        else { return }
        let places = (chosen.isBackup ? tables.backup : tables.primary).places
        let hash = ClientHash.of(client.told)
        let start = Int(((hash >> 32) * UInt64(places.count)) >> 32)
        for step in 0..<ServiceTable.hashStepsMax {
            let backend = service.backends[Int(places[(start + step) % places.count])]
            if backend.port == chosen.port {
                choicesMet.hashed += 1
                return
            }
            guard let state = choice.loads[backend.port], state.isUp, backend.hasRoom(beside: state.active),
                UInt32(truncatingIfNeeded: hash) <= backend.hashLimit,
                !session.triedPorts.contains(backend.port), isFirst || !state.isResting
            else { continue }
            return network.violate(
                .balance, "client \(client.told) went to port \(chosen.port) instead of \(backend.port)")
        }
    }

    /// (sessions + 1) / weight of the chosen is the least of those that have room and, for a further try, do not rest.
    private func checkLeastLoaded(
        _ session: SimulatedSession,
        _ chosen: ServicePlan.Backend,
        _ service: ServicePlan,
        _ loads: [UInt16: BackendLoad],
        load: Int,
        isFirst: Bool
    ) {
        for other in service.backends where other.port != chosen.port && other.isBackup == chosen.isBackup {
            guard other.getsSessions, !session.triedPorts.contains(other.port), let otherState = loads[other.port],
                otherState.isUp, other.hasRoom(beside: otherState.active), isFirst || !otherState.isResting
            else { continue }
            let otherLoad = otherState.active + 1
            if otherLoad * chosen.weight < load * other.weight {
                network.violate(
                    .balance,
                    "port \(chosen.port) got session \(load) at weight \(chosen.weight) while port \(other.port) had "
                        + "\(otherLoad - 1) at weight \(other.weight)"
                )
            }
        }
    }

    /// Nobody is turned away whom a backend could have served. Only first choices can be judged: what a further try
    /// found is known when it found something.
    private func checkTurnedAway(_ client: SimulatedConnection, _ ring: RingCore) {
        // Nor is anybody whose backend's socket could not be opened.
        guard let choice = client.choice, !ring.isCut, ring.refusedPorts.isEmpty,
            let service = control.history[Int(choice.epoch)][client.port], !service.isLimited,
            links[ring.index].pointee.sessions.load(ordering: .relaxed) < plan.sessionCapacity
        else { return }
        let usable = service.backends.filter { $0.getsSessions && choice.loads[$0.port]?.isUp == true }
        let primaries = usable.filter { !$0.isBackup }
        let tier = primaries.isEmpty ? usable : primaries
        if !tier.isEmpty { choicesMet.full += 1 }
        guard let free = tier.first(where: { $0.hasRoom(beside: choice.loads[$0.port]?.active ?? 0) }) else { return }
        network.violate(.balance, "connection \(client.key) was turned away though port \(free.port) had room")
    }

    /// As a backend counts its connections: from when it is connected to until it is told of their end.
    private func checkConnectionCount(_ port: UInt16) {
        guard let limit = control.connectionsMaxEver[port], limit > 0 else { return }
        let count = network.live.count { !$0.isClient && $0.port == port && !$0.isProxyClosed }
        if count > limit { network.violate(.balance, "port \(port) has \(count) connections; its limit is \(limit)") }
        if count == limit { choicesMet.atTheLimit += 1 }
    }

    private func noteTurnIfExact(_ session: SimulatedSession, _ port: UInt16) {
        guard plan.hasExactTurns, session.triedPorts.isEmpty,
            let service = control.plans.first(where: { $0.backends.contains { $0.port == port } }),
            service.balance == .roundRobin
        else { return }
        noteTurn(port, service)
    }

    private func noteTurn(_ port: UInt16, _ service: ServicePlan) {
        guard let rotation = control.compiledService(named: service.name)?.rotation else { return }
        if let index = turnsTaken.firstIndex(where: { $0.rotation === rotation }) {
            turnsTaken[index].ports.append(port)
        } else {
            turnsTaken.append((rotation, [port]))
        }
    }
}

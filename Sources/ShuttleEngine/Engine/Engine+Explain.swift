// Owns what would become of a client that came now: the steps of Worker+Accept and Worker+Admission on the live state,
// without their effects. Leaves to others: the choice (Balancing/ChoiceOutlook), words (shuttled/Admin).

import Glibc
import Synchronization

extension Engine {
    /// Says what becomes of the next session of a client of this service; nil where there is no such service.
    public func explain(service name: String, client: ExplainedClient) -> Explanation? {
        guard let index = serviceIndices[name] else { return nil }
        let entry = services[index]
        guard entry.configuration.network == .tcp else {
            return explanation(of: entry, client, route: nil, before: turnedAway(client, by: entry))
        }
        if let outcome = turnedAwayAtTheDoor(client, by: entry) {
            return explanation(of: entry, client, route: nil, before: outcome)
        }
        guard let (route, target) = target(of: entry, client), let targetIndex = target else {
            return explanation(of: entry, client, route: nil, before: turnedAway(client, by: entry))
        }
        let pool = services[targetIndex]
        return explanation(of: pool, client, route: route, before: turnedAway(client, by: pool))
    }

    // MARK: Before the choice

    /// What keeps a client out whatever it says: maintenance and lists.
    private func turnedAwayAtTheDoor(_ client: ExplainedClient, by service: CompiledService) -> ExplainedOutcome? {
        let table = service.table.pointee
        if table.limits.isInMaintenance { return .maintenance }
        guard let access = table.access else { return nil }
        guard let address = client.address else { return access.pointee.admitsUnix ? nil : .denied }
        return access.pointee.admits(ClientAddress(address)) ? nil : .denied
    }

    /// The same, then the rate limit, then limits of places. Nil where a backend is chosen.
    private func turnedAway(_ client: ExplainedClient, by service: CompiledService) -> ExplainedOutcome? {
        if let outcome = turnedAwayAtTheDoor(client, by: service) { return outcome }
        let table = service.table.pointee
        let record = table.record
        let address = client.address.map { ClientAddress($0) }
        if let limiter = table.rate {
            let mayWait =
                !table.isOfDatagrams && record.pointee.delayed.load(ordering: .relaxed) < RateLimiter.waitersMax
            switch limiter.pointee.look(address, at: Engine.nowNanoseconds(), mayWait: mayWait) {
            case .isInTime: break
            case .isInTimeAt: return .delayed
            case .isTooEarly: return .rateLimited
            }
        }
        // A UDP service that is full ends the session that is idle for longest.
        guard !table.isOfDatagrams else { return nil }
        let limit = table.limits.sessionsPerClientMax
        if limit > 0, let address, record.pointee.clients.count(of: address) >= limit { return .clientLimit }
        let isFull =
            table.limits.sessionsMax > 0
            && record.pointee.occupied.load(ordering: .acquiring) >= table.limits.sessionsMax
        return isFull || !record.pointee.queue.isEmpty ? waits(for: service) : nil
    }

    private func waits(for service: CompiledService) -> ExplainedOutcome {
        let table = service.table.pointee
        return table.limits.queueLimit > table.record.pointee.counters.queued ? .queued : .full
    }

    /// The route of a client and the service that it leads to, read from what the client would say first.
    private func target(of service: CompiledService, _ client: ExplainedClient) -> (route: Int, index: Int?)? {
        guard client.serverName != nil || !client.protocols.isEmpty, !service.configuration.routes.isEmpty else {
            return nil
        }
        let message = ClientHello.made(name: client.serverName, protocols: client.protocols)
        let route = message.withUnsafeBytes { bytes -> Int? in
            guard case .complete(let hello) = ClientHello.read(bytes, limit: bytes.count) else { return nil }
            return service.table.pointee.routes.route(of: hello)
        }
        guard let route else { return nil }
        return (route, serviceIndices[service.configuration.routes[route].service])
    }

    // MARK: The choice

    private func explanation(
        of service: CompiledService, _ client: ExplainedClient, route: Int?, before: ExplainedOutcome?
    ) -> Explanation {
        let table = UnsafePointer(service.table)
        let hash = client.address.map { ClientHash.of($0) }
        let outlook = table.outlook(for: hash ?? 0, seed: Engine.nowNanoseconds())
        let outcome: ExplainedOutcome
        var chosen: Int?
        switch outlook.outcome {
        case .certain(let index):
            outcome = .backend
            chosen = index
        case .drawn: outcome = .drawn
        case .full: outcome = service.configuration.network == .tcp ? waits(for: service) : .full
        case .unusable: outcome = .noBackend
        }
        let isHashed = service.configuration.balance == .hash && hash != nil
        let isComing = before == nil || before == .delayed || before == .queued
        return Explanation(
            outcome: before ?? outcome,
            service: service.configuration,
            route: route,
            chosen: isComing ? chosen : nil,
            isCertain: !isComing || before == nil && chosen != nil && (isHashed || service.backends.count == 1),
            areProbabilitiesExact: outlook.isExact,
            occupied: table.pointee.record.pointee.occupied.load(ordering: .acquiring),
            queued: table.pointee.record.pointee.counters.queued,
            backends: service.backends.indices.map { backend($0, of: service, outlook) }
        )
    }

    private func backend(_ index: Int, of service: CompiledService, _ outlook: ChoiceOutlook) -> ExplainedBackend {
        let record = service.backends[index]
        return ExplainedBackend(
            configuration: service.configuration.backends[index],
            verdict: outlook.verdicts[index],
            active: record.pointee.active.load(ordering: .acquiring),
            effectiveWeight: service.weights[index].weight,
            isEjected: record.pointee.passive.isEjected,
            lastCheck: record.pointee.isCheckedUp ? nil : record.pointee.lastCheck,
            lastFailure: record.pointee.failures.last,
            slowStartPercent: record.pointee.slowStart.percent,
            probabilityThousandths: outlook.thousandths.isEmpty ? nil : outlook.thousandths[index]
        )
    }

    /// As rings tell the time, for rate limits.
    private static func nowNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}

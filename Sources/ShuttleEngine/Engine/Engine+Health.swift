// Owns what is known of the health of backends and how it reaches the rings: what checks say, what traffic has met, and
// how far those are that have come up.
// Leaves to others: making checks (shuttled/Health), deciding what failures lead to (Balancing/PassiveEjection) and who
// ramps (Balancing/SlowStart).

import Synchronization

extension Engine {
    /// Takes in what checks say of a backend and publishes the new rotation. Unknown names are ignored.
    public func setHealth(service: String, backend: String, isUp: Bool) {
        guard let index = serviceIndices[service],
            let record = services[index].backendRecord(named: backend)
        else { return }
        record.pointee.isCheckedUp = isUp
        var isStale = record.pointee.updateUp()
        // One backend more or less that could be used: another number may be out.
        if services[index].hasAccused { isStale = judge(index) || isStale }
        if isStale {
            renew(index)
            publish()
        }
    }

    /// Keeps the result of one finished health check, and counts it. Unknown names are ignored.
    public func recordCheck(service: String, backend: String, result: CheckResult) {
        guard let index = serviceIndices[service],
            let record = services[index].backendRecord(named: backend)
        else { return }
        record.pointee.lastCheck = result
        switch result.status {
        case .success: record.pointee.checkSuccesses += 1
        case .fail: record.pointee.checkFailures += 1
        case .inconclusive: break
        }
        if result.status == .success, record.pointee.passive.accusedAt != nil {
            record.pointee.passive.checkSucceeded()
            if judge(index) {
                renew(index)
                publish()
            }
        }
    }

    /// Takes out and lets back backends by what their traffic has met since the last call, and returns whom; moves on those
    /// that ramp. `now` is in milliseconds and never goes back. Where nothing happened the call costs a load for each ring.
    public func judgeTraffic(at now: UInt64) -> [EjectionChange] {
        judgedAt = now
        for worker in workers { worker.foldCounts() }
        var hasNewFailures = false
        for worker in workers where worker.link.pointee.hasNewFailures.load(ordering: .relaxed) {
            hasNewFailures = worker.link.pointee.hasNewFailures.exchange(false, ordering: .acquiring) || hasNewFailures
        }
        if hasNewFailures || nextJudgement <= now || nextSlowStartStep <= now {
            var isStale = false
            for index in services.indices {
                let hasChanged = isDue(index) && judge(index)
                guard hasChanged || services[index].table.pointee.record.pointee.nextSlowStartStep <= now else {
                    continue
                }
                renew(index)
                isStale = true
            }
            nextJudgement = services.map { $0.table.pointee.record.pointee.nextJudgement }.min() ?? .max
            nextSlowStartStep = services.map { $0.table.pointee.record.pointee.nextSlowStartStep }.min() ?? .max
            if isStale { publish() }
        }
        defer { ejectionChanges.removeAll() }
        return ejectionChanges
    }

    /// Judges accused backends by a configuration that is about to be compiled.
    func judgeTraffic(
        of configuration: ServiceConfiguration,
        _ backends: [UnsafeMutablePointer<BackendRecord>],
        record: UnsafeMutablePointer<ServiceRecord>
    ) {
        guard CompiledService.hasAccused(backends) else { return }
        ejectionChanges += CompiledService.judgeTraffic(of: configuration, backends, record: record, at: judgedAt)
        nextJudgement = min(nextJudgement, record.pointee.nextJudgement)
    }

    /// Looks at the backends by a configuration that is about to be compiled.
    func advanceSlowStarts(
        of configuration: ServiceConfiguration,
        _ backends: [UnsafeMutablePointer<BackendRecord>],
        record: UnsafeMutablePointer<ServiceRecord>,
        isRunning: Bool
    ) {
        CompiledService.advanceSlowStarts(
            of: configuration, backends, record: record, isRunning: isRunning, at: judgedAt)
        nextSlowStartStep = min(nextSlowStartStep, record.pointee.nextSlowStartStep)
    }

    private func isDue(_ index: Int) -> Bool {
        let record = services[index].table.pointee.record
        if record.pointee.nextJudgement <= judgedAt { return true }
        return record.pointee.hasNewFailures.load(ordering: .relaxed)
            && record.pointee.hasNewFailures.exchange(false, ordering: .acquiring)
    }

    /// Whether the service's rotation is stale now.
    private func judge(_ index: Int) -> Bool {
        let changes = services[index].judgeTraffic(at: judgedAt)
        ejectionChanges += changes
        nextJudgement = min(nextJudgement, services[index].table.pointee.record.pointee.nextJudgement)
        return !changes.isEmpty
    }

    private func renew(_ index: Int) {
        let renewed = services[index].renewed(at: judgedAt)
        nextSlowStartStep = min(nextSlowStartStep, renewed.table.pointee.record.pointee.nextSlowStartStep)
        replace(index, by: renewed)
    }
}

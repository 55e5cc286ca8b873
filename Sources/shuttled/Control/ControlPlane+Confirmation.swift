// Owns what becomes of a change that is to be confirmed: which other changes may come beside it, confirming it, and taking
// it back.
// Leaves to others: its record and its time (ConfirmationKeeper), making changes (ControlPlane).

import NIOCore
import ShuttleEngine

extension ControlPlane {
    /// Who takes a change back when nobody has confirmed it.
    static let expiry = ChangeOrigin(peer: "shuttled", request: "confirm-timeout")

    func pendingChange() -> PendingChange? { confirmations.pending }

    // MARK: Beside a change that waits

    /// What waits must be able to be taken back at any moment, without undoing what others have done since: its services are
    /// left alone, and there is one at a time.
    func checkPending(
        _ next: NextConfiguration, from current: [ServiceConfiguration], origin: ChangeOrigin
    ) throws(ChangeRefusal) {
        guard let pending = confirmations.pending, next.services != current else {
            return
        }
        let touched = pending.servicesChanged(in: next.services)
        guard touched.isEmpty, origin.confirmWithin == nil else {
            throw .awaitsConfirmation(
                id: pending.id, request: pending.request, untilMilliseconds: pending.untilMilliseconds,
                services: touched
            )
        }
        do throws(ChangeRefusal) {
            _ = try NextConfiguration(
                applying: .replaceAll(pending.reverted(from: next.services)), to: next.services
            )
        } catch {
            guard case .invalid(let issues) = error else {
                throw error
            }
            throw .barsWayBack(id: pending.id, request: pending.request, issues)
        }
    }

    /// The same for addresses, which may meet only once the change is taken back.
    func checkWayBack(of next: NextConfiguration) async throws(ChangeRefusal) {
        guard let pending = confirmations.pending else {
            return
        }
        let issues = try await issues(ofReverting: pending, in: next)
        guard issues.isEmpty else {
            throw .barsWayBack(id: pending.id, request: pending.request, issues)
        }
    }

    /// What would be wrong with a configuration that has everything but the change.
    private func issues(
        ofReverting pending: PendingChange, in next: NextConfiguration, live: [String: AppliedService]? = nil
    ) async throws(ChangeRefusal) -> [ConfigurationIssue] {
        let services = pending.reverted(from: next.services)
        do throws(ChangeRefusal) {
            _ = try await resolved(
                try NextConfiguration(applying: .replaceAll(services), to: next.services), toleratesSilence: true,
                live: live
            )
            return []
        } catch {
            guard case .invalid(let issues) = error else {
                throw error
            }
            return issues
        }
    }

    /// Before a change is made: one that is to wait has its record on disk, any other one does not bar the way back of the
    /// one that waits.
    func prepareToWait(
        _ origin: ChangeOrigin, from current: [ServiceConfiguration], to next: NextConfiguration,
        _ resolved: ResolvedConfiguration, reverts: Bool
    ) async throws(ChangeRefusal) -> PendingChange? {
        guard !reverts, hasStarted else {
            return nil
        }
        try await checkWayBack(of: next)
        try await confirmations.clear()
        guard let limit = origin.confirmWithin, next.services != current else {
            return nil
        }
        let pending = PendingChange(
            id: keeper.history.nextID, origin: origin, within: limit, from: current, to: next.services,
            at: ControlPlane.millisecondsNow()
        )
        // What is live now would not be then: its names would be asked for, and its addresses tried.
        let live = Dictionary(uniqueKeysWithValues: resolved.services.map { ($0.configuration.name, $0) })
        let issues = try await issues(ofReverting: pending, in: next, live: live)
        guard issues.isEmpty else {
            throw .hasNoWayBack(issues)
        }
        do throws(ChangeRefusal) {
            try await confirmations.write(pending)
        } catch {
            await confirmations.withdraw()
            throw error
        }
        return pending
    }

    /// The change was made, and waits.
    func waits(_ pending: PendingChange) {
        confirmations.begin(pending, at: pending.milliseconds)
        logger.info(
            "the change is taken back unless it is confirmed",
            metadata: ["id": "\(pending.id)", "within_ms": "\(pending.limitMilliseconds)"]
        )
        told.awaits(pending, remaining: pending.limitMilliseconds)
    }

    // MARK: Its end

    /// Makes the change stay. Asking again for one that was confirmed is no mistake: the answer may have been lost.
    func confirm(
        _ id: Int, origin: ChangeOrigin, if condition: ChangeCondition
    ) async throws(ChangeRefusal) -> LiveConfiguration {
        await turnstile.enter()
        defer { turnstile.leave() }
        guard acceptsChanges else {
            throw .shuttingDown
        }
        try check(condition)
        if let last = confirmations.last, last == (id, .confirmed), confirmations.pending?.id != id {
            return configuration()
        }
        let pending = try pending(id)
        // Who may not make it may not have it stay.
        try origin.caller?.checkPermission(
            from: pending.before.compactMap(\.after), to: pending.after.compactMap(\.after)
        )
        try await confirmations.confirm()
        logger.info("change confirmed", metadata: ["id": "\(id)", "from": "\(origin.peer)"])
        told.confirmed(pending, origin)
        return configuration()
    }

    /// Takes the change back.
    func revert(
        _ id: Int, origin: ChangeOrigin, if condition: ChangeCondition
    ) async throws(ChangeRefusal) -> LiveConfiguration {
        await turnstile.enter()
        defer { turnstile.leave() }
        guard acceptsChanges else {
            throw .shuttingDown
        }
        try check(condition)
        let pending = try pending(id)
        // A name of old that is not found now is no reason to keep what nobody has confirmed.
        let live = try await performInTurn(
            .replaceAll(pending.reverted(from: configuration().services)), origin: origin, persists: true,
            toleratesSilence: true, reverts: true
        )
        await confirmations.finishRevert()
        logger.warning("change taken back", metadata: ["id": "\(id)", "from": "\(origin.peer)"])
        told.reverted(pending, origin)
        return live
    }

    /// Nobody has confirmed it in time.
    func expire(_ id: Int) async {
        do throws(ChangeRefusal) {
            _ = try await revert(id, origin: ControlPlane.expiry, if: .none)
        } catch {
            guard acceptsChanges, let pending = confirmations.pending, pending.id == id else {
                return
            }
            tellFailed(pending, error)
            confirmations.retry()
        }
    }

    private func tellFailed(_ pending: PendingChange, _ refusal: ChangeRefusal) {
        logger.error(
            "a change that nobody has confirmed could not be taken back; it is tried again",
            metadata: ["id": "\(pending.id)", "reason": "\(refusal)"]
        )
        told.revertFailed(pending, refusal)
    }

    private func pending(_ id: Int) throws(ChangeRefusal) -> PendingChange {
        guard let pending = confirmations.pending, pending.id == id else {
            throw .notPending(id: id, end: confirmations.last.flatMap { $0.id == id ? $0.end : nil })
        }
        return pending
    }

    private func check(_ condition: ChangeCondition) throws(ChangeRefusal) {
        if let failure = condition.failure(configuration().versions.tag(of: .whole)) {
            throw .conditionFailed(failure)
        }
    }

    // MARK: After a restart

    /// Starts without a change whose time was over when the process came up. False where that cannot be done: better what
    /// nobody has confirmed than nothing.
    func revertAtStart(
        _ pending: PendingChange, _ services: [ServiceConfiguration], waitingForAddresses limit: TimeAmount
    ) async -> Bool {
        guard pending.remainingMilliseconds(at: ControlPlane.millisecondsNow()) == 0 else {
            return false
        }
        do throws(ChangeRefusal) {
            try await begin(
                with: pending.reverted(from: services), origin: ControlPlane.expiry, persists: true,
                waitingForAddresses: limit
            )
            return true
        } catch {
            tellFailed(pending, error)
            return false
        }
    }

    /// Goes on waiting, or tells that it was taken back.
    func resume(_ pending: PendingChange) async {
        let now = ControlPlane.millisecondsNow()
        let isReverted = !pending.isIn(configuration().services)
        confirmations.begin(pending, at: now)
        if isReverted {
            await confirmations.finishRevert()
            logger.warning("change taken back", metadata: ["id": "\(pending.id)", "from": "start"])
            told.reverted(pending, ControlPlane.expiry)
            return
        }
        let remaining = pending.remainingMilliseconds(at: now)
        if remaining == 0 {
            confirmations.retry()
        } else {
            logger.info(
                "a change from before the start is taken back unless it is confirmed",
                metadata: ["id": "\(pending.id)", "within_ms": "\(remaining)"]
            )
            told.awaits(pending, remaining: remaining)
        }
    }
}

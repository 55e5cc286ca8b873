// Owns the configuration that is live, the one order of its changes, and the end of the data plane.
// Leaves to others: telling what there is (ControlPlane+Reading), what a change leads to (NextConfiguration), finding
// addresses (AddressResolver), names that move (NameWatch), carrying it out (ChangeExecutor), checking backends
// (HealthMonitor), answering requests (Admin).

import Logging
import NIOCore
import ShuttleEngine

/// The one writer: every change of the configuration passes here, one after the other, in order of arrival.
///
/// It runs on the control loop, like everything else of the control side.
actor ControlPlane {
    nonisolated let loop: any EventLoop
    private nonisolated let executor: any SerialExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// What has happened.
    nonisolated let events: EventLog
    /// Of who follows the sessions that end.
    nonisolated let accessLogCounts = AccessLogCounts()
    let told: ControlEvents
    let logger: Logger
    let dataPlane: any DataPlane
    private let resolver: AddressResolver
    private let changes: ChangeExecutor
    private let health: HealthMonitor
    let names: NameWatch
    private let traffic: TrafficMonitor
    let observer: ServiceObserver
    let turnstile = Turnstile()
    /// Rings are asked about their sessions one at a time.
    let questions = Turnstile()
    let disconnects = Disconnects()
    let keeper: HistoryKeeper
    let confirmations: ConfirmationKeeper

    /// Sorted by name.
    private(set) var services: [AppliedService] = []
    private var servicesByName: [String: AppliedService] = [:]
    private(set) var versions = ConfigurationVersions()
    private(set) var hasStarted = false
    var ringWatch: RingWatch
    /// Whether the state file holds the live configuration.
    private var isStateCurrent = false
    private(set) var isShuttingDown = false
    private var isCut = false
    /// Whether names have moved since they were last applied, and a turn to do so is waited for.
    private var namesArePending = false

    /// What a control plane is made of; tests replace some of it.
    struct Parts {
        var store: StateStore?
        /// For changes, which wait for it.
        var lookup: NameLookup
        /// For names in use, which are asked for again and again: it must not keep the other one waiting.
        var refresh: NameLookup
        var refreshDelay: NameWatch.Delay = { memory, pace in memory.delay(pace) }
        var check: HealthCheck
        var historyCalls = FileCalls.system
        var adoptionLimit = ChangeExecutor.adoptionLimit
        var events = EventLog()
        /// Without a turn for so long a ring is stuck.
        var ringStallMilliseconds: UInt64 = 10_000
        /// Ends the process with a diagnostic.
        var fault: (String) -> Void
    }

    init(loop: any EventLoop, dataPlane: sending any DataPlane, parts: sending Parts, logger: Logger) {
        self.loop = loop
        self.executor = loop.executor
        self.dataPlane = dataPlane
        events = parts.events
        ringWatch = RingWatch(count: dataPlane.ringCount, limitMilliseconds: parts.ringStallMilliseconds)
        let told = ControlEvents(parts.events)
        self.told = told
        resolver = AddressResolver(lookup: parts.lookup)
        changes = ChangeExecutor(
            loop: loop, dataPlane: dataPlane, store: parts.store, adoptionLimit: parts.adoptionLimit,
            fault: parts.fault
        )
        let logger = logger.of(.control)
        self.logger = logger
        keeper = HistoryKeeper(store: parts.store, logger: logger, calls: parts.historyCalls)
        confirmations = ConfirmationKeeper(loop: loop, store: parts.store, logger: logger, calls: parts.historyCalls)
        names = NameWatch(loop: loop, logger: logger.of(.names), lookup: parts.refresh, delay: parts.refreshDelay)
        health = HealthMonitor(
            loop: loop, logger: logger.of(.health), check: parts.check,
            observer: HealthMonitor.Observer(
                checked: { identity, result in
                    dataPlane.recordCheck(service: identity.service, backend: identity.backend, result: result)
                },
                changed: { identity, isUp in
                    dataPlane.setHealth(service: identity.service, backend: identity.backend, isUp: isUp)
                },
                told: { told.checked($0, isUp: $1, reason: $2) }
            )
        )
        traffic = TrafficMonitor(loop: loop, logger: logger.of(.health), told: told.judged) {
            dataPlane.judgeTraffic(at: $0)
        }
        observer = ServiceObserver(loop: loop)
    }

    // MARK: Changing

    /// Applies a change and returns the whole resulting configuration, once it is durable and every ring has taken it up.
    /// Nothing is changed where `condition` does not hold of the part that the change is about; no other change comes
    /// between asking that and making this one.
    func apply(
        _ change: ConfigurationChange, origin: ChangeOrigin, if condition: ChangeCondition = .none
    ) async throws(ChangeRefusal) -> LiveConfiguration {
        try await perform(change, origin: origin, if: condition, persists: true)
    }

    /// Applies the configuration of the start. It is not written back: the state file changes when somebody changes
    /// something. `isFromState` says that it came from there. Addresses that are in use may become free for so long: a
    /// process that was killed leaves its rings to the kernel, which lets go of their listeners a moment after its end.
    ///
    /// A backend whose name does not resolve is no reason not to start: DNS may be as dead as everything else after a
    /// power cut, and the other backends must not wait for it. It is left out until its name resolves.
    func start(
        with services: [ServiceConfiguration], isFromState: Bool, origin: ChangeOrigin,
        waitingForAddresses limit: TimeAmount = .zero
    ) async throws(ChangeRefusal) {
        await keeper.open()
        let pending = await confirmations.open(live: services, isFromState: isFromState)
        // The history may have lost it.
        if let pending { keeper.skip(id: pending.id) }
        names.moved = { [weak self, executor = ControlLoopExecutor(loop: loop)] in
            Task(executorPreference: executor) { await self?.applyNames() }
        }
        observer.due = { [weak self, executor = ControlLoopExecutor(loop: loop)] in
            Task(executorPreference: executor) { await self?.observe() }
        }
        confirmations.due = { [weak self, executor = ControlLoopExecutor(loop: loop)] id in
            Task(executorPreference: executor) { await self?.expire(id) }
        }
        var origin = origin
        if let pending, await revertAtStart(pending, services, waitingForAddresses: limit) {
            isStateCurrent = true
            origin = ControlPlane.expiry
        } else {
            try await begin(with: services, origin: origin, persists: false, waitingForAddresses: limit)
            isStateCurrent = isFromState
        }
        await rememberStart(origin)
        hasStarted = true
        if let pending {
            await resume(pending)
        }
        traffic.start()
        observe()
    }

    /// Applies the first configuration.
    func begin(
        with services: [ServiceConfiguration], origin: ChangeOrigin, persists: Bool,
        waitingForAddresses limit: TimeAmount
    ) async throws(ChangeRefusal) {
        let deadline = NIODeadline.now() + limit
        var isWaiting = false
        while true {
            do throws(ChangeRefusal) {
                _ = try await perform(
                    .replaceAll(services), origin: origin, persists: persists, toleratesSilence: true
                )
                return
            } catch {
                guard case .addressInUse = error, NIODeadline.now() < deadline else {
                    throw error
                }
                if !isWaiting {
                    isWaiting = true
                    logger.info(
                        "waiting for an address in use",
                        metadata: ["ms_max": "\(limit.nanoseconds / 1_000_000)"]
                    )
                }
                await loop.pause(.milliseconds(10))
            }
        }
    }

    private func perform(
        _ change: ConfigurationChange, origin: ChangeOrigin, if condition: ChangeCondition = .none, persists: Bool,
        toleratesSilence: Bool = false
    ) async throws(ChangeRefusal) -> LiveConfiguration {
        await turnstile.enter()
        defer { turnstile.leave() }
        return try await performInTurn(
            change, origin: origin, if: condition, persists: persists, toleratesSilence: toleratesSilence
        )
    }

    /// As `perform`, by somebody who is through the turnstile. `reverts` says that it takes back the change that waits to be
    /// confirmed.
    func performInTurn(
        _ change: ConfigurationChange, origin: ChangeOrigin, if condition: ChangeCondition = .none, persists: Bool,
        toleratesSilence: Bool = false, reverts: Bool = false
    ) async throws(ChangeRefusal) -> LiveConfiguration {
        // Asked here and not before: who waits while the shutdown begins has come too late.
        guard !isShuttingDown else {
            throw .shuttingDown
        }
        let start = NIODeadline.now()
        let current = services.map(\.configuration)
        let next = try judged(change, origin: origin, if: condition, reverts: reverts)
        let needsState = persists && changes.store != nil && !isStateCurrent
        if next.services == current, !needsState {
            return configuration()
        }
        let resolved = try await resolved(next, toleratesSilence: toleratesSilence)
        let pending = try await prepareToWait(origin, from: current, to: next, resolved, reverts: reverts)
        // Should it fail, what the file holds is written again even if the next change changes nothing.
        isStateCurrent = false
        let versionBefore = versions.whole
        let epoch: Epoch
        do throws(ChangeRefusal) {
            epoch = try await changes.execute(resolved.services, of: next, persists: persists) {
                take(resolved)
                versions.update(from: current, to: next.services)
                made(origin, from: current, to: next.services)
            }
        } catch {
            if hasStarted { told.refused(error, origin) }
            if pending != nil { await confirmations.withdraw() }
            throw error
        }
        isStateCurrent = persists
        await keeper.save()
        changed(
            AppliedChange(
                origin: origin, plan: ChangePlan(from: current, to: next.services), versionBefore: versionBefore,
                version: versions.whole, epoch: epoch,
                milliseconds: Double((NIODeadline.now() - start).nanoseconds / 10_000) / 100
            )
        )
        var live = configuration()
        if let pending {
            waits(pending)
            live.pending = pending
        }
        return live
    }

    var acceptsChanges: Bool { !isShuttingDown }

    /// What a change leads to, where its condition holds and whoever asks may make it.
    func judged(
        _ change: ConfigurationChange, origin: ChangeOrigin, if condition: ChangeCondition, reverts: Bool = false
    ) throws(ChangeRefusal) -> NextConfiguration {
        if let failure = condition.failure(versions.tag(of: change.part)) {
            throw .conditionFailed(failure)
        }
        let current = services.map(\.configuration)
        let next = try NextConfiguration(applying: change, prefix: origin.pointerPrefix, to: current)
        try origin.caller?.checkPermission(from: current, to: next.services)
        if !reverts {
            try checkPending(next, from: current, origin: origin)
        }
        return next
    }

    /// The same with its addresses, where they go together. `live` is what it would follow, if that is not what is live.
    func resolved(
        _ next: NextConfiguration, toleratesSilence: Bool = false, live: [String: AppliedService]? = nil
    ) async throws(ChangeRefusal) -> ResolvedConfiguration {
        let live = live ?? servicesByName
        let resolved = try await resolver.resolve(
            next, live: live, toleratesSilence: toleratesSilence
        ) { [names] in names.memory(of: $0) }
        let conflicts =
            ListenConflicts.issues(in: resolved.services, of: next)
            + SourceConflicts.issues(in: resolved.services, of: next, live: live)
        guard conflicts.isEmpty else {
            throw .invalid(conflicts)
        }
        return resolved
    }

    /// From here on this is the configuration.
    private func take(_ resolved: ResolvedConfiguration) {
        services = resolved.services
        servicesByName = Dictionary(uniqueKeysWithValues: services.map { ($0.configuration.name, $0) })
        var paces: [NameQuestion: NamePace] = [:]
        for service in services {
            for name in service.names {
                paces[name, default: NamePace()]
                    .include(intervalMilliseconds: service.configuration.resolveIntervalMilliseconds)
            }
        }
        names.update(paces, fresh: resolved.fresh)
        health.update(
            services.flatMap { service in
                HealthTarget.targets(
                    of: service.resolved.configuration, backendAddresses: service.resolved.backendAddresses,
                    checkAddresses: service.checkAddresses
                )
            }
        )
    }

    // MARK: Names

    /// Applies what names stand for now. Like a change in everything but that nobody asked for it: the configuration
    /// stays what it is, and nothing is written. What moves while it waits for its turn is applied with it.
    private func applyNames() async {
        guard !namesArePending else {
            return
        }
        namesArePending = true
        await turnstile.enter()
        defer { turnstile.leave() }
        namesArePending = false
        let next = resolver.refresh(services) { [names] in names.memory(of: $0) }
        guard !isShuttingDown, next != services else {
            return
        }
        do throws(ChangeRefusal) {
            // Nothing that could be refused: the listeners stay.
            let epoch = try await changes.execute(
                next, of: NextConfiguration(unchanged: services.map(\.configuration)), persists: false
            ) {
                take(ResolvedConfiguration(services: next, fresh: [:]))
            }
            logger.debug("names applied", metadata: ["epoch": "\(epoch)"])
        } catch {
            logger.error("what host names stand for could not be applied", metadata: ["reason": "\(error)"])
        }
    }

    /// A change was made: the one place where others are told of it. The configuration of the start is none.
    private func changed(_ change: AppliedChange) {
        var metadata: Logger.Metadata = [
            "change": "\(change.plan.summary)", "from": "\(change.origin.peer)",
            "request": "\(change.origin.request)", "epoch": "\(change.epoch)", "ms": "\(change.milliseconds)",
        ]
        metadata["token"] = change.origin.caller.map { "\($0.name)" }
        metadata["request_id"] = change.origin.identifier.map { "\($0)" }
        logger.info("configuration changed", metadata: metadata)
        if hasStarted {
            told.changed(change)
        }
    }

    // MARK: Ending

    /// Refuses changes from now on, stops accepting, and waits for the sessions to end: for `limit` at most, and not any longer
    /// when `cut` is called. Sessions that are left then are cut.
    func drain(limit: TimeAmount) async {
        isShuttingDown = true
        observer.waits.endAll(.shuttingDown)
        let deadline = NIODeadline.now() + limit
        // A change that has begun is carried through, for it may be durable already; but a disk that hangs does not
        // keep the process from ending.
        var isInside = turnstile.tryEnter()
        while !isInside, !isCut, NIODeadline.now() < deadline {
            await loop.pause(min(.milliseconds(1), deadline - .now()))
            isInside = turnstile.tryEnter()
        }
        await changes.adopted(dataPlane.stopAccepting())
        if isInside {
            // Who comes from here on is told that it is too late.
            turnstile.leave()
        }
        told.draining(sessions: dataPlane.activeSessions)
        logger.info(
            "draining: no new connections are taken",
            metadata: ["sessions": "\(dataPlane.activeSessions)", "limit_ms": "\(limit.nanoseconds / 1_000_000)"]
        )
        while dataPlane.activeSessions > 0, !isCut, NIODeadline.now() < deadline {
            await loop.pause(min(.milliseconds(10), deadline - .now()))
        }
        let left = dataPlane.activeSessions
        told.drained(sessions: left)
        if left > 0 {
            logger.warning(
                "cutting the sessions that are left",
                metadata: ["sessions": "\(left)", "reason": isCut ? "told so" : "the drain timeout has passed"]
            )
            dataPlane.cutSessions()
        } else {
            logger.info("drained: every session has ended")
        }
    }

    /// Ends a drain at once.
    func cut() {
        isCut = true
    }

    /// Makes no further health checks, and asks for no names any more.
    func stopHealthChecks() {
        health.stop()
        names.stop()
    }

    /// Stops the ring threads.
    func stop() {
        health.stop()
        names.stop()
        confirmations.stop()
        traffic.stop()
        observer.stop()
        dataPlane.stop()
    }
}

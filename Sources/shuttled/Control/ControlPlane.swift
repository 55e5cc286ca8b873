// Owns the configuration that is live, the one order of its changes, and the end of the data plane.
// Leaves to others: what a change leads to (NextConfiguration), finding addresses (AddressResolver), names that move
// (NameWatch), carrying it out (ChangeExecutor), checking backends (HealthMonitor), answering requests (Admin).

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

    private let logger: Logger
    private let dataPlane: any DataPlane
    private let resolver: AddressResolver
    private let changes: ChangeExecutor
    private let health: HealthMonitor
    private let names: NameWatch
    private let traffic: TrafficMonitor
    private let turnstile = Turnstile()

    /// Sorted by name.
    private var services: [AppliedService] = []
    private var servicesByName: [String: AppliedService] = [:]
    private var hasStarted = false
    /// Whether the state file holds the live configuration.
    private var isStateCurrent = false
    private var isShuttingDown = false
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
        var adoptionLimit = ChangeExecutor.adoptionLimit
        /// Ends the process with a diagnostic.
        var fault: (String) -> Void
    }

    init(loop: any EventLoop, dataPlane: sending any DataPlane, parts: sending Parts, logger: Logger) {
        self.loop = loop
        self.executor = loop.executor
        self.logger = logger
        self.dataPlane = dataPlane
        resolver = AddressResolver(lookup: parts.lookup)
        changes = ChangeExecutor(
            loop: loop, dataPlane: dataPlane, store: parts.store, adoptionLimit: parts.adoptionLimit,
            fault: parts.fault
        )
        names = NameWatch(loop: loop, logger: logger, lookup: parts.refresh, delay: parts.refreshDelay)
        health = HealthMonitor(
            loop: loop, logger: logger, check: parts.check,
            observer: HealthMonitor.Observer(
                checked: { identity, result in
                    dataPlane.recordCheck(service: identity.service, backend: identity.backend, result: result)
                },
                changed: { identity, isUp in
                    dataPlane.setHealth(service: identity.service, backend: identity.backend, isUp: isUp)
                }
            )
        )
        traffic = TrafficMonitor(loop: loop, logger: logger) { dataPlane.judgeTraffic(at: $0) }
    }

    // MARK: Reading

    /// The configuration that is live, sorted by name.
    func configuration() -> [ServiceConfiguration] {
        services.map(\.configuration)
    }

    /// What every service has done, sorted by name.
    func statistics() -> [ServiceReport] {
        // Committed in order of names, reported in order of commit.
        zip(services, dataPlane.statistics()).map { service, statistics in
            ServiceReport(of: service, statistics) { names.memory(of: $0) }
        }
    }

    /// What every ring says of itself.
    func ringStatistics() -> [RingStatistics] {
        dataPlane.ringStatistics()
    }

    func readiness() -> Readiness {
        Readiness(checks: [
            (
                "configuration", hasStarted,
                hasStarted ? "applied, services: \(services.count)" : "being applied"
            ),
            ("rings", true, "\(dataPlane.ringCount) rings, \(dataPlane.sessionCapacity) sessions at most"),
            (
                "accepting", !isShuttingDown,
                isShuttingDown ? "shutting down, \(dataPlane.activeSessions) sessions left" : "taking connections"
            ),
        ])
    }

    // MARK: Changing

    /// Applies a change and returns the whole resulting configuration, sorted by name, once it is durable and every ring
    /// has taken it up.
    func apply(
        _ change: ConfigurationChange, origin: ChangeOrigin
    ) async throws(ChangeRefusal) -> [ServiceConfiguration] {
        try await perform(change, origin: origin, persists: true)
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
        names.moved = { [weak self, executor = ControlLoopExecutor(loop: loop)] in
            Task(executorPreference: executor) { await self?.applyNames() }
        }
        let deadline = NIODeadline.now() + limit
        var isWaiting = false
        while true {
            do throws(ChangeRefusal) {
                _ = try await perform(.replaceAll(services), origin: origin, persists: false, toleratesSilence: true)
                break
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
        isStateCurrent = isFromState
        hasStarted = true
        traffic.start()
    }

    private func perform(
        _ change: ConfigurationChange, origin: ChangeOrigin, persists: Bool, toleratesSilence: Bool = false
    ) async throws(ChangeRefusal) -> [ServiceConfiguration] {
        await turnstile.enter()
        defer { turnstile.leave() }
        // Asked here and not before: who waits while the shutdown begins has come too late.
        guard !isShuttingDown else {
            throw .shuttingDown
        }
        let start = NIODeadline.now()
        let current = configuration()
        let next = try NextConfiguration(applying: change, prefix: origin.pointerPrefix, to: current)
        let needsState = persists && changes.store != nil && !isStateCurrent
        if next.services == current, !needsState {
            return current
        }
        let resolved = try await resolver.resolve(
            next, live: servicesByName, toleratesSilence: toleratesSilence
        ) { [names] in names.memory(of: $0) }
        let conflicts =
            ListenConflicts.issues(in: resolved.services, of: next)
            + SourceConflicts.issues(in: resolved.services, of: next, live: servicesByName)
        guard conflicts.isEmpty else {
            throw .invalid(conflicts)
        }
        // Should it fail, what the file holds is written again even if the next change changes nothing.
        isStateCurrent = false
        let epoch = try await changes.execute(resolved.services, of: next, persists: persists) {
            take(resolved)
        }
        isStateCurrent = persists
        log(ChangePlan(from: current, to: next.services), origin, epoch: epoch, since: start)
        return next.services
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
                next, of: NextConfiguration(unchanged: configuration()), persists: false
            ) {
                take(ResolvedConfiguration(services: next, fresh: [:]))
            }
            logger.debug("names applied", metadata: ["epoch": "\(epoch)"])
        } catch {
            logger.error("what host names stand for could not be applied", metadata: ["reason": "\(error)"])
        }
    }

    private func log(_ plan: ChangePlan, _ origin: ChangeOrigin, epoch: Epoch, since start: NIODeadline) {
        let milliseconds = Double((NIODeadline.now() - start).nanoseconds / 10_000) / 100
        logger.info(
            "configuration changed",
            metadata: [
                "change": "\(plan.summary)", "from": "\(origin.peer)", "request": "\(origin.request)",
                "epoch": "\(epoch)", "ms": "\(milliseconds)",
            ]
        )
    }

    // MARK: Ending

    /// Refuses changes from now on, stops accepting, and waits for the sessions to end: for `limit` at most, and not any longer
    /// when `cut` is called. Sessions that are left then are cut.
    func drain(limit: TimeAmount) async {
        isShuttingDown = true
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
        logger.info(
            "draining: no new connections are taken",
            metadata: ["sessions": "\(dataPlane.activeSessions)", "limit_ms": "\(limit.nanoseconds / 1_000_000)"]
        )
        while dataPlane.activeSessions > 0, !isCut, NIODeadline.now() < deadline {
            await loop.pause(min(.milliseconds(10), deadline - .now()))
        }
        let left = dataPlane.activeSessions
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
        traffic.stop()
        dataPlane.stop()
    }
}

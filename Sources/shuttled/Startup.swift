// Owns the order of a start: everything that may fail comes before everything that others could notice.
// Leaves to others: flags (Options), and the running process (Lifecycle).

import Glibc
import Logging
import NIOCore
import ShuttleEngine
import UnixSignals

/// What a start has made before there are threads: all of it may fail, and nobody has noticed anything.
///
/// Unchecked: the main thread hands it over to the control loop and does nothing but wait from then on.
struct Prepared: @unchecked Sendable {
    let watched: (path: String, identity: FileIdentity?)?
    let tokens: Startup.Tokens?
    let source: ConfigurationSource
    let manager: ManagerEnvironment
    let listener: AdminListener
    /// No thread of its runs yet.
    let engine: Engine
}

/// Starts shuttled: `prepare` on the only thread that there is, `run` on the control loop.
struct Startup {
    /// How long addresses that are in use may take to become free; longer and another program has them.
    static let addressLimit: TimeAmount = .seconds(2)

    let options: Options
    /// Nil where no service manager wants to be told.
    let managerSocket: ManagerSocket?
    let logger: Logger

    // MARK: Before there are threads

    /// Reads the files, binds the admin address, makes the rings, and becomes the user of -user.
    ///
    /// Files are read as that user: what can be read now can be read again at a reload. The admin address and the rings are made
    /// before, with all rights that there are; listeners of services after, with the one that is kept
    /// (docs/decisions/0035-identity.md).
    func prepare(_ manager: ManagerEnvironment) throws(StartFailure) -> Prepared {
        ProcessSetup.ignoreBrokenPipes()
        let change = try StartFailure.of { () throws(IdentityRefusal) in
            try Identity.forbidNewPrivileges()
            return try IdentityChange(user: options.user, group: options.group, being: .ofThisThread())
        }
        let (watched, tokens, source) = try Identity.asUser(change?.changed) { () throws(StartFailure) in
            (
                try watchedFile(), try readTokens(),
                try ConfigurationSource.load(config: options.config, state: options.state)
            )
        } orFailure: {
            StartFailure($0)
        }
        source.tell(logger)
        let handed = try StartFailure.ofHanded { () throws(HandedSocketsRefusal) in
            try HandedSockets.take(manager.socketNames)
        }
        let listener = try openAdmin(for: change?.changed, handed)
        do throws(StartFailure) {
            try StartFailure.ofHanded { () throws(HandedSocketsRefusal) in
                try handed.check(source.services, adminAddress: listener.handedAddress, logger: logger)
            }
            let limit = ProcessSetup.raiseDescriptorLimit()
            logger.debug("limit of open files", metadata: ["before": "\(limit.before)", "now": "\(limit.after)"])
            let engine = try makeEngine(handed)
            try StartFailure.of { () throws(IdentityRefusal) in try change?.make() }
            tellIdentity(change)
            return Prepared(
                watched: watched, tokens: tokens, source: source, manager: manager, listener: listener, engine: engine)
        } catch {
            // The socket file would outlive the process.
            listener.close()
            throw error
        }
    }

    private func tellIdentity(_ change: IdentityChange?) {
        let now = Privileges.ofThisThread()
        for line in now.lines {
            logger.debug("privileges", metadata: ["report": "\(line)"])
        }
        guard let change else {
            return
        }
        logger.info(
            "user changed",
            metadata: [
                "user": "\(change.wanted.userName)", "group": "\(change.wanted.groupName)",
                "capabilities": "\(now.effective.text)",
            ])
        if !now.canBindLowPorts {
            logger.warning(
                "ports below \(now.unprivilegedPortStart) cannot be listened on",
                metadata: [
                    "reason": "there was no CAP_NET_BIND_SERVICE to keep",
                    "remedy": "start it with that capability, or lower net.ipv4.ip_unprivileged_port_start",
                ])
        }
    }

    // MARK: On the control loop

    /// Goes on from what was prepared, runs until told to stop, stops.
    func run(_ prepared: Prepared, on loop: any EventLoop, of group: any EventLoopGroup) async throws {
        let (watched, tokens, source, listener) = (
            prepared.watched, prepared.tokens, prepared.source, prepared.listener
        )
        // First of all: a SIGHUP that comes early must not end the process. Those that came before are kept (Shuttled).
        let signals = await UnixSignalsSequence(trapping: Lifecycle.signals)
        let thread = FileThread(loop: loop)
        // Nobody else has it: see Prepared.
        nonisolated(unsafe) let engine = prepared.engine
        let capacity = engine.report.sessionCapacity
        let control = startControl(
            engine, store: source.stateFile.map { StateStore(file: $0, thread: thread) },
            stallMilliseconds: ManagerReports.stallLimitMilliseconds(
                watchdogMicroseconds: prepared.manager.watchdogMicroseconds), on: loop)
        let demo: Demo?
        do {
            demo = try await apply(source, control, on: loop)
        } catch {
            listener.close()
            await control.stop()
            throw error
        }
        let reload = ConfigurationReload(
            control: control, thread: thread, configPath: options.config, statePath: options.state, logger: logger
        )
        let tokenReload = tokens.map { tokens in
            TokenReload(
                tokens: tokens.inForce, path: tokens.path, onUnixSocket: options.isOnUnixSocket, thread: thread,
                events: control.events, logger: logger
            )
        }
        let watches = [
            watched.map { file in
                FileWatch(
                    path: file.path, kind: "configuration file", seen: file.identity, loop: loop, thread: thread,
                    logger: logger
                ) { await reload.run(for: .watch) }
            },
            tokens.map { tokens in
                FileWatch(
                    path: tokens.path, kind: "file of tokens", seen: tokens.identity, loop: loop, thread: thread,
                    logger: logger
                ) { await tokenReload?.run(for: .watch) }
            },
        ].compactMap { $0 }
        for watch in watches {
            await watch.start()
        }
        let sink = (options.accessLog ?? .standardOutput).makeSink()
        // It may come to be there later, and sessions are worth more than their log.
        if let problem = sink.reopen() {
            logger.warning("the access log cannot be opened", metadata: ["reason": "\(problem)"])
        }
        let accessLog = AccessLog(
            source: control, sink: sink, format: options.accessLogFormat,
            counts: control.accessLogCounts, loop: loop, logger: logger
        )
        let drainLimit = TimeAmount.milliseconds(Int64(options.drainTimeout))
        let reports = ManagerReports(
            control: control, socket: managerSocket, watchdogMicroseconds: prepared.manager.watchdogMicroseconds,
            drainLimit: drainLimit, loop: loop, logger: logger
        )
        try await Lifecycle(
            control: control,
            accessLog: accessLog,
            admin: try admin(
                listener, group, control, demo, tokens?.inForce, reports,
                services: await control.configuration().services.count, capacity: capacity
            ),
            manager: reports,
            drainLimit: drainLimit,
            reload: reload,
            tokenReload: tokenReload,
            signals: signals,
            executor: ControlLoopExecutor(loop: loop),
            logger: logger
        ).run()
        for watch in watches {
            await watch.stop()
        }
    }

    /// The file to watch, as it is before it is read.
    private func watchedFile() throws(StartFailure) -> (path: String, identity: FileIdentity?)? {
        guard options.configWatch, let path = options.config else {
            return nil
        }
        let identity = FileIdentity(of: path)
        guard identity?.isRegular != false else {
            throw StartFailure(
                .usage, "-config-watch needs a file that can be read again; \(path) is none: name a regular file"
            )
        }
        return (path, identity)
    }

    /// Tokens as they are in their file, which is looked at before it is read.
    struct Tokens {
        var path: String
        var identity: FileIdentity?
        var inForce: AccessTokens
    }

    private func readTokens() throws(StartFailure) -> Tokens? {
        guard let path = options.tokenFile else {
            return nil
        }
        let identity = FileIdentity(of: path)
        do throws(TokenFileError) {
            let list = try TokenFile.read(path, onUnixSocket: options.isOnUnixSocket)
            logger.info("tokens read", metadata: ["file": "\(path)", "tokens": "\(list.summary)"])
            return Tokens(path: path, identity: identity, inForce: AccessTokens(list))
        } catch {
            throw StartFailure(.badConfiguration, lines: error.lines)
        }
    }

    /// The port of the admin API is held from here on; clients that come early wait until the API runs.
    private func openAdmin(for wanted: WantedIdentity?, _ handed: HandedSockets) throws(StartFailure) -> AdminListener {
        guard let address = try? options.adminAddress, let mode = try? options.socketMode else {
            preconditionFailure("flags that were not validated")
        }
        do throws(AdminListenFailure) {
            let listener = try AdminListener(
                opening: address, allowsOtherHosts: options.tokenFile != nil,
                access: SocketFileAccess(mode: mode, owner: wanted?.user, group: wanted?.group), handed: handed
            )
            if listener.isOpenToOthers {
                logger.warning(
                    "the admin API can be reached from other machines, and its tokens travel in clear text",
                    metadata: [
                        "admin": "\(listener.boundAddress)",
                        "remedy": "let only a private network reach it, or something that speaks TLS in front of it",
                    ]
                )
            }
            return listener
        } catch {
            // The demo takes what is free, unless it was told.
            if options.demo, options.http == nil, error.cause == .occupied,
                let any = try? AdminAddress(parsing: "127.0.0.1:0"), let listener = try? AdminListener(opening: any)
            {
                return listener
            }
            throw StartFailure(error.cause == .notAllowed ? .usage : .cannotListen, error.description)
        }
    }

    private func makeEngine(_ handed: HandedSockets) throws(StartFailure) -> Engine {
        let engine: Engine
        do throws(EngineUnavailable) {
            engine = try Engine(
                options: Engine.Options(
                    ringCount: options.rings ?? Engine.usableCPUs(), recentSessionsPerRing: options.recent,
                    recordsPerRingMin: options.accessLog == nil ? 1024 : AccessLog.recordsPerRing,
                    handed: handed.sockets))
        } catch {
            throw StartFailure(.engineUnavailable, error.description)
        }
        for line in engine.report.lines {
            logger.of(.engine).debug("engine", metadata: ["report": "\(line)"])
        }
        return engine
    }

    private func startControl(
        _ engine: sending Engine, store: StateStore?, stallMilliseconds: UInt64, on loop: any EventLoop
    ) -> ControlPlane {
        engine.start()
        let logger = logger
        let server = try? options.resolverAddress
        let (lookup, refresh) = (SystemNames(loop: loop, server: server), SystemNames(loop: loop, server: server))
        let check = ActiveCheck(loop: loop)
        let parts = ControlPlane.Parts(
            store: store,
            lookup: { await lookup.answers(to: $0) },
            refresh: { await refresh.answers(to: $0) },
            check: { check.check($0) },
            ringStallMilliseconds: stallMilliseconds,
            fault: { reason in
                logger.critical("\(reason)")
                // Nothing is tidied up: what would do it cannot be trusted.
                _exit(ExitStatus.fault.rawValue)
            }
        )
        return ControlPlane(loop: loop, dataPlane: EngineDataPlane(engine), parts: parts, logger: logger)
    }

    /// Applies the configuration of the start.
    private func apply(
        _ source: ConfigurationSource, _ control: ControlPlane, on loop: any EventLoop
    ) async throws -> Demo? {
        guard options.demo else {
            do throws(ChangeRefusal) {
                try await control.start(
                    with: source.services, isFromState: source.isState,
                    origin: ChangeOrigin(
                        peer: source.file?.path ?? "no file", request: "start",
                        pointerPrefix: source.file?.servicesPointer ?? ""
                    ),
                    waitingForAddresses: Startup.addressLimit
                )
            } catch {
                throw source.failure(error)
            }
            return nil
        }
        var demo = try await Demo.start(on: loop)
        let origin = ChangeOrigin(peer: "demo", request: "start")
        do throws(ChangeRefusal) {
            try await control.start(with: demo.services, isFromState: false, origin: origin)
        } catch {
            guard case .addressInUse = error, demo.moveToFreePort() else {
                throw source.failure(error)
            }
            do throws(ChangeRefusal) {
                try await control.start(with: demo.services, isFromState: false, origin: origin)
            } catch {
                throw source.failure(error)
            }
        }
        return demo
    }

    private func admin(
        _ listener: AdminListener, _ group: any EventLoopGroup, _ control: ControlPlane, _ demo: Demo?,
        _ tokens: AccessTokens?, _ reports: ManagerReports, services: Int, capacity: Int
    ) throws -> AdminServer {
        let logger = logger
        let responder = AdminResponder(
            control: control, hosts: try options.allowedHosts, tokens: tokens, logLevels: .process)
        return AdminServer(listener: listener, responder: responder, group: group, logger: logger) { address in
            control.events.post(
                .start,
                ["version": .text(Version.number), "admin": .text(address), "services": .number(services)]
            )
            logger.info(
                "ready",
                metadata: [
                    "admin": "\(address)", "services": "\(services)", "sessions_max": "\(capacity)",
                    "version": "\(Version.number)",
                ]
            )
            reports.ready()
            if let demo {
                StandardOutput.write(demo.introduction(admin: address))
            }
        }
    }
}

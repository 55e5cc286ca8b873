// Owns the order of a start: everything that may fail comes before everything that others could notice.
// Leaves to others: flags (Options), and the running process (Lifecycle).

import Glibc
import Logging
import NIOCore
import ShuttleEngine
import UnixSignals

/// Starts shuttled on the control loop.
struct Startup {
    /// How long addresses that are in use may take to become free; longer and another program has them.
    static let addressLimit: TimeAmount = .seconds(2)

    let options: Options
    let group: any EventLoopGroup
    let loop: any EventLoop
    let logger: Logger

    /// Starts, runs until told to stop, stops.
    func run() async throws {
        // First of all: a SIGHUP that comes early must not end the process.
        let signals = await UnixSignalsSequence(trapping: Lifecycle.signals)
        ProcessSetup.ignoreBrokenPipes()
        let watched = try watchedFile()
        let tokens = try readTokens()
        let source = try ConfigurationSource.load(config: options.config, state: options.state)
        source.tell(logger)
        let listener = try openAdmin()
        let limit = ProcessSetup.raiseDescriptorLimit()
        logger.debug("limit of open files", metadata: ["before": "\(limit.before)", "now": "\(limit.after)"])
        let thread = FileThread(loop: loop)
        let control: ControlPlane
        let capacity: Int
        do {
            (control, capacity) = try startControl(store: source.stateFile.map { StateStore(file: $0, thread: thread) })
        } catch {
            // The socket file would outlive the process.
            listener.close()
            throw error
        }
        let demo: Demo?
        do {
            demo = try await apply(source, control)
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
        try await Lifecycle(
            control: control,
            accessLog: accessLog,
            admin: try admin(
                listener, control, demo, tokens?.inForce,
                services: await control.configuration().services.count, capacity: capacity
            ),
            drainLimit: .milliseconds(Int64(options.drainTimeout)),
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
    private struct Tokens {
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
    private func openAdmin() throws -> AdminListener {
        let address = try options.adminAddress
        let mode = try options.socketMode
        do throws(AdminListenFailure) {
            let listener = try AdminListener(
                opening: address, allowsOtherHosts: options.tokenFile != nil, mode: mode
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

    private func startControl(store: StateStore?) throws -> (ControlPlane, capacity: Int) {
        let engine: Engine
        do throws(EngineUnavailable) {
            engine = try Engine(
                options: Engine.Options(
                    ringCount: options.rings ?? Engine.usableCPUs(), recentSessionsPerRing: options.recent,
                    recordsPerRingMin: options.accessLog == nil ? 1024 : AccessLog.recordsPerRing))
        } catch {
            throw StartFailure(.engineUnavailable, error.description)
        }
        let report = engine.report
        for line in report.lines {
            logger.of(.engine).debug("engine", metadata: ["report": "\(line)"])
        }
        engine.start()
        let logger = logger
        let server = try options.resolverAddress
        let (lookup, refresh) = (SystemNames(loop: loop, server: server), SystemNames(loop: loop, server: server))
        let check = ActiveCheck(loop: loop)
        let parts = ControlPlane.Parts(
            store: store,
            lookup: { await lookup.answers(to: $0) },
            refresh: { await refresh.answers(to: $0) },
            check: { check.check($0) },
            fault: { reason in
                logger.critical("\(reason)")
                // Nothing is tidied up: what would do it cannot be trusted.
                _exit(ExitStatus.fault.rawValue)
            }
        )
        let control = ControlPlane(
            loop: loop, dataPlane: EngineDataPlane(engine), parts: parts, logger: logger
        )
        return (control, report.sessionCapacity)
    }

    /// Applies the configuration of the start.
    private func apply(_ source: ConfigurationSource, _ control: ControlPlane) async throws -> Demo? {
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
        _ listener: AdminListener, _ control: ControlPlane, _ demo: Demo?, _ tokens: AccessTokens?, services: Int,
        capacity: Int
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
            if let demo {
                StandardOutput.write(demo.introduction(admin: address))
            }
        }
    }
}

// Owns the program's entry: from flags to an exit code, everything in between on the one control loop.
// Leaves to others: flags (Options), starting (Startup), running (Lifecycle).

import ArgumentParser
import Foundation
import Glibc
import Logging
import NIOCore
import NIOPosix
import ShuttleEngine

@main
enum Shuttled {
    static func main() {
        if CtlCommand.isMeant(by: CommandLine.arguments) {
            CtlCommand.main(of: CommandLine.arguments)
        }
        let options: Options
        do {
            options = try Options.parsed(Array(CommandLine.arguments.dropFirst()))
        } catch {
            Options.exit(withError: error)
        }
        if options.version {
            StandardOutput.write("\(Version.text)\n")
            return
        }
        Log.bootstrap(format: options.logFormat, rules: options.logLevel)
        let logger = Logger(label: "shuttled").of(.process)
        let managerSocket = options.check ? nil : ManagerSocket.ofEnvironment(logger)
        let work: Work
        do {
            work = try prepare(options, managerSocket)
        } catch {
            managerSocket?.tellFailure(error.lines)
            error.tell(format: options.logFormat, logger: logger)
            exit(error.status.rawValue)
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let end = loop.makePromise(of: ExitStatus.self)
        Task(executorPreference: ControlLoopExecutor(loop: loop)) {
            end.succeed(await run(work, options, group, loop))
        }
        // The main thread has nothing to do but to wait; nothing fails the promise.
        let status = (try? end.futureResult.wait()) ?? .fault
        exit(status.rawValue)
    }

    /// What is done before there are threads, since it concerns all of them that come later.
    private enum Work: Sendable {
        case check(MachineCheck)
        case start(Startup, Prepared)
    }

    private static func prepare(_ options: Options, _ managerSocket: ManagerSocket?) throws(StartFailure) -> Work {
        if options.check {
            return .check(
                try MachineCheck(
                    ringCount: options.rings ?? Engine.usableCPUs(), user: options.user, group: options.group))
        }
        ProcessSetup.keepEarlySignals()
        let startup = Startup(
            options: options, managerSocket: managerSocket, logger: Logger(label: "shuttled").of(.process))
        let manager: ManagerEnvironment
        do throws(ManagerEnvironment.Invalid) {
            manager = try ManagerEnvironment(ProcessInfo.processInfo.environment, process: getpid())
        } catch {
            throw StartFailure(.usage, error.text)
        }
        return .start(startup, try startup.prepare(manager))
    }

    private static func run(
        _ work: Work, _ options: Options, _ group: any EventLoopGroup, _ loop: any EventLoop
    ) async -> ExitStatus {
        let startup: Startup
        let prepared: Prepared
        switch work {
        case .check(let check): return await finish(check, options, loop)
        case .start(let first, let second): (startup, prepared) = (first, second)
        }
        let logger = Logger(label: "shuttled").of(.process)
        let handler = LineLogHandler(
            label: "shuttled", format: options.logFormat, levels: .process, sink: .standardError, gate: .process)
        let rests = Log.tellRests(of: handler, every: .seconds(1), on: loop)
        defer {
            rests.cancel()
            handler.tellRests(endingAll: true)
        }
        do {
            try await startup.run(prepared, on: loop, of: group)
            return .success
        } catch let failure as StartFailure {
            startup.managerSocket?.tellFailure(failure.lines)
            failure.tell(format: options.logFormat, logger: logger)
            return failure.status
        } catch {
            logger.critical("ended unexpectedly", metadata: ["error": "\(error)"])
            return .fault
        }
    }

    private static func finish(_ made: MachineCheck, _ options: Options, _ loop: any EventLoop) async -> ExitStatus {
        var check = made
        let lookup = SystemNames(loop: loop, server: try? options.resolverAddress)
        await check.checkFiles(config: options.config, state: options.state) { await lookup.answers(to: $0) }
        if let path = options.tokenFile {
            check.checkTokens(path, onUnixSocket: options.isOnUnixSocket)
        }
        check.addMachine()
        StandardOutput.write(check.lines.map { "\($0)\n" }.joined())
        return check.isGood ? .success : .checkFailed
    }
}

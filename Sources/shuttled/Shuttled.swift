// Owns the program's entry: from flags to an exit code, everything in between on the one control loop.
// Leaves to others: flags (Options), starting (Startup), running (Lifecycle).

import ArgumentParser
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
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let end = loop.makePromise(of: ExitStatus.self)
        Task(executorPreference: ControlLoopExecutor(loop: loop)) {
            end.succeed(await run(options, group, loop))
        }
        // The main thread has nothing to do but to wait; nothing fails the promise.
        let status = (try? end.futureResult.wait()) ?? .fault
        exit(status.rawValue)
    }

    private static func run(_ options: Options, _ group: any EventLoopGroup, _ loop: any EventLoop) async -> ExitStatus
    {
        if options.check {
            return await check(options, loop)
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
            try await Startup(options: options, group: group, loop: loop, logger: logger).run()
            return .success
        } catch let failure as StartFailure {
            failure.tell(format: options.logFormat, logger: logger)
            return failure.status
        } catch {
            logger.critical("ended unexpectedly", metadata: ["error": "\(error)"])
            return .fault
        }
    }

    private static func check(_ options: Options, _ loop: any EventLoop) async -> ExitStatus {
        var check = MachineCheck()
        let lookup = SystemNames(loop: loop, server: try? options.resolverAddress)
        await check.checkFiles(config: options.config, state: options.state) { await lookup.answers(to: $0) }
        if let path = options.tokenFile {
            check.checkTokens(path, onUnixSocket: options.isOnUnixSocket)
        }
        check.checkMachine(ringCount: options.rings ?? Engine.usableCPUs())
        StandardOutput.write(check.lines.map { "\($0)\n" }.joined())
        return check.isGood ? .success : .checkFailed
    }
}

// Owns `shuttled ctl` as a whole: its commands, and the way from their arguments to an exit code.
// Leaves to others: each command, reaching the server (AdminClient).

import ArgumentParser
import Glibc
import NIOPosix

/// The client of the admin API. Everything in it happens on the main thread, one after the other; only the connection is
/// on a loop of its own.
struct CtlCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ctl",
        _superCommandName: "shuttled",
        abstract: "Asks and changes a running shuttled.",
        discussion: """
            Every flag works with one dash and with two. PATH is SERVICE, SERVICE/BACKEND, or config for all of the \
            configuration. $SHUTTLE_ADMIN says where shuttled is, $SHUTTLE_TOKEN has the token to show.
            Exit codes: \(ClientStatus.list).
            """,
        subcommands: [
            GetCommand.self, WatchCommand.self, EventsCommand.self, HistoryCommand.self, HealthCommand.self,
            SetCommand.self, PatchCommand.self, PutCommand.self, DeleteCommand.self, DrainCommand.self,
            ReadyCommand.self, WaitCommand.self, RestoreCommand.self, ConfirmCommand.self, RevertCommand.self,
            ConnectionsCommand.self, KillCommand.self, ExplainCommand.self,
        ],
        helpNames: HelpFlag.names
    )

    // Here as well, so that the flags may stand before the command.
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        throw ValidationError("name a command, such as: shuttled ctl get")
    }
}

/// What a command works with.
struct ClientSession: Sendable {
    let client: AdminClient
    let output: ClientOutput
    let format: OutputFormat
}

/// A command of the client.
protocol ClientCommand: ParsableCommand {
    var connection: ConnectionOptions { get }

    func perform(_ session: ClientSession) throws(ClientFailure)
}

extension ClientCommand {
    /// Reaches the server that the flags name.
    func session(_ group: MultiThreadedEventLoopGroup) throws -> ClientSession {
        ClientSession(
            client: AdminClient(
                address: try connection.address, token: try connection.token(), timeout: connection.timeout.amount,
                group: group
            ),
            output: ClientOutput(), format: connection.output
        )
    }

    func run() throws {
        // A reader that has left is an error of the write, which is told apart.
        ProcessSetup.ignoreBrokenPipes()
        do {
            try perform(session(MultiThreadedEventLoopGroup(numberOfThreads: 1)))
        } catch let failure as ClientFailure {
            LogSink.standardError.write(Array(failure.text.utf8))
            throw ExitCode(failure.status.rawValue)
        }
    }
}

extension CtlCommand {
    /// Whether the program was called to be the client; the arguments begin with the program's name.
    static func isMeant(by arguments: [String]) -> Bool { arguments.dropFirst().first == configuration.commandName }

    /// Runs the command that the arguments name, and ends the process. It is parsed apart from the daemon's flags: `-http`
    /// means one thing there and another here.
    static func main(of arguments: [String]) -> Never {
        do {
            var command = try parseAsRoot(HelpFlag.spelledOut(Array(arguments.dropFirst(2))))
            try command.run()
            Glibc.exit(ClientStatus.done.rawValue)
        } catch {
            exit(withError: error)
        }
    }
}

// Owns the command line: which flags there are, what they may say, and what is said of one that cannot be used.
// Leaves to others: acting on them (Shuttled), whether files and addresses are what they should be.

import ArgumentParser
import Logging
import NIOCore
import ShuttleEngine

/// The flags, each with one dash (as the original has them) and with two.
struct Options: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shuttled",
        abstract: "A TCP proxy and load balancer that is reconfigured live over HTTP.",
        discussion: """
            Every flag works with one dash and with two. Without -state, changes made over HTTP live in memory.
            Exit codes: 0 clean stop, 64 usage, 65 bad configuration, 69 io_uring cannot be used here, \
            71 an address could not be bound at start.
            `shuttled ctl` asks and changes one that runs. `shuttled --generate-completion-script bash` (or zsh, fish) prints \
            what a shell completes all of this by.
            """,
        // For the help and the completions; it is parsed apart (CtlCommand).
        subcommands: [CtlCommand.self],
        helpNames: HelpFlag.names
    )

    @Option(
        name: [.customLong("config", withSingleDash: true), .long],
        help: ArgumentHelp(
            "Default configuration, read at start when there is no state file; never written.", valueName: "file"
        ),
        completion: .file()
    )
    var config: String?

    @Flag(
        name: [.customLong("config-watch", withSingleDash: true), .customLong("config-watch")],
        help: "Read -config again whenever its file changes, as at SIGHUP; not with -state."
    )
    var configWatch = false

    @Option(
        name: [.customLong("state", withSingleDash: true), .long],
        help: ArgumentHelp(
            "Live configuration, rewritten at every change; wins over -config when it exists and is not empty.",
            valueName: "file"
        ),
        completion: .file()
    )
    var state: String?

    @Option(
        name: [.customLong("http", withSingleDash: true), .long],
        help: ArgumentHelp(
            "Admin address: host:port, or the path of a unix socket; not on loopback only with -token-file. "
                + "(default: 127.0.0.1:9090)",
            valueName: "address"
        )
    )
    var http: String?

    @Option(
        name: [.customLong("http-mode", withSingleDash: true), .customLong("http-mode")],
        help: ArgumentHelp(
            "Permissions of the unix socket that -http names, such as 0660 to let its group in. (default: 0600)",
            valueName: "mode"
        )
    )
    var httpMode: String?

    @Option(
        name: [.customLong("http-host", withSingleDash: true), .long], parsing: .singleValue,
        help: ArgumentHelp("A further host name that admin requests may carry; repeatable.", valueName: "name")
    )
    var httpHost: [String] = []

    @Option(
        name: [.customLong("token-file", withSingleDash: true), .customLong("token-file")],
        help: ArgumentHelp(
            "Who may call the admin API, in lines of NAME ROLE TOKEN, with the role read, operate or write; read again as "
                + "it changes. (default: whoever reaches it may do everything)",
            valueName: "file"
        )
    )
    var tokenFile: String?

    @Option(
        name: [.customLong("user", withSingleDash: true), .long],
        help: ArgumentHelp(
            "Serve as this user, by name or number, once the admin address is bound and the rings are made; of root's rights only "
                + "that to listen on low ports is kept.",
            valueName: "user"
        )
    )
    var user: String?

    @Option(
        name: [.customLong("group", withSingleDash: true), .long],
        help: ArgumentHelp("The group with -user. (default: the user's primary one)", valueName: "group")
    )
    var group: String?

    @Option(
        name: [.customLong("resolver", withSingleDash: true), .long],
        help: ArgumentHelp(
            "DNS server to ask for host names, such as 10.0.0.53:53. (default: those of /etc/resolv.conf)",
            valueName: "address"
        )
    )
    var resolver: String?

    @Option(
        name: [.customLong("rings", withSingleDash: true), .long],
        parsing: .unconditional,
        help: ArgumentHelp("Number of ring threads. (default: one for each usable CPU)", valueName: "count")
    )
    var rings: Int?

    @Option(
        name: [.customLong("recent", withSingleDash: true), .long],
        parsing: .unconditional,
        help: ArgumentHelp(
            "Sessions that each ring remembers when they have ended, 128 bytes each, for /v1/recent; 0 for none.",
            valueName: "count"
        )
    )
    var recent: Int = 1000

    @Option(
        name: [.customLong("access-log", withSingleDash: true), .customLong("access-log")],
        help: ArgumentHelp(
            "Where services with an access_log have their sessions logged: \(AccessLogDestination.forms). "
                + "(default: stdout)",
            valueName: "place"
        ),
        transform: Options.place
    )
    var accessLog: AccessLogDestination?

    @Option(
        name: [.customLong("access-log-format", withSingleDash: true), .customLong("access-log-format")],
        help: ArgumentHelp(
            "Form of lines of the access log: \(Options.list(AccessLogFormat.allCases.map(\.rawValue))). (default: json)",
            valueName: "format"
        ),
        completion: .list(AccessLogFormat.allCases.map(\.rawValue)),
        transform: Options.accessLogFormat
    )
    var accessLogFormat: AccessLogFormat = .json

    @Option(
        name: [.customLong("log-level", withSingleDash: true), .long],
        help: ArgumentHelp(
            "Least severe lines to log: \(LogRules.levelList); also of a part of the program, such as "
                + "info,health=debug, with the parts \(LogComponent.list). (default: info)",
            valueName: "level"
        ),
        completion: .list(LogRules.levels.map(\.rawValue)),
        transform: Options.logRules
    )
    var logLevel = LogRules()

    @Option(
        name: [.customLong("log-format", withSingleDash: true), .long],
        help: ArgumentHelp(
            "Form of log lines: \(Options.list(LogFormat.allCases.map(\.rawValue))). (default: text)",
            valueName: "format"
        ),
        completion: .list(LogFormat.allCases.map(\.rawValue)),
        transform: Options.format
    )
    var logFormat: LogFormat = .text

    @Option(
        name: [.customLong("drain-timeout", withSingleDash: true), .long],
        parsing: .unconditional,
        help: ArgumentHelp("How long sessions get to finish after SIGTERM.", valueName: "milliseconds")
    )
    var drainTimeout: Int = 30_000

    @Flag(
        name: [.customLong("check", withSingleDash: true), .long],
        help: "Validate the files and the machine, print what is wrong, exit 0 or 1."
    )
    var check = false

    @Flag(
        name: [.customLong("demo", withSingleDash: true), .long],
        help: "Start two small HTTP backends with a service in front, and print what to try."
    )
    var demo = false

    @Flag(name: [.customLong("version", withSingleDash: true), .long], help: "Print the version.")
    var version = false

    /// The flags of the process. What stands before `ctl` would be taken for the daemon's.
    static func parsed(_ arguments: [String]) throws -> Options {
        let command = try parseAsRoot(HelpFlag.spelledOut(arguments))
        if command is any ClientCommand || command is CtlCommand {
            throw ValidationError("ctl comes first, its flags behind it: shuttled ctl get -http ADDRESS")
        }
        guard let options = command as? Options else {
            // Help of a command, which prints itself.
            var command = command
            try command.run()
            throw CleanExit.message("")
        }
        return options
    }

    func validate() throws {
        for (flag, value) in [("config", config), ("state", state), ("token-file", tokenFile)]
        where value?.isEmpty == true {
            throw ValidationError("-\(flag) is empty; name a file, or leave the flag out")
        }
        if let group, user == nil {
            throw ValidationError("-group is \(Quoted(group)) without a user; name one by -user, or leave it out")
        }
        if demo, config != nil || state != nil {
            throw ValidationError("-demo brings a configuration of its own; leave out -config and -state")
        }
        if demo, tokenFile != nil {
            throw ValidationError("-demo prints requests without a token; leave out -demo or -token-file")
        }
        if configWatch, config == nil {
            throw ValidationError("-config-watch has no file to watch; name one with -config, or leave it out")
        }
        if configWatch, state != nil {
            throw ValidationError(
                "-config-watch and -state exclude each other: the state file is the configuration, and what is written to "
                    + "-config would not count; leave out one of them"
            )
        }
        if demo, check {
            throw ValidationError("-check and -demo exclude each other; give one of them")
        }
        if let rings, !Engine.Options.ringCounts.contains(rings) {
            throw ValidationError("-rings is \(rings); it must be \(Options.range(Engine.Options.ringCounts))")
        }
        if !Engine.Options.recentSessionCounts.contains(recent) {
            throw ValidationError(
                "-recent is \(recent); it must be \(Options.range(Engine.Options.recentSessionCounts))")
        }
        if !ConfigurationRanges.timeoutMilliseconds.contains(drainTimeout) {
            throw ValidationError(
                "-drain-timeout is \(drainTimeout); it must be \(Options.range(ConfigurationRanges.timeoutMilliseconds)) "
                    + "(milliseconds)"
            )
        }
        _ = try adminAddress
        _ = try socketMode
        _ = try allowedHosts
        _ = try resolverAddress
    }

    /// The DNS server to ask, nil for those of the machine.
    var resolverAddress: ShuttleEngine.SocketAddress? {
        get throws {
            guard let resolver else {
                return nil
            }
            do throws(EndpointError) {
                if case .host(let host, let port) = try Endpoint(parsing: resolver),
                    let address = NumericHost.address(host, port: port)
                {
                    return address
                }
            } catch {
                throw ValidationError("-resolver is \(Quoted(resolver)); \(error.explanation)")
            }
            throw ValidationError(
                "-resolver is \(Quoted(resolver)), which has no numeric host; write the address of a DNS server, such as "
                    + "\"10.0.0.53:53\""
            )
        }
    }

    /// Where the admin API is to listen. Without tokens that would keep others out it may only be where this machine alone
    /// comes; of a host name the listener finds out.
    var adminAddress: AdminAddress {
        get throws {
            let text = http ?? "127.0.0.1:9090"
            let address: AdminAddress
            do throws(AdminAddress.ParsingError) {
                address = try AdminAddress(parsing: text)
            } catch {
                throw ValidationError("-http \(error.description)")
            }
            guard tokenFile != nil || address.isLoopbackForSure || Options.isHostName(address) else {
                throw ValidationError(
                    "-http \(Quoted(text)) can be reached from other hosts, and there are no tokens to keep them out; name "
                        + "a file of tokens by -token-file, or use a loopback address, such as \"127.0.0.1:9090\" or \"[::1]:9090\", or a unix socket, "
                        + "such as \"/run/shuttle/admin.sock\""
                )
            }
            return address
        }
    }

    var isOnUnixSocket: Bool {
        if case .unix? = try? adminAddress { true } else { false }
    }

    /// Who may open the admin API's unix socket: its owner alone, if not said otherwise.
    var socketMode: UInt32 {
        get throws {
            guard let httpMode else {
                return 0o600
            }
            guard let mode = SocketPermissions.mode(of: httpMode) else {
                throw ValidationError(
                    "-http-mode is \(Quoted(httpMode)); it must be three octal digits, such as 0600 or 0660"
                )
            }
            guard isOnUnixSocket else {
                throw ValidationError(
                    "-http-mode is \(Quoted(httpMode)), and -http is no unix socket; leave it out, or name one by -http, such "
                        + "as \"/run/shuttle/admin.sock\""
                )
            }
            return mode
        }
    }

    /// The hosts that admin requests may be meant for.
    var allowedHosts: AllowedHosts {
        get throws {
            let rules = try httpHost.map { text in
                do throws(AdminAddress.ParsingError) {
                    return try AllowedHosts.rule(parsing: text)
                } catch {
                    throw ValidationError("-http-host \(error.description)")
                }
            }
            return AllowedHosts(boundTo: try adminAddress, further: rules)
        }
    }

    private static func isHostName(_ address: AdminAddress) -> Bool {
        guard case .tcp(.host(let host, let port)) = address else {
            return false
        }
        return NumericHost.address(host, port: port) == nil
    }

    @Sendable private static func logRules(_ text: String) throws -> LogRules {
        do throws(LogRules.ParsingError) {
            return try LogRules(parsing: text)
        } catch {
            throw ValidationError(error.explanation)
        }
    }

    @Sendable private static func format(_ text: String) throws -> LogFormat {
        guard let format = LogFormat(rawValue: text) else {
            throw ValidationError("it must be one of \(list(LogFormat.allCases.map(\.rawValue)))")
        }
        return format
    }

    @Sendable private static func place(_ text: String) throws -> AccessLogDestination {
        guard let place = AccessLogDestination(text) else {
            throw ValidationError("it must be \(AccessLogDestination.forms)")
        }
        return place
    }

    @Sendable private static func accessLogFormat(_ text: String) throws -> AccessLogFormat {
        guard let format = AccessLogFormat(rawValue: text) else {
            throw ValidationError("it must be one of \(list(AccessLogFormat.allCases.map(\.rawValue)))")
        }
        return format
    }

    private static func list(_ words: [String]) -> String { words.joined(separator: ", ") }

    private static func range(_ range: ClosedRange<Int>) -> String {
        "an integer from \(range.lowerBound) to \(range.upperBound)"
    }
}

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
            """,
        helpNames: [.customLong("help", withSingleDash: true), .long, .short]
    )

    @Option(
        name: [.customLong("config", withSingleDash: true), .long],
        help: ArgumentHelp(
            "Default configuration, read at start when there is no state file; never written.", valueName: "file"
        )
    )
    var config: String?

    @Option(
        name: [.customLong("state", withSingleDash: true), .long],
        help: ArgumentHelp(
            "Live configuration, rewritten at every change; wins over -config when it exists and is not empty.",
            valueName: "file"
        )
    )
    var state: String?

    @Option(
        name: [.customLong("http", withSingleDash: true), .long],
        help: ArgumentHelp(
            "Admin address: host:port on loopback, or the path of a unix socket. (default: 127.0.0.1:9090)",
            valueName: "address"
        )
    )
    var http: String?

    @Option(
        name: [.customLong("http-host", withSingleDash: true), .long], parsing: .singleValue,
        help: ArgumentHelp("A further host name that admin requests may carry; repeatable.", valueName: "name")
    )
    var httpHost: [String] = []

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
        name: [.customLong("log-level", withSingleDash: true), .long],
        help: ArgumentHelp(
            "Least severe lines to log: \(Options.list(Log.levels.map(\.rawValue))). (default: info)",
            valueName: "level"
        ),
        transform: Options.level
    )
    var logLevel: Logger.Level = .info

    @Option(
        name: [.customLong("log-format", withSingleDash: true), .long],
        help: ArgumentHelp(
            "Form of log lines: \(Options.list(LogFormat.allCases.map(\.rawValue))). (default: text)",
            valueName: "format"
        ),
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

    func validate() throws {
        for (flag, value) in [("config", config), ("state", state)] where value?.isEmpty == true {
            throw ValidationError("-\(flag) is empty; name a file, or leave the flag out")
        }
        if demo, config != nil || state != nil {
            throw ValidationError("-demo brings a configuration of its own; leave out -config and -state")
        }
        if demo, check {
            throw ValidationError("-check and -demo exclude each other; give one of them")
        }
        if let rings, !Engine.Options.ringCounts.contains(rings) {
            throw ValidationError("-rings is \(rings); it must be \(Options.range(Engine.Options.ringCounts))")
        }
        if !ConfigurationRanges.timeoutMilliseconds.contains(drainTimeout) {
            throw ValidationError(
                "-drain-timeout is \(drainTimeout); it must be \(Options.range(ConfigurationRanges.timeoutMilliseconds)) "
                    + "(milliseconds)"
            )
        }
        _ = try adminAddress
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

    /// Where the admin API is to listen. There are no tokens yet that would keep others out, so it may only be where
    /// this machine alone comes; of a host name the listener finds out.
    var adminAddress: AdminAddress {
        get throws {
            let text = http ?? "127.0.0.1:9090"
            let address: AdminAddress
            do throws(AdminAddress.ParsingError) {
                address = try AdminAddress(parsing: text)
            } catch {
                throw ValidationError("-http \(error.description)")
            }
            guard address.isLoopbackForSure || Options.isHostName(address) else {
                throw ValidationError(
                    "-http \(Quoted(text)) can be reached from other hosts, and this version has no tokens to keep them "
                        + "out; use a loopback address, such as \"127.0.0.1:9090\" or \"[::1]:9090\", or a unix socket, "
                        + "such as \"/run/shuttle/admin.sock\""
                )
            }
            return address
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

    @Sendable private static func level(_ text: String) throws -> Logger.Level {
        guard let level = Log.levels.first(where: { $0.rawValue == text }) else {
            throw ValidationError("it must be one of \(list(Log.levels.map(\.rawValue)))")
        }
        return level
    }

    @Sendable private static func format(_ text: String) throws -> LogFormat {
        guard let format = LogFormat(rawValue: text) else {
            throw ValidationError("it must be one of \(list(LogFormat.allCases.map(\.rawValue)))")
        }
        return format
    }

    private static func list(_ words: [String]) -> String { words.joined(separator: ", ") }

    private static func range(_ range: ClosedRange<Int>) -> String {
        "an integer from \(range.lowerBound) to \(range.upperBound)"
    }
}

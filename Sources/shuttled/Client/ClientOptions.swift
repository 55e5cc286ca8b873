// Owns the flags that commands of the client share: where the server is, who asks, how answers look, how changes are made.
// Leaves to others: the commands, acting on them (ClientSession).

import ArgumentParser
import Glibc
import NIOCore
import ShuttleEngine

extension NameSpecification {
    /// A flag that works with one dash, as the original's do, and with two.
    static func dashes(_ name: String) -> NameSpecification {
        [.customLong(name, withSingleDash: true), .customLong(name)]
    }
}

/// Asking for help. `-h` is not among the names: it would be found in every flag that has an h where something is wrong with
/// it (`-http nonsense`), and lead to help and exit code 0 in place of a refusal.
enum HelpFlag {
    static let names: NameSpecification = [.customLong("help", withSingleDash: true), .long]

    /// The arguments with `-h` in its long form.
    static func spelledOut(_ arguments: [String]) -> [String] {
        let end = arguments.firstIndex(of: "--") ?? arguments.endIndex
        return arguments[..<end].map { $0 == "-h" ? "--help" : $0 } + arguments[end...]
    }
}

enum OutputFormat: String, CaseIterable, ExpressibleByArgument, Sendable {
    case table, json
}

/// A length of time as it was written, which is how it is passed on.
struct WrittenDuration: Equatable, Sendable, ExpressibleByArgument {
    let text: String
    let amount: TimeAmount

    init?(argument: String) {
        guard let amount = QueryParameters.duration(argument) else {
            return nil
        }
        self.text = argument
        self.amount = amount
    }

    static let form = "a whole number with ms, s, m or h, such as 30s"

    @Sendable static func read(_ text: String) throws -> WrittenDuration {
        guard let duration = WrittenDuration(argument: text) else {
            throw ValidationError("it must be \(form)")
        }
        return duration
    }
}

/// Flags that every command takes.
struct ConnectionOptions: ParsableArguments {
    static let addressVariable = "SHUTTLE_ADMIN"
    static let tokenVariable = "SHUTTLE_TOKEN"

    @Option(
        name: .dashes("http"),
        help: ArgumentHelp(
            "Where the admin API of shuttled is: host:port, :port, or the path of a unix socket. (default: "
                + "$\(addressVariable), else 127.0.0.1:9090)",
            valueName: "address"
        )
    )
    var http: String?

    @Option(
        name: .dashes("token-from"),
        help: ArgumentHelp(
            "File with the token to show, alone. (default: what $\(tokenVariable) has, else none)", valueName: "file"
        ),
        completion: .file()
    )
    var tokenFrom: String?

    @Option(
        name: .dashes("timeout"),
        help: ArgumentHelp(
            "How long connecting may take, and again the answer, besides what it is asked to wait: "
                + "\(WrittenDuration.form). (default: 30s)",
            valueName: "time"
        ),
        transform: WrittenDuration.read
    )
    var timeout = WrittenDuration(argument: "30s")!

    @Option(
        name: .dashes("output"),
        help: ArgumentHelp("Form of what is printed, wherever it goes.", valueName: "form")
    )
    var output = OutputFormat.table

    func validate() throws {
        guard timeout.amount > .zero else {
            throw ValidationError(
                "-timeout is \(timeout.text), which leaves no time for an answer; give \(WrittenDuration.form)")
        }
        _ = try address
    }

    /// The flag, else the environment, else where shuttled listens when it is not told.
    var address: AdminAddress {
        get throws {
            let variable = ConnectionOptions.environment(ConnectionOptions.addressVariable)
            let (source, text) = http.map { ("-http", $0) } ?? (ConnectionOptions.addressVariable, variable ?? "")
            guard http != nil || variable != nil else {
                return .standard
            }
            let address: AdminAddress
            do throws(AdminAddress.ParsingError) {
                address = try AdminAddress(parsing: text)
            } catch {
                throw ValidationError("\(source) \(error.description)")
            }
            if case .tcp(let endpoint) = address, endpoint.port == 0 {
                throw ValidationError(
                    "\(source) \(Quoted(text)) has port 0, where nobody can be reached; give the port that shuttled listens on"
                )
            }
            return address
        }
    }

    /// What to show to the server. A flag with the token itself would be in everybody's list of processes.
    func token() throws(ClientFailure) -> String? {
        if let tokenFrom {
            let bytes: [UInt8]?
            do throws(FileFailure) {
                bytes = try FileReading.bytes(of: tokenFrom, sizeMax: 64 * 1024)
            } catch {
                throw ClientFailure(.fileFault, "-token-from: \(error.description)")
            }
            guard let bytes else {
                throw ClientFailure(
                    .fileFault, "-token-from: there is no file \(Quoted(tokenFrom)); name the file that has the token"
                )
            }
            return try ConnectionOptions.token(
                String(decoding: bytes, as: UTF8.self), from: "-token-from: the file \(Quoted(tokenFrom))"
            )
        }
        return try ConnectionOptions.environment(ConnectionOptions.tokenVariable).map { text throws(ClientFailure) in
            try ConnectionOptions.token(text, from: ConnectionOptions.tokenVariable)
        }
    }

    /// The token of a text that has nothing else; what it is must not be told in a message.
    static func token(_ text: String, from source: String) throws(ClientFailure) -> String {
        let token = text.split(whereSeparator: \.isWhitespace)
        guard token.count == 1, token[0].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw ClientFailure(
                .usage,
                "\(source) has \(token.isEmpty ? "no token" : "something else than one token of printable ASCII"); it must "
                    + "be one word, which the server knows"
            )
        }
        return String(token[0])
    }

    /// What a variable says; one without a text is as none.
    static func environment(_ name: String) -> String? {
        guard let value = getenv(name) else {
            return nil
        }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }
}

/// Flags of commands that change something.
struct ChangeOptions: ParsableArguments {
    @Flag(name: .dashes("dry-run"), help: "Say what would change, and change nothing.")
    var dryRun = false

    @Option(
        name: .dashes("confirm"),
        help: ArgumentHelp(
            "Take the change back by itself unless `ctl confirm ID` comes within this time, such as 60s.",
            valueName: "time"
        ),
        transform: WrittenDuration.read
    )
    var confirm: WrittenDuration?

    @Option(
        name: .dashes("if-match"),
        help: ArgumentHelp(
            "Only where this is still the version of what is changed, as `ctl get -tag` and changes print it.",
            valueName: "tag"
        )
    )
    var ifMatch: String?

    func validate() throws {
        if dryRun, confirm != nil {
            throw ValidationError("-dry-run and -confirm exclude each other: what is only tried need not be confirmed")
        }
        if let ifMatch, ifMatch.isEmpty || !ifMatch.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
            throw ValidationError(
                "-if-match is \(Quoted(ifMatch)), which is no version; give one as `ctl get -tag` prints it, or *"
            )
        }
    }

    /// The tag as HTTP has it; shells eat its quotes.
    var ifMatchValue: String? {
        ifMatch.map { $0 == "*" || $0.hasPrefix("\"") || $0.hasPrefix("W/\"") ? $0 : "\"\($0)\"" }
    }
}

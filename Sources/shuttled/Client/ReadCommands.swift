// Owns the commands that ask once: get, history, health.
// Leaves to others: the layout of tables (StatisticsTables), asking (AdminClient).

import ArgumentParser

extension ClientPath {
    static let help = ArgumentHelp("SERVICE, SERVICE/BACKEND, or config.", valueName: "path")

    /// The path of an argument; `mayBeConfiguration`: whether the command can do something with all of it.
    static func read(_ text: String, mayBeConfiguration: Bool = true) throws -> ClientPath {
        let path: ClientPath
        do throws(ParsingError) {
            path = try ClientPath(parsing: text)
        } catch {
            throw ValidationError(error.description)
        }
        if path == .configuration, !mayBeConfiguration {
            throw ValidationError("this is for services and backends; write SERVICE or SERVICE/BACKEND")
        }
        return path
    }

    /// The path of an argument that was validated.
    static func validated(_ text: String) throws(ClientFailure) -> ClientPath {
        do throws(ParsingError) {
            return try ClientPath(parsing: text)
        } catch {
            throw ClientFailure(.usage, error.description)
        }
    }
}

struct GetCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Print statistics of all services, of one, or of a backend; or their configuration."
    )

    @Argument(
        help: ArgumentHelp("SERVICE, SERVICE/BACKEND, or config. (default: all services)", valueName: "path"),
        completion: PathCompletion.kind
    )
    var path: String?

    @Flag(name: .dashes("config"), help: "Print the configuration instead, as JSON that can be put again.")
    var config = false

    @Flag(name: .dashes("tag"), help: "Print the version of the configuration instead, for -if-match.")
    var tag = false

    @Flag(name: .dashes("backends"), help: "Print a line for each backend of all services.")
    var backends = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        let path = try path.map { try ClientPath.read($0) }
        if backends, path != nil || config || tag {
            throw ValidationError("-backends is for all services; leave out the path, -config and -tag")
        }
        if config, tag {
            throw ValidationError("-config and -tag exclude each other; give one of them")
        }
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let path = try self.path.map { text throws(ClientFailure) in try ClientPath.validated(text) }
        if tag || config || path == .configuration {
            let target = (path ?? .configuration).configurationTarget
            let answer = try session.client.success(of: ClientRequest(.GET, target))
            if tag {
                try session.output.line(Printable.line(answer.tag ?? ""))
            } else {
                try session.output.write(answer.body)
            }
            return
        }
        let answer = try session.client.success(of: ClientRequest(.GET, path?.target ?? "/"))
        guard session.format == .table else {
            return try session.output.write(answer.body)
        }
        guard let root = answer.document?.root else {
            throw .notShuttled(session.client.address)
        }
        switch path {
        case .backend:
            // Told like a backend of a service that has only this one.
            var service = ServiceView()
            service.backends = [BackendView(root)]
            try session.output.table(StatisticsTables.backends([service], namingServices: false))
            try session.output.line("")
            try session.output.table(StatisticsTables.fields(root))
        case .service:
            let service = ServiceView(root)
            try session.output.table(StatisticsTables.services([service]))
            try session.output.line("")
            if !service.backends.isEmpty {
                try session.output.table(StatisticsTables.backends([service], namingServices: false))
                try session.output.line("")
            }
            try session.output.table(StatisticsTables.fields(root))
        default:
            let services = ServiceView.all(in: answer) ?? []
            if services.isEmpty {
                try session.output.line("There are no services. `shuttled ctl put SERVICE FILE` makes one.")
            } else if backends {
                try session.output.table(StatisticsTables.backends(services, namingServices: true))
            } else {
                try session.output.table(StatisticsTables.services(services))
            }
        }
    }
}

extension ClientFailure {
    static func notShuttled(_ address: AdminAddress) -> ClientFailure {
        ClientFailure(
            .notUnderstood,
            "what answers at \(address) is not what shuttled would say; check -http and SHUTTLE_ADMIN, and what is between"
        )
    }
}

struct HistoryCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Print the changes that were made, the newest first, or one of them with all that it changed."
    )

    @Argument(help: ArgumentHelp("The number of a change. (default: the latest ones)", valueName: "id"))
    var id: String?

    @Option(
        name: .dashes("limit"), help: ArgumentHelp("How many changes, 1 to 1000. (default: 20)", valueName: "count")
    )
    var limit: Int?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if let limit, !(1...1000).contains(limit) {
            throw ValidationError("-limit is \(limit); it must be an integer from 1 to 1000")
        }
        if limit != nil, id != nil {
            throw ValidationError("-limit is for the list of changes; leave it out, or the id")
        }
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let target = id.map { "/v1/history/\(ClientPath.encoded($0))" } ?? "/v1/history?limit=\(limit ?? 20)"
        let answer = try session.client.success(of: ClientRequest(.GET, target))
        guard session.format == .table else {
            return try session.output.write(answer.body)
        }
        guard let root = answer.document?.root, root.kind == .object else {
            throw .notShuttled(session.client.address)
        }
        guard id == nil else {
            let fields = ["id", "time", "source", "peer", "token", "method", "target", "version"]
            var table = TextTable(columns: [.init(title: "FIELD"), .init(title: "VALUE")])
            for field in fields {
                if let value = root.member(field), value.kind != .null {
                    table.rows.append([TextCell(field), TextCell(JSONText.oneLine(value))])
                }
            }
            try session.output.table(table)
            try session.output.line("")
            return try session.output.diff(root)
        }
        try session.output.table(HistoryCommand.table(root))
        if session.output.isTerminal, root.member("next")?.kind == .string {
            let message = "There are older ones: shuttled ctl history -limit 1000, or -output json with `next`."
            LogSink.standardError.write(Array("\(message)\n".utf8))
        }
    }

    /// A line for each change, with the first line of what it changed.
    static func table(_ page: JSONValue) -> TextTable {
        var table = TextTable(
            columns: [
                .init(title: "ID", isNumber: true), .init(title: "TIME"), .init(title: "BY", isFlexible: true),
                .init(title: "REQUEST", isFlexible: true), .init(title: "CHANGES", isFlexible: true),
            ]
        )
        for entry in page.member("entries")?.children.map({ $0 }) ?? [] {
            func text(_ name: String) -> String { entry.member(name).map(JSONText.oneLine) ?? "" }
            let lines = entry.member("diff")?.children.compactMap(\.string) ?? []
            let count = lines.count + (entry.member("diff_lines_left_out")?.integer ?? 0)
            let more = count > 1 ? " (+\(count - 1) more)" : ""
            table.rows.append([
                TextCell(text("id")), TextCell(text("time")), TextCell(text("peer")),
                TextCell([text("method"), text("target")].filter { !$0.isEmpty }.joined(separator: " ")),
                TextCell((lines.first ?? "nothing") + more),
            ])
        }
        return table
    }
}

extension ClientOutput {
    /// The lines of a diff, coloured by what they do.
    func diff(_ document: JSONValue) throws(ClientFailure) {
        let lines = document.member("diff")?.children.compactMap(\.string) ?? []
        if lines.isEmpty {
            try line("Nothing changes.")
        }
        for text in lines {
            let emphasis: TextCell.Emphasis =
                switch text.first {
                case "+": .good
                case "-": .bad
                default: .warning
                }
            try line(TextCell(text, emphasis).printed(inColour: isInColour))
        }
    }
}

struct HealthCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Print whether shuttled takes connections and changes; exit 0 where it does.",
        aliases: ["ping"]
    )

    @OptionGroup var connection: ConnectionOptions

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let answer = try session.client.answer(to: ClientRequest(.GET, "/readyz?verbose"))
        let lines = String(decoding: answer.body, as: UTF8.self).split(separator: "\n").map(String.init)
        // What is not in this form comes from somebody else, or is why the question is not answered.
        guard answer.status == 200 || answer.status == 503, lines.last?.hasPrefix("readyz ") == true else {
            throw ClientFailure(answer) ?? .notShuttled(session.client.address)
        }
        switch session.format {
        case .table:
            for line in lines {
                let isBad = line.hasPrefix("[-]") || line.hasSuffix("failed")
                let cell = TextCell(line, isBad ? .bad : .good)
                try session.output.line(cell.printed(inColour: session.output.isInColour))
            }
        case .json:
            try session.output.write(HealthCommand.json(lines, isReady: answer.status == 200))
        }
        guard answer.status == 200 else {
            throw ClientFailure(.serverFault, "\(session.client.address) is not ready; the lines with [-] say why")
        }
    }

    private static func json(_ lines: [String], isReady: Bool) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("ready", isReady)
            writer.list("checks") { writer in
                for line in lines where line.hasPrefix("[") {
                    let parts = line.dropFirst(4).split(separator: ":", maxSplits: 1)
                    writer.object { writer in
                        writer.member("name", String(parts.first ?? ""))
                        writer.member("good", line.hasPrefix("[+]"))
                        writer.member("detail", String(parts.last?.drop { $0 == " " } ?? ""))
                    }
                }
            }
        }
        return writer.finish(trailingNewline: true)
    }
}

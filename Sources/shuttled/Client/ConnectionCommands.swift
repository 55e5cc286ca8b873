// Owns the commands about connections: connections, kill, explain. Leaves to others: aligning (TextTable), asking
// (AdminClient).

import ArgumentParser

/// Which connections are meant, as the server takes it: what is wrong with a value the server says.
struct ConnectionFilters: ParsableArguments {
    @Option(name: .dashes("service"), help: ArgumentHelp("Only of this service.", valueName: "name"))
    var service: String?

    @Option(
        name: .dashes("backend"), help: ArgumentHelp("Only of backends of this name.", valueName: "name"))
    var backend: String?

    @Option(
        name: .dashes("client"),
        help: ArgumentHelp("Only from this address or network, such as 192.0.2.0/24.", valueName: "network")
    )
    var client: String?

    @Option(
        name: .dashes("min-age"),
        help: ArgumentHelp("Only those accepted so long ago or longer: \(WrittenDuration.form).", valueName: "time"),
        transform: WrittenDuration.read
    )
    var minAge: WrittenDuration?

    @Option(
        name: .dashes("min-idle"),
        help: ArgumentHelp("Only those without a byte either way for so long or longer.", valueName: "time"),
        transform: WrittenDuration.read
    )
    var minIdle: WrittenDuration?

    @Option(
        name: .dashes("min-bytes"),
        help: ArgumentHelp("Only those with so many bytes both ways, or more.", valueName: "count")
    )
    var minBytes: Int?

    /// As the parameters of a query.
    var query: [(name: String, value: String)] {
        let all: [(String, String?)] = [
            ("service", service), ("backend", backend), ("client", client), ("min_age", minAge?.text),
            ("min_idle", minIdle?.text), ("min_bytes", minBytes.map { String($0) }),
        ]
        return all.compactMap { name, value in value.map { (name, $0) } }
    }

    static func target(_ path: String, _ query: [(name: String, value: String)]) -> String {
        let text = query.map { "\($0.name)=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
        return text.isEmpty ? path : "\(path)?\(text)"
    }
}

struct ConnectionsCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections",
        abstract: "Print what is connected now, with its rates."
    )

    @OptionGroup var filters: ConnectionFilters

    @Option(
        name: .dashes("limit"), help: ArgumentHelp("How many, 1 to 1000. (default: 100)", valueName: "count"))
    var limit: Int?

    @Option(
        name: .dashes("interval"),
        help: ArgumentHelp(
            "Between the two looks that rates come from, at most 10s; 0 for no rates. (default: 250ms)",
            valueName: "time"
        ),
        transform: WrittenDuration.read
    )
    var interval: WrittenDuration?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if let limit, !(1...1000).contains(limit) {
            throw ValidationError("-limit is \(limit); it must be an integer from 1 to 1000")
        }
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        var query = filters.query
        if let limit { query.append(("limit", String(limit))) }
        if let interval { query.append(("interval", interval.text)) }
        var request = ClientRequest(.GET, ConnectionFilters.target("/v1/connections", query))
        request.patience = interval?.amount ?? .zero
        let answer = try session.client.success(of: request)
        guard session.format == .table else {
            return try session.output.write(answer.body)
        }
        guard let root = answer.document?.root, let list = root.member("connections") else {
            throw .notShuttled(session.client.address)
        }
        try session.output.table(ConnectionsCommand.table(list.children.map { $0 }))
        if session.output.isTerminal, root.member("next")?.kind == .string {
            let message = "There are more: filter them, or shuttled ctl connections -output json with `next`."
            LogSink.standardError.write(Array("\(message)\n".utf8))
        }
    }

    static func table(_ connections: [JSONValue]) -> TextTable {
        var table = TextTable(
            columns: [
                .init(title: "ID"), .init(title: "BACKEND", isFlexible: true, keepsEnd: true),
                .init(title: "CLIENT", isFlexible: true), .init(title: "STATE"), .init(title: "AGE", isNumber: true),
                .init(title: "IDLE", isNumber: true), .init(title: "SENT", isNumber: true),
                .init(title: "RECEIVED", isNumber: true), .init(title: "SENT/S", isNumber: true, isDispensable: true),
                .init(title: "RECEIVED/S", isNumber: true, isDispensable: true),
            ]
        )
        for connection in connections {
            func text(_ name: String) -> String { connection.member(name)?.string ?? "" }
            func number(_ name: String) -> Int { connection.member(name)?.integer ?? 0 }
            func rate(_ name: String) -> TextCell {
                TextCell(Humanised.bytesPerSecond(connection.member(name)?.integer.map(Double.init)))
            }
            table.rows.append([
                TextCell(text("id")), TextCell("\(text("service"))/\(connection.member("backend")?.string ?? "-")"),
                TextCell(connection.member("client")?.string ?? "-"), TextCell(text("state")),
                TextCell(duration(number("age_milliseconds"))), TextCell(duration(number("idle_milliseconds"))),
                TextCell(Humanised.bytes(number("sent"))), TextCell(Humanised.bytes(number("received"))),
                rate("sent_per_second"), rate("received_per_second"),
            ])
        }
        return table
    }

    /// `250ms`, `12s`, `5m`, `3h`, `9d`.
    static func duration(_ milliseconds: Int) -> String {
        switch milliseconds {
        case ..<1000: "\(milliseconds)ms"
        case ..<120_000: "\(milliseconds / 1000)s"
        case ..<7_200_000: "\(milliseconds / 60_000)m"
        case ..<172_800_000: "\(milliseconds / 3_600_000)h"
        default: "\(milliseconds / 86_400_000)d"
        }
    }
}

struct KillCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "kill",
        abstract: "End one connection, or begin to end those that match.",
        discussion:
            "Many are ended in the background, at a rate; what is printed is the job. Without a filter give -all."
    )

    @Argument(help: ArgumentHelp("The id of a connection, from connections.", valueName: "id"))
    var id: String?

    @OptionGroup var filters: ConnectionFilters

    @Flag(name: .dashes("all"), help: "End every connection.")
    var all = false

    @Option(
        name: .dashes("rate"),
        help: ArgumentHelp("How many a second, minute or hour: 100/s, 10/m. (default: 100/s)", valueName: "rate")
    )
    var rate: String?

    @Option(
        name: .dashes("jitter"),
        help: ArgumentHelp(
            "Percent of the time of each that its end is put off by chance. (default: 50)", valueName: "percent")
    )
    var jitter: Int?

    @Flag(name: .dashes("dry-run"), help: "Print how many match, and end none.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        let isMany = all || !filters.query.isEmpty
        if id != nil, isMany || rate != nil || jitter != nil || dryRun {
            throw ValidationError("an id is one connection; leave it out, or the other flags")
        }
        if id == nil, !isMany {
            throw ValidationError("name a connection by its id, filter them such as by -service, or give -all")
        }
        if all, !filters.query.isEmpty {
            throw ValidationError("-all and filters exclude each other; leave out one of them")
        }
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        guard let id else {
            return try endMany(session)
        }
        let answer = try session.client.success(
            of: ClientRequest(.DELETE, "/v1/connections/\(ClientPath.encoded(id))"))
        guard session.format == .table else {
            return try session.output.write(answer.body)
        }
        guard let root = answer.document?.root else {
            throw .notShuttled(session.client.address)
        }
        try session.output.table(ConnectionsCommand.table([root]))
    }

    private func endMany(_ session: ClientSession) throws(ClientFailure) {
        var query = filters.query
        if all { query.append(("all", "1")) }
        if let rate { query.append(("rate", rate)) }
        if let jitter { query.append(("jitter", String(jitter))) }
        if dryRun { query.append(("dry_run", "1")) }
        let answer = try session.client.success(
            of: ClientRequest(.DELETE, ConnectionFilters.target("/v1/connections", query)))
        guard session.format == .table else {
            return try session.output.write(answer.body)
        }
        guard let root = answer.document?.root, let matched = root.member("matched")?.integer else {
            throw .notShuttled(session.client.address)
        }
        let time = ConnectionsCommand.duration(root.member("takes_milliseconds")?.integer ?? 0)
        let pace = "at \(root.member("rate")?.string ?? "") that takes \(time)"
        guard let job = root.member("id")?.integer else {
            return try session.output.line("\(matched) match; \(pace). None was ended.")
        }
        try session.output.line("Job \(job) ends \(matched) connections; \(pace).")
    }
}

struct ExplainCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Print which backend a client's next connection would get, and why no other."
    )

    @Argument(help: ArgumentHelp("The service.", valueName: "service"), completion: PathCompletion.kind)
    var service: String

    @Argument(help: ArgumentHelp("The address that the client comes from, or unix.", valueName: "client"))
    var client: String

    @Option(name: .dashes("sni"), help: ArgumentHelp("The name that it asks for, for routes.", valueName: "name"))
    var serverName: String?

    @Option(
        name: .dashes("alpn"),
        help: ArgumentHelp("The protocols that it offers, for routes, such as h2,http/1.1.", valueName: "protocols")
    )
    var protocols: String?

    @OptionGroup var connection: ConnectionOptions

    func perform(_ session: ClientSession) throws(ClientFailure) {
        var query = [(name: "client", value: client)]
        if let serverName { query.append(("sni", serverName)) }
        if let protocols { query.append(("alpn", protocols)) }
        let path = "/v1/services/\(ClientPath.encoded(service))/explain"
        let answer = try session.client.success(of: ClientRequest(.GET, ConnectionFilters.target(path, query)))
        guard session.format == .table else {
            return try session.output.write(answer.body)
        }
        guard let root = answer.document?.root, let detail = root.member("detail")?.string else {
            throw .notShuttled(session.client.address)
        }
        try session.output.line(Printable.line("\(client): \(detail)"))
        try session.output.line("")
        var table = TextTable(columns: [
            .init(title: "BACKEND", isFlexible: true, keepsEnd: true), .init(title: "VERDICT"),
            .init(title: "ACTIVE", isNumber: true), .init(title: "WEIGHT", isNumber: true),
            .init(title: "WHY", isFlexible: true),
        ])
        for backend in root.member("backends")?.children.map({ $0 }) ?? [] {
            func text(_ name: String) -> String { backend.member(name).map(JSONText.oneLine) ?? "-" }
            let verdict = backend.member("verdict")?.string ?? ""
            table.rows.append([
                TextCell(text("name")),
                TextCell(verdict, ["chosen", "candidate"].contains(verdict) ? .good : .none),
                TextCell(text("active")), TextCell(text("weight")), TextCell(text("detail")),
            ])
        }
        try session.output.table(table)
    }
}

// Owns what queries about connections may say: which are meant, how many, how fast they are ended; and the text of their
// ids. Leaves to others: doing so (ConnectionsResource).

import NIOCore
import ShuttleEngine

/// Reads the query of a request about connections.
struct ConnectionParameters: Sendable {
    static let filters = ["service", "backend", "client", "min_age", "min_idle", "min_bytes"]
    /// A time may be as long as a connection may live.
    static let durationMax: TimeAmount = .hours(24 * 365)

    let parameters: QueryParameters
    let filter: SessionFilter

    /// `known` are the parameters beyond the filters.
    init(_ parameters: [(name: String, value: String)], known: [String]) throws(ProblemDetails) {
        let parameters = try QueryParameters(parameters, known: ConnectionParameters.filters + known)
        self.parameters = parameters
        filter = try ConnectionParameters.filter(parameters)
    }

    private static func filter(_ parameters: QueryParameters) throws(ProblemDetails) -> SessionFilter {
        var filter = SessionFilter()
        filter.service = parameters["service"]
        filter.backend = parameters["backend"]
        if let text = parameters["client"] {
            do throws(ClientNetworkError) {
                filter.client = try ClientNetwork(parsing: text)
            } catch {
                throw ProblemDetails(.invalidParameter, "client is \(Quoted(text)); \(error.explanation)")
            }
        }
        filter.ageMinMilliseconds = try milliseconds(parameters, "min_age")
        filter.idleMinMilliseconds = try milliseconds(parameters, "min_idle")
        filter.bytesMin = UInt64(try parameters.integer("min_bytes", in: 0...Int.max) ?? 0)
        return filter
    }

    private static func milliseconds(
        _ parameters: QueryParameters, _ name: String
    ) throws(ProblemDetails) -> UInt64 {
        UInt64((try parameters.duration(name, max: durationMax) ?? .zero).nanoseconds / 1_000_000)
    }

    /// Of a list: how long it may be, where it goes on, and between which looks rates are measured.
    func query() throws(ProblemDetails) -> ConnectionQuery {
        var query = ConnectionQuery(filter: filter)
        query.limit = try parameters.integer("limit", in: ConnectionQuery.limits) ?? query.limit
        query.interval = try ConnectionParameters.interval(parameters)
        if let text = parameters["after"] {
            guard let cursor = ConnectionText.cursor(text) else {
                throw ProblemDetails(
                    .invalidParameter,
                    "after is \(Quoted(text)), which is no place in a list; take it from \"next\" of the "
                        + "answer before, or begin without it"
                )
            }
            query.after = cursor
        }
        return query
    }

    static func interval(_ parameters: QueryParameters) throws(ProblemDetails) -> TimeAmount {
        try parameters.duration("interval", max: ConnectionQuery.intervalMax) ?? ConnectionQuery.intervalStandard
    }

    /// Of many that are to be ended.
    func disconnect() throws(ProblemDetails) -> DisconnectRequest {
        let isAll = try parameters.flag("all")
        if filter.isEmpty, !isAll {
            throw ProblemDetails(
                .invalidParameter,
                "the query does not say which connections to end; filter by "
                    + "\(ConnectionParameters.filters.joined(separator: ", ")), or give all=1 to end every one. "
                    + "Nothing was ended"
            )
        }
        if isAll, !filter.isEmpty {
            throw ProblemDetails(
                .invalidParameter,
                "the query has all=1 and a filter, which exclude each other; remove one of them. Nothing was ended"
            )
        }
        var request = DisconnectRequest(filter: filter)
        request.jitterPercent = try parameters.integer("jitter", in: 0...100) ?? request.jitterPercent
        if let text = parameters["rate"] {
            guard let rate = ConnectionParameters.rate(text) else {
                throw ProblemDetails(
                    .invalidParameter,
                    "rate is \(Quoted(text)); it must be a number from \(DisconnectRate.counts.lowerBound) to "
                        + "\(DisconnectRate.counts.upperBound) and a time, s, m or h, such as 100/s or 10/m. "
                        + "Nothing was ended"
                )
            }
            request.rate = rate
        }
        return request
    }

    private static func rate(_ text: String) -> DisconnectRate? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let count = Int(parts[0]), String(count) == parts[0],
            DisconnectRate.counts.contains(count), let unit = DisconnectRate.Unit(rawValue: String(parts[1]))
        else {
            return nil
        }
        return DisconnectRate(count: count, unit: unit)
    }

    /// The filters as they would stand in a query.
    static func text(of filter: SessionFilter) -> [(name: String, value: String)] {
        var parts: [(String, String)] = []
        if let service = filter.service { parts.append(("service", service)) }
        if let backend = filter.backend { parts.append(("backend", backend)) }
        if let client = filter.client { parts.append(("client", client.description)) }
        for (name, milliseconds) in [("min_age", filter.ageMinMilliseconds), ("min_idle", filter.idleMinMilliseconds)]
        where milliseconds > 0 {
            parts.append((name, QueryParameters.text(.milliseconds(Int64(milliseconds)))))
        }
        if filter.bytesMin > 0 { parts.append(("min_bytes", String(filter.bytesMin))) }
        return parts
    }
}

/// The text of ids and cursors. That of an id begins with what is this process's alone, so that one of a process before
/// leads nowhere rather than to another connection.
struct ConnectionText: Sendable {
    let process: String

    func id(_ identifier: SessionIdentifier) -> String {
        "\(process)-\(identifier.ring)-\(identifier.place)-\(identifier.generation)"
    }

    func identifier(_ text: String) -> SessionIdentifier? {
        guard text.hasPrefix("\(process)-"), let numbers = ConnectionText.numbers(text.dropFirst(process.count + 1)),
            numbers.count == 3
        else {
            return nil
        }
        return SessionIdentifier(ring: Int(numbers[0]), place: numbers[1], generation: numbers[2])
    }

    static func text(_ cursor: ConnectionCursor) -> String { "\(cursor.ring)-\(cursor.place)" }

    static func cursor(_ text: String) -> ConnectionCursor? {
        guard let numbers = numbers(text[...]), numbers.count == 2 else {
            return nil
        }
        return ConnectionCursor(ring: Int(numbers[0]), place: numbers[1])
    }

    /// Each written in one way only.
    private static func numbers(_ text: Substring) -> [UInt32]? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { UInt32($0) }
        return zip(numbers, parts).allSatisfy { String($0) == $1 } && numbers.count == parts.count ? numbers : nil
    }
}

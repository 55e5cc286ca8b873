// Owns `/v1/connections`: listing connections, and ending one of them or many; and `/v1/disconnects`: how far that is.
// Leaves to others: what queries mean (ConnectionParameters), finding and ending them (Control).

import Hummingbird
import NIOCore
import ShuttleEngine

struct ConnectionsResource: Sendable {
    let control: any AdminControl

    private var text: ConnectionText { ConnectionText(process: control.events.process) }

    func list(_ request: AdminRequest) async throws -> Response {
        let parameters = try ConnectionParameters(request.parameters, known: ["limit", "after", "interval"])
        let query = try parameters.query()
        try await checkNames(of: query.filter)
        let page = await control.connections(query)
        let text = text
        return .json(
            await HeavyWork.run(isLong: page.connections.count >= HeavyWork.objectsMin) {
                ConnectionEncoder.bytes(of: page, query, text)
            })
    }

    func get(_ id: String, _ request: AdminRequest) async throws -> Response {
        let parameters = try QueryParameters(request.parameters, known: ["interval"])
        let interval = try ConnectionParameters.interval(parameters)
        guard let report = await control.connection(try identifier(id), interval: interval) else {
            throw ConnectionsResource.unknown(id)
        }
        return .json(ConnectionEncoder.bytes(of: report, text))
    }

    /// Ends one connection, and answers with what it was.
    func end(_ id: String, _ request: AdminRequest) async throws -> Response {
        _ = try QueryParameters(request.parameters, known: [])
        try await request.passOverBody()
        let identifier = try identifier(id)
        do throws(DisconnectRefusal) {
            return .json(
                ConnectionEncoder.bytes(
                    of: try await control.disconnect(identifier, origin: request.origin), text))
        } catch {
            throw ConnectionsResource.problem(error, id)
        }
    }

    /// Begins to end those that match, or says with `dry_run=1` how many that are.
    func endMany(_ request: AdminRequest) async throws -> Response {
        let parameters = try ConnectionParameters(
            request.parameters, known: ["all", "rate", "jitter", "dry_run"])
        let wanted = try parameters.disconnect()
        let isDryRun = try parameters.parameters.flag("dry_run")
        try await checkNames(of: wanted.filter)
        try await request.passOverBody()
        if isDryRun {
            return .json(ConnectionEncoder.bytes(of: wanted, matched: await control.countConnections(wanted.filter)))
        }
        let report: DisconnectReport
        do throws(DisconnectRefusal) {
            report = try await control.disconnect(wanted, origin: request.origin)
        } catch {
            throw ConnectionsResource.problem(error, "")
        }
        return .admin(
            .accepted, contentType: "application/json", body: ConnectionEncoder.bytes(of: report),
            headers: [.location: "/v1/disconnects/\(report.id)"]
        )
    }

    private func identifier(_ id: String) throws(ProblemDetails) -> SessionIdentifier {
        guard let identifier = text.identifier(id) else {
            throw ConnectionsResource.unknown(id)
        }
        return identifier
    }

    /// A service that nobody knows is more likely a slip than one without connections.
    private func checkNames(of filter: SessionFilter) async throws(ProblemDetails) {
        if let service = filter.service {
            guard await control.hasConnections(ofService: service, backend: nil) else {
                throw .unknownService(service)
            }
        }
        guard let backend = filter.backend, await !control.hasConnections(ofService: filter.service, backend: backend)
        else {
            return
        }
        guard let service = filter.service else {
            throw ProblemDetails(
                .unknownBackend,
                "no service has a backend \(Quoted(backend)); GET /config lists the ones there are"
            )
        }
        throw .unknownBackend(backend, of: service)
    }

    private static func unknown(_ id: String) -> ProblemDetails {
        ProblemDetails(
            .unknownConnection,
            "there is no connection \(Quoted(id)); it has ended, or the id is not one that this process has given. "
                + "GET /v1/connections lists those that there are"
        )
    }

    private static func problem(_ refusal: DisconnectRefusal, _ id: String) -> ProblemDetails {
        switch refusal {
        case .unknownConnection:
            return unknown(id)
        case .shuttingDown:
            return ProblemDetails(
                .shuttingDown, "shuttled is shutting down: connections end by themselves or are cut in the end"
            )
        case .tooMany(let running):
            return ProblemDetails(
                .tooManyWaiting,
                "\(running) jobs that end connections are under way, and no more may be; wait for one to finish, or cancel "
                    + "one by DELETE /v1/disconnects/{id}. Nothing was ended",
                headers: [.retryAfter: "5"]
            )
        }
    }
}

struct DisconnectsResource: Sendable {
    let control: any AdminControl

    func list(_ request: AdminRequest) async throws -> Response {
        _ = try QueryParameters(request.parameters, known: [])
        return .json(ConnectionEncoder.bytes(of: await control.disconnectJobs()))
    }

    func get(_ id: String, _ request: AdminRequest) async throws -> Response {
        _ = try QueryParameters(request.parameters, known: [])
        guard let report = await control.disconnectJobs().first(where: { String($0.id) == id }) else {
            throw DisconnectsResource.unknown(id)
        }
        return .json(ConnectionEncoder.bytes(of: report))
    }

    /// Stops a job where it runs, and forgets it. What it has ended stays so.
    func cancel(_ id: String, _ request: AdminRequest) async throws -> Response {
        _ = try QueryParameters(request.parameters, known: [])
        try await request.passOverBody()
        guard let number = Int(id), String(number) == id,
            let report = await control.cancelDisconnect(number, origin: request.origin)
        else {
            throw DisconnectsResource.unknown(id)
        }
        return .json(ConnectionEncoder.bytes(of: report))
    }

    private static func unknown(_ id: String) -> ProblemDetails {
        ProblemDetails(
            .unknownDisconnect,
            "there is no job \(Quoted(id)) that ends connections, or it is not remembered any more; GET /v1/disconnects "
                + "lists those that are"
        )
    }
}

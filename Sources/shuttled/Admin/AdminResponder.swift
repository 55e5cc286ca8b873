// Owns a request's way from its header to a resource, and what becomes of errors on that way: always a problem.
// Leaves to others: the connection (ConnectionHandler), the resources.

import Hummingbird
import Logging
import NIOCore
import ShuttleEngine

/// Answers the requests of the admin API.
struct AdminResponder: Sendable {
    let control: any AdminControl
    let requestGuard: RequestGuard
    let accessGuard: AccessGuard
    let limits: AdminLimits
    private let logLevels: LogLevels
    private let places: LongAnswerPlaces
    private let unauthorizedLog = UnauthorizedLog()

    /// Without `tokens` whoever reaches the endpoint may do everything.
    init(
        control: any AdminControl, hosts: AllowedHosts, tokens: AccessTokens? = nil,
        limits: AdminLimits = AdminLimits(),
        logLevels: LogLevels = LogLevels()
    ) {
        self.control = control
        self.requestGuard = RequestGuard(hosts: hosts)
        self.accessGuard = AccessGuard(tokens: tokens)
        self.limits = limits
        self.logLevels = logLevels
        self.places = LongAnswerPlaces(limits)
    }

    /// Whether a request is answered without a token. Whether shuttled runs is no secret, and whoever restarts it when it
    /// does not has no token; nor has a browser when it opens an address.
    private static func isOpen(_ path: Substring, _ request: HTTPRequest) -> Bool {
        switch path {
        case "/livez", Substring(DashboardResource.path): true
        case "/": AcceptedTypes(request.headerFields).prefersHTML
        default: path.hasPrefix(DashboardResource.path + "/")
        }
    }

    /// Has the connection tell when its client leaves while an answer takes its time.
    typealias Attend = @Sendable (ClientPresence, _ kind: LongAnswerKind) -> Void

    /// Answers one request that arrived at `local`. Throws only when the connection broke while the body was read:
    /// there is nobody left to answer then, or the connection has answered by itself.
    func respond(
        to request: Request, arrivedAt local: NIOCore.SocketAddress?, from peer: AdminPeer,
        named identifier: String = "",
        logger: Logger, announceBody: @escaping @Sendable () -> Void, attend: @escaping Attend
    ) async throws -> Response {
        var response: Response
        do {
            response = try await answer(
                to: request, arrivedAt: local, from: peer, named: identifier, logger: logger,
                announceBody: announceBody, attend: attend
            )
        } catch let problem as ProblemDetails {
            logger.debug("request refused", metadata: ["problem": "\(problem.kind)", "detail": "\(problem.detail)"])
            if problem.kind == .unauthorized {
                unauthorizedLog.note(from: peer, logger: logger)
            }
            response = problem.response
        }
        if request.method == .head {
            // The length is that of the answer to GET.
            response = response.createHeadResponse()
        }
        logger.debug(
            "request answered",
            metadata: [
                "peer": "\(peer)", "method": "\(request.method.rawValue)",
                "target": "\(Quoted(request.head.path ?? ""))", "status": "\(response.status.code)",
            ]
        )
        return response
    }

    private func answer(
        to request: Request, arrivedAt local: NIOCore.SocketAddress?, from peer: AdminPeer, named identifier: String,
        logger: Logger, announceBody: @escaping @Sendable () -> Void, attend: @escaping Attend
    ) async throws -> Response {
        if let refusal = requestGuard.refusal(of: request.head, arrivedAt: local) {
            throw refusal
        }
        let target = RequestTarget(request.head.path ?? "")
        // First of all: whoever is not let in does not learn what there is.
        let isOpen = AdminResponder.isOpen(target.path, request.head)
        let entry = isOpen ? nil : try accessGuard.entry(for: request.head, from: peer)
        let route = try AdminRoute(path: target.path)
        try route.check(method: request.method)
        try accessGuard.check(entry, route, request.method)
        let attend: Attend = { presence, kind in
            attend(presence, kind)
            accessGuard.attend(presence, of: entry)
        }
        let admitted = AdminRequest(
            head: request.head, body: request.body, parameters: target.parameters, peer: peer.description,
            caller: entry?.caller, identifier: identifier, limits: limits, announceBody: announceBody
        )
        switch route {
        case .root:
            if AcceptedTypes(request.head.headerFields).prefersHTML {
                return DashboardResource.redirect
            }
            var response = await StatisticsResource(control: control).get()
            response.headers[.vary] = "Accept"
            return response
        case .dashboard:
            return try DashboardResource.get(.page, admitted)
        case .dashboardPart(let name):
            guard let file = DashboardFile.part(named: name) else {
                throw ProblemDetails(
                    .notFound, "the dashboard has no part \(Quoted(name)); the page is at \(DashboardResource.path)"
                )
            }
            return try DashboardResource.get(file, admitted)
        case .whoami:
            return try WhoamiResource.get(admitted)
        case .statistics:
            return await StatisticsResource(control: control).get()
        case .rings:
            return await RingsResource(control: control).get()
        case .recentSessions:
            return try await RecentSessionsResource(control: control).get(admitted)
        case .metrics:
            return try await MetricsResource(control: control).get(admitted)
        case .configuration:
            let resource = ConfigurationResource(control: control)
            return isRead(request) ? try await resource.get(admitted) : try await resource.put(admitted)
        case .health(let probe):
            let isVerbose = target.parameters.contains { $0.name == "verbose" }
            return await HealthResource(control: control).get(probe, isVerbose: isVerbose)
        case .description:
            return try DescriptionResource.get(admitted)
        case .history:
            return try await HistoryResource(control: control).list(admitted)
        case .historyEntry(let id):
            return try await HistoryResource(control: control).get(id, admitted)
        case .historyRestore(let id):
            return try await HistoryResource(control: control).restore(id, admitted)
        case .confirmations:
            return try await ConfirmationResource(control: control).list(admitted)
        case .confirmation(let id):
            let resource = ConfirmationResource(control: control)
            switch request.method {
            case .post: return try await resource.confirm(id, admitted)
            case .delete: return try await resource.revert(id, admitted)
            default: return try await resource.get(id, admitted)
            }
        case .connections:
            let resource = ConnectionsResource(control: control)
            return isRead(request) ? try await resource.list(admitted) : try await resource.endMany(admitted)
        case .connection(let id):
            let resource = ConnectionsResource(control: control)
            return isRead(request) ? try await resource.get(id, admitted) : try await resource.end(id, admitted)
        case .disconnects:
            return try await DisconnectsResource(control: control).list(admitted)
        case .disconnect(let id):
            let resource = DisconnectsResource(control: control)
            return isRead(request) ? try await resource.get(id, admitted) : try await resource.cancel(id, admitted)
        case .serviceConfiguration(let name):
            return try await ServiceResource(control: control, name: name).getConfiguration(admitted)
        case .backendConfiguration(let service, let name):
            return try await BackendResource(control: control, service: service, name: name)
                .getConfiguration(admitted)
        case .events:
            return try EventsResource(control: control, places: places).get(admitted, attend, logger)
        case .serviceWait(let name):
            return try await WaitResource(control: control, places: places, service: name).get(admitted, attend)
        case .serviceExplanation(let name):
            return try await ExplainResource(control: control, service: name).get(admitted)
        case .logLevels:
            let resource = LogLevelsResource(levels: logLevels)
            return isRead(request) ? try resource.get(admitted) : try await resource.change(admitted, logger)
        case .service(let name):
            let resource = ServiceResource(control: control, name: name)
            switch request.method {
            case .delete: return try await resource.delete(admitted)
            case .patch: return try await resource.patch(admitted)
            case _ where isRead(request): return try await resource.get()
            default: return try await resource.put(admitted)
            }
        case .backend(let service, let name):
            let resource = BackendResource(control: control, service: service, name: name)
            switch request.method {
            case .delete: return try await resource.delete(admitted)
            case .patch: return try await resource.patch(admitted)
            case _ where isRead(request): return try await resource.get()
            default: return try await resource.put(admitted)
            }
        }
    }

    private func isRead(_ request: Request) -> Bool {
        request.method == .get || request.method == .head
    }
}

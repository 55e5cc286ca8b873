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
    let limits: AdminLimits

    init(control: any AdminControl, hosts: AllowedHosts, limits: AdminLimits = AdminLimits()) {
        self.control = control
        self.requestGuard = RequestGuard(hosts: hosts)
        self.limits = limits
    }

    /// Answers one request that arrived at `local`. Throws only when the connection broke while the body was read:
    /// there is nobody left to answer then, or the connection has answered by itself.
    func respond(
        to request: Request, arrivedAt local: NIOCore.SocketAddress?, from peer: String, logger: Logger,
        announceBody: @escaping @Sendable () -> Void
    ) async throws -> Response {
        var response: Response
        do {
            response = try await answer(to: request, arrivedAt: local, from: peer, announceBody: announceBody)
        } catch let problem as ProblemDetails {
            logger.debug("request refused", metadata: ["problem": "\(problem.kind)", "detail": "\(problem.detail)"])
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
        to request: Request, arrivedAt local: NIOCore.SocketAddress?, from peer: String,
        announceBody: @escaping @Sendable () -> Void
    ) async throws -> Response {
        if let refusal = requestGuard.refusal(of: request.head, arrivedAt: local) {
            throw refusal
        }
        let target = RequestTarget(request.head.path ?? "")
        let route = try AdminRoute(path: target.path)
        try route.check(method: request.method)
        let admitted = AdminRequest(
            head: request.head, body: request.body, parameters: target.parameters, peer: peer, limits: limits,
            announceBody: announceBody
        )
        switch route {
        case .statistics:
            return await StatisticsResource(control: control).get()
        case .rings:
            return await RingsResource(control: control).get()
        case .configuration:
            let resource = ConfigurationResource(control: control)
            return isRead(request) ? await resource.get() : try await resource.put(admitted)
        case .health(let probe):
            let isVerbose = target.parameters.contains { $0.name == "verbose" }
            return await HealthResource(control: control).get(probe, isVerbose: isVerbose)
        case .service(let name):
            let resource = ServiceResource(control: control, name: name)
            switch request.method {
            case .delete: return try await resource.delete(admitted)
            case _ where isRead(request): return try await resource.get()
            default: return try await resource.put(admitted)
            }
        case .backend(let service, let name):
            let resource = BackendResource(control: control, service: service, name: name)
            switch request.method {
            case .delete: return try await resource.delete(admitted)
            case _ where isRead(request): return try await resource.get()
            default: return try await resource.put(admitted)
            }
        }
    }

    private func isRead(_ request: Request) -> Bool {
        request.method == .get || request.method == .head
    }
}

// Owns the routes: which path and method mean what, and what is said where they mean nothing.
// Leaves to others: carrying requests out (the resources), and which names services may have (ConfigurationNames).

import Hummingbird
import ShuttleEngine

/// What a path stands for.
enum AdminRoute: Equatable, Sendable {
    /// `/_stats`, and `/` for programs: every service with its statistics.
    case statistics
    /// `/`, which browsers are sent on from to the dashboard.
    case root
    /// `/dashboard`: the page for people.
    case dashboard
    /// `/dashboard/{file}`: a part of it.
    case dashboardPart(String)
    /// `/v1/whoami`: who asks, and what they may do.
    case whoami
    /// `/config` and `/_config`: the whole configuration.
    case configuration
    case health(HealthProbe)
    /// `/openapi.json`: all of this, described.
    case description
    /// `/v1/rings`: what each ring has done.
    case rings
    /// `/v1/recent`: the sessions that have ended last.
    case recentSessions
    /// `/metrics`: everything that is counted, for Prometheus.
    case metrics
    /// `/v1/history`: the changes that were made.
    case history
    /// `/v1/history/{id}`: one of them.
    case historyEntry(String)
    /// `/v1/history/{id}/restore`: making the configuration what it was after it.
    case historyRestore(String)
    /// `/v1/confirm`: the change that waits to be confirmed.
    case confirmations
    /// `/v1/confirm/{id}`: it, where it is that one.
    case confirmation(String)
    /// `/v1/connections`: sessions, listed and ended.
    case connections
    /// `/v1/connections/{id}`: one of them.
    case connection(String)
    /// `/v1/disconnects`: jobs that end many.
    case disconnects
    /// `/v1/disconnects/{id}`: one of them.
    case disconnect(String)
    /// `/v1/services/{service}`: its configuration alone.
    case serviceConfiguration(String)
    /// `/v1/services/{service}/backends/{backend}`: its configuration alone.
    case backendConfiguration(service: String, name: String)
    /// `/v1/events`: what happens, as it happens.
    case events
    /// `/v1/services/{service}/wait`: waits for something to come about in it.
    case serviceWait(String)
    /// `/v1/services/{service}/explain`: what would become of a client.
    case serviceExplanation(String)
    /// `/v1/log-levels`: from which level on is logged.
    case logLevels
    /// `/{service}`
    case service(String)
    /// `/{service}/{backend}`
    case backend(service: String, name: String)

    /// Every method that is served anywhere.
    static let everyMethod: [HTTPRequest.Method] = [.get, .head, .put, .post, .patch, .delete]

    /// The methods that are served, in the order `Allow` lists them. `HEAD` goes where `GET` goes.
    var methods: [HTTPRequest.Method] {
        switch self {
        case .root, .dashboard, .dashboardPart, .whoami, .statistics, .health,
            .description, .rings, .serviceConfiguration, .backendConfiguration, .serviceWait,
            .events, .history, .historyEntry, .confirmations, .recentSessions, .metrics:
            return [.get, .head]
        case .disconnects, .serviceExplanation: return [.get, .head]
        case .logLevels: return [.get, .head, .put, .patch]
        case .connections, .connection, .disconnect: return [.get, .head, .delete]
        case .confirmation: return [.get, .head, .post, .delete]
        case .historyRestore: return [.post]
        case .configuration: return [.get, .head, .put]
        case .service, .backend: return AdminRoute.everyMethod
        }
    }

    /// Finds the route of a request target's path, percent-encoded as it came.
    ///
    /// A path means one thing and is never tidied up: a trailing slash, a doubled one, `.` and `..` lead nowhere, so
    /// that no two spellings name the same service.
    init(path: Substring) throws(ProblemDetails) {
        guard path.hasPrefix("/") else {
            throw ProblemDetails(
                .malformedRequest, "the request target is \(Quoted(path)); it must be a path that starts with /"
            )
        }
        if path == "/" {
            self = .root
            return
        }
        var segments: [String] = []
        for raw in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let segment = PercentEncoding.decode(raw) else {
                throw ProblemDetails(
                    .malformedRequest,
                    "the path \(Quoted(path)) is not well formed: % must be followed by two hexadecimal digits, and "
                        + "what they stand for must be UTF-8"
                )
            }
            segments.append(segment)
        }
        guard !segments.contains(where: \.isEmpty) else {
            throw ProblemDetails(
                .notFound, "the path \(Quoted(path)) has an empty segment; write it without doubled or trailing slashes"
            )
        }
        guard !segments.contains(where: { $0 == "." || $0 == ".." }) else {
            throw ProblemDetails(.notFound, "the path \(Quoted(path)) has a segment of dots; write out where it leads")
        }
        try self.init(segments: segments, path: path)
    }

    private init(segments: [String], path: Substring) throws(ProblemDetails) {
        let first = segments[0]
        if ConfigurationNames.reservedForRoutes.contains(first) {
            let route: AdminRoute?
            switch segments {
            case ["config"], ["_config"]: route = .configuration
            case ["_stats"]: route = .statistics
            case ["dashboard"]: route = .dashboard
            case ["dashboard", segments.last]: route = .dashboardPart(segments[1])
            case ["v1", "whoami"]: route = .whoami
            case ["openapi.json"]: route = .description
            case ["v1", "rings"]: route = .rings
            case ["v1", "recent"]: route = .recentSessions
            case ["metrics"]: route = .metrics
            case ["v1", "events"]: route = .events
            case ["v1", "history"]: route = .history
            case ["v1", "history", segments.last]: route = .historyEntry(segments[2])
            case ["v1", "history", segments.dropFirst(2).first, "restore"]: route = .historyRestore(segments[2])
            case ["v1", "confirm"]: route = .confirmations
            case ["v1", "confirm", segments.last]: route = .confirmation(segments[2])
            case ["v1", "connections"]: route = .connections
            case ["v1", "connections", segments.last]: route = .connection(segments[2])
            case ["v1", "disconnects"]: route = .disconnects
            case ["v1", "disconnects", segments.last]: route = .disconnect(segments[2])
            case ["v1", "services", segments.last]: route = .serviceConfiguration(segments[2])
            case ["v1", "services", segments.dropFirst(2).first, "backends", segments.last]:
                route = .backendConfiguration(service: segments[2], name: segments[4])
            case ["v1", "services", segments.dropFirst(2).first, "wait"]: route = .serviceWait(segments[2])
            case ["v1", "services", segments.dropFirst(2).first, "explain"]: route = .serviceExplanation(segments[2])
            case ["v1", "log-levels"]: route = .logLevels
            case [first]: route = HealthProbe(rawValue: first).map { .health($0) }
            default: route = nil
            }
            guard let route else {
                throw ProblemDetails(
                    .notFound,
                    "\(Quoted(path)) is not a resource; /\(first) is reserved: no service or backend is below it"
                )
            }
            self = route
            return
        }
        switch segments.count {
        case 1: self = .service(first)
        case 2: self = .backend(service: first, name: segments[1])
        default:
            throw ProblemDetails(
                .notFound,
                "the path \(Quoted(path)) has \(segments.count) segments; services are at /{service}, backends at "
                    + "/{service}/{backend}"
            )
        }
    }

    /// Checks that the route has this method.
    func check(method: HTTPRequest.Method) throws(ProblemDetails) {
        guard !methods.contains(method) else {
            return
        }
        let allowed = methods.map(\.rawValue).joined(separator: ", ")
        throw ProblemDetails(
            .methodNotAllowed,
            "\(Quoted(method.rawValue)) is not served here; use one of \(allowed)",
            headers: [.allow: allowed]
        )
    }
}

/// What can be asked about the process's health.
enum HealthProbe: String, CaseIterable, Sendable {
    /// Whether it runs at all: false answers call for a restart.
    case livez
    /// Whether it takes new connections and changes.
    case readyz
    /// The same under the older name.
    case healthz
}

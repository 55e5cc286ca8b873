// The table of routes: which path and method mean what, and what is answered everywhere else.

import Hummingbird
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct AdminRouteTests {
    private func route(_ path: String) throws(ProblemDetails) -> AdminRoute {
        try AdminRoute(path: path[...])
    }

    private func problem(_ path: String) -> ProblemDetails? {
        do throws(ProblemDetails) {
            _ = try route(path)
            return nil
        } catch {
            return error
        }
    }

    @Test(
        arguments: [
            ("/", .root), ("/_stats", .statistics), ("/config", .configuration), ("/_config", .configuration),
            ("/livez", .health(.livez)), ("/openapi.json", .description), ("/readyz", .health(.readyz)),
            ("/healthz", .health(.healthz)),
            ("/v1/history", .history), ("/v1/history/7", .historyEntry("7")),
            ("/v1/history/7/restore", .historyRestore("7")), ("/v1/history/restore", .historyEntry("restore")),
            ("/v1/confirm", .confirmations), ("/v1/confirm/7", .confirmation("7")),
            ("/dashboard", .dashboard), ("/dashboard/main.js", .dashboardPart("main.js")),
            ("/dashboard/x", .dashboardPart("x")), ("/v1/whoami", .whoami), ("/whoami", .service("whoami")),
            ("/metrics", .metrics), ("/v1/recent", .recentSessions), ("/v1/rings", .rings), ("/v1/%72ings", .rings),
            ("/web/rings", .backend(service: "web", name: "rings")),
            ("/v1/connections", .connections), ("/v1/connections/a-0-1-1", .connection("a-0-1-1")),
            ("/v1/services/web/explain", .serviceExplanation("web")), ("/v1/log-levels", .logLevels),
            ("/v1/disconnects", .disconnects), ("/v1/disconnects/3", .disconnect("3")),
            ("/v1/events", .events), ("/v1/services/web/wait", .serviceWait("web")),
            ("/v1/services/wait", .serviceConfiguration("wait")),
            ("/rings", .service("rings")), ("/v1%2Frings", .service("v1/rings")),
            ("/web", .service("web")), ("/web/one", .backend(service: "web", name: "one")),
            ("/web/config", .backend(service: "web", name: "config")),
            ("/Config", .service("Config")), ("/config.json", .service("config.json")), ("/...", .service("...")),
            ("/a%2Db", .service("a-b")), ("/%63onfig", .configuration), ("/a%2fb", .service("a/b")),
            ("/a:b/c_d", .backend(service: "a:b", name: "c_d")), ("/a+b", .service("a+b")),
            ("/%C3%A9", .service("é")), ("/a%20b", .service("a b")),
        ] as [(String, AdminRoute)])
    func pathsLeadToRoutes(_ path: String, _ expected: AdminRoute) throws {
        #expect(try route(path) == expected)
    }

    @Test(arguments: [
        "//", "/web/", "/web//one", "//web", "/config/", "/config/x", "/_stats/x", "/livez/x", "/metrics/", "/v1",
        "/v1/services", "/v1/events/1", "/v1/services/web/wait/", "/v1/services/web/wait/x", "/v1/rings/",
        "/v1/rings/0", "/v1/Rings", "/v1/recent/", "/v1/recent/1", "/v1/history/", "/v1/history/1/undo",
        "/v1/history/1/restore/x",
        "/v1/config", "/v1//rings", "/V1/rings/0",
        "/dashboard/", "/dashboard/a/b", "/v1/whoami/x",
        "/openapi.json/x", "/v1/confirm/", "/v1/confirm/1/x", "/metrics/x", "/a/b/c", "/.", "/..",
        "/web/..", "/web/.",
        "/../config", "/./config", "/%2e%2e", "/web/%2E", "/%2e%2E/config", "/a/b/c/",
    ])
    func pathsLeadNowhere(_ path: String) {
        #expect(problem(path)?.kind == .notFound, "\(path)")
        #expect(problem(path)?.detail.contains(path) == true || problem(path)?.detail.contains("segment") == true)
    }

    @Test(arguments: ["", "*", "config", "http:config", "/%", "/%4", "/%zz", "/a%", "/%ff", "/web/%C3", "/%+1", "/% 1"])
    func pathsAreNotWellFormed(_ path: String) {
        #expect(problem(path)?.kind == .malformedRequest, "\(path)")
    }

    @Test func everyReservedNameIsTakenCareOf() throws {
        for name in ConfigurationNames.reservedForRoutes {
            if case .service? = try? route("/\(name)") {
                Issue.record("\(name) is reserved and leads to a service")
            }
            // What is below /dashboard is known to the dashboard.
            #expect(problem("/\(name)/x")?.kind == (name == "dashboard" ? nil : .notFound))
        }
    }

    @Test(
        arguments: [
            ("/", "GET, HEAD"), ("/_stats", "GET, HEAD"), ("/config", "GET, HEAD, PUT"), ("/_config", "GET, HEAD, PUT"),
            ("/livez", "GET, HEAD"), ("/readyz", "GET, HEAD"), ("/healthz", "GET, HEAD"),
            ("/v1/rings", "GET, HEAD"), ("/v1/services/web/wait", "GET, HEAD"), ("/v1/events", "GET, HEAD"),
            ("/v1/rings", "GET, HEAD"), ("/v1/history", "GET, HEAD"), ("/v1/history/1", "GET, HEAD"),
            ("/v1/history/1/restore", "POST"),
            ("/v1/services/web", "GET, HEAD"), ("/v1/services/web/backends/one", "GET, HEAD"),
            ("/web", "GET, HEAD, PUT, POST, PATCH, DELETE"), ("/web/one", "GET, HEAD, PUT, POST, PATCH, DELETE"),
        ])
    func methodsAreAllowedOrListed(_ path: String, _ allowed: String) throws {
        let route = try route(path)
        let names = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"]
        for name in names {
            let method = try #require(HTTPRequest.Method(name))
            if allowed.split(separator: ", ").contains(where: { $0 == name }) {
                try route.check(method: method)
            } else {
                let problem = #expect(throws: ProblemDetails.self) { try route.check(method: method) }
                #expect(problem?.kind == .methodNotAllowed)
                #expect(problem?.headers[.allow] == allowed)
            }
        }
    }

    // MARK: Request targets

    @Test func targetsAreTakenApart() {
        let target = RequestTarget("/a%20b?x=1&y&z=%41%zz&=v&&w=a=b")
        #expect(target.path == "/a%20b")
        #expect(target.parameters.map(\.name) == ["x", "y", "z", "", "w"])
        #expect(target.parameters.map(\.value) == ["1", "", "%41%zz", "v", "a=b"])
        #expect(RequestTarget("/").parameters.isEmpty)
        #expect(RequestTarget("/?").parameters.isEmpty)
        #expect(RequestTarget("").path == "")
    }

    // MARK: Methods that the parser does not know

    private func lineProblem(_ line: String) -> ProblemDetails? {
        RequestLineTap.methodProblem(ofLine: Array(line.utf8))
    }

    @Test func unknownMethodsAreAnsweredByTheirPath() {
        #expect(lineProblem("BREW /web HTTP/1.1")?.kind == .methodNotAllowed)
        #expect(lineProblem("BREW /web?x HTTP/1.1")?.headers[.allow] == "GET, HEAD, PUT, POST, PATCH, DELETE")
        #expect(lineProblem("BREW /config HTTP/1.0")?.headers[.allow] == "GET, HEAD, PUT")
        #expect(lineProblem("BREW /a/b/c HTTP/1.1")?.kind == .notFound)
        for line in [
            "BREW /web", "BREW /web HTTP/2.0", "BR{W /web HTTP/1.1", " /web HTTP/1.1", "GET /web HTTP/1.1", "",
        ] {
            #expect(lineProblem(line) == nil, "\(line)")
        }
    }
}

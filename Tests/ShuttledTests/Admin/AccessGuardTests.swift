// Who is let in by what they show, and which role each route takes.

import Glibc
import Hummingbird
import Logging
import NIOCore
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct AccessGuardTests {
    private static let (reader, operator_, writer) = (
        "read-0123456789abcdef0123456789ab", "oper-0123456789abcdef0123456789ab", "writ-0123456789abcdef0123456789ab"
    )

    private static func list(_ further: String = "") throws -> AccessList {
        let text = "look read \(reader)\nwork operate \(operator_)\nroot write \(writer)\n\(further)"
        return try TokenFile.list(parsing: Array(text.utf8), path: "tokens", onUnixSocket: true)
    }

    private static func refusal(
        _ fields: [String], peer: AdminPeer = AdminPeer(description: "127.0.0.1:1"), further: String = ""
    ) throws -> (name: String?, problem: ProblemDetails?) {
        var headers = HTTPFields()
        for field in fields {
            headers.append(.init(name: .authorization, value: field))
        }
        let request = HTTPRequest(method: .get, scheme: "http", authority: "a", path: "/", headerFields: headers)
        let access = AccessGuard(tokens: AccessTokens(try list(further)))
        do throws(ProblemDetails) {
            return (try access.entry(for: request, from: peer)?.name, nil)
        } catch {
            return (nil, error)
        }
    }

    @Test(arguments: ["Bearer \(reader)", "bearer \(reader)", "BEARER   \(reader)", " Bearer \(reader) "])
    func aTokenLetsIn(_ field: String) throws {
        #expect(try Self.refusal([field]).name == "look")
    }

    @Test(arguments: [
        [], [""], ["Bearer"], ["Bearer "], [reader], ["Basic \(reader)"], ["Bearer \(reader)x"],
        ["Bearer \(reader.dropLast())"], ["Bearer \(reader) \(reader)"], ["Bearer \(reader),"], ["Bearer=\(reader)"],
        ["Bearer \(reader.uppercased())"], ["Bearer \(reader)", "Bearer \(reader)"], ["Bearer uid:0"],
        ["Bearer look"], ["Bearer \u{1}"],
    ])
    func whatElseIsShownDoesNot(_ fields: [String]) throws {
        let problem = try #require(try Self.refusal(fields).problem)
        #expect(problem.kind == .unauthorized && problem.kind.status == .unauthorized)
        #expect(problem.headers[.wwwAuthenticate]?.hasPrefix("Bearer realm=\"shuttled\"") == true)
        #expect(!problem.detail.contains(Self.reader), "what was shown is not told")
    }

    @Test func withoutTokensEverybodyIsLetIn() throws {
        let request = HTTPRequest(method: .get, scheme: "http", authority: "a", path: "/")
        let access = AccessGuard(tokens: nil)
        let peer = AdminPeer(description: "127.0.0.1:1")
        #expect(try access.entry(for: request, from: peer) == nil)
        try access.check(nil, .historyRestore("1"), .post)
    }

    // MARK: Peers of unix sockets

    private static func peer(user: UInt32, group: UInt32, _ further: [UInt32] = []) -> AdminPeer {
        .unix(AdminPeer.Credentials(process: 7, user: user, group: group), furtherGroups: further)
    }

    @Test func usersAndGroupsLetIn() throws {
        let lines = "me write uid:1000\nstaff operate gid:50\n"
        #expect(Self.peer(user: 1000, group: 5).description == "unix (pid 7, uid 1000)")
        for (peer, name) in [
            (Self.peer(user: 1000, group: 50), "me"), (Self.peer(user: 1, group: 50), "staff"),
            (Self.peer(user: 1, group: 2, [3, 50]), "staff"),
        ] {
            #expect(try Self.refusal([], peer: peer, further: lines).name == name)
        }
        let problem = try #require(try Self.refusal([], peer: Self.peer(user: 0, group: 0), further: lines).problem)
        #expect(problem.kind == .unauthorized && problem.detail.contains("uid:0"))
    }

    /// A token that is shown decides alone, for less and for more.
    @Test func aTokenComesBeforeTheUser() throws {
        let lines = "me write uid:1000\n"
        let peer = Self.peer(user: 1000, group: 5)
        #expect(try Self.refusal(["Bearer \(Self.reader)"], peer: peer, further: lines).name == "look")
        #expect(try Self.refusal(["Bearer wrong"], peer: peer, further: lines).problem?.kind == .unauthorized)
    }

    @Test(
        arguments: [
            ([0, 0, 0], []), ([4, 27, 0], [4, 27]), ([0, 4, 0, 0], [0, 4]), ([7], [7]), ([], []),
        ] as [([gid_t], [gid_t])])
    func groupsBeforeTheZeros(_ written: [gid_t], _ groups: [gid_t]) {
        #expect(AdminPeer.groups(among: written) == groups)
    }

    // MARK: Roles

    @Test(
        arguments: [
            ("/", .get, .read), ("/", .head, .read), ("/config", .get, .read), ("/web", .get, .read),
            ("/web/one", .head, .read), ("/v1/history", .get, .read), ("/v1/events", .get, .read),
            ("/v1/services/web/wait", .get, .read), ("/v1/rings", .get, .read), ("/readyz", .get, .read),
            ("/config", .put, .operate), ("/web", .put, .operate), ("/web", .patch, .operate),
            ("/web", .delete, .operate),
            ("/web/one", .post, .operate), ("/v1/history/1/restore", .post, .write),
        ] as [(String, HTTPRequest.Method, AccessRole)])
    func rolesOfRoutes(_ path: String, _ method: HTTPRequest.Method, _ least: AccessRole) throws {
        let route = try AdminRoute(path: path[...])
        #expect(route.leastRole(for: method) == least)
        let access = AccessGuard(tokens: AccessTokens(try Self.list()))
        for entry in try Self.list().entries {
            if entry.role >= least {
                try access.check(entry, route, method)
                continue
            }
            let problem = #expect(throws: ProblemDetails.self) { try access.check(entry, route, method) }
            #expect(problem?.kind == .insufficientRole && problem?.kind.status == .forbidden)
            for word in ["\"\(entry.name)\"", " \(entry.role.rawValue)", "takes \(least.rawValue)"] {
                #expect(problem?.detail.contains(word) == true, "\(problem?.detail ?? "")")
            }
        }
    }

    // MARK: The endpoint

    @Test func onlyLivezIsOpen() async throws {
        let tokens = AccessTokens(try Self.list())
        try await AdminFixture.run(tokens: tokens) { admin async throws in
            for method in ["GET", "HEAD"] {
                #expect(try await admin.request(method, "/livez").status == 200)
                #expect(try await admin.request(method, "/livez?verbose").status == 200)
            }
            #expect(try await admin.request("POST", "/livez").status == 405)
            // Whether there is anything is not told either.
            for target in ["/", "/config", "/readyz", "/web", "/none", "/a/b/c", "//", "/%6civez", "/livez/", "/v1/x"] {
                let response = try await admin.request("GET", target)
                #expect(response.status == 401, "\(target)")
                #expect(response["www-authenticate"] == "Bearer realm=\"shuttled\"")
                #expect(try response.problem().detail.contains("-token-file"))
            }
            #expect(try await admin.request("PUT", "/web", body: "{").status == 401)
            #expect(admin.control.changesAsked == 0)
        }
    }

    @Test func whoAsksIsToldToTheControlPlane() async throws {
        let tokens = AccessTokens(try Self.list())
        try await AdminFixture.run(tokens: tokens) { admin async throws in
            let header = "Authorization: Bearer \(Self.writer)"
            let response = try await admin.request("PATCH", "/web", headers: [header], body: #"{"fall": 3}"#)
            #expect(response.status == 200)
            #expect(admin.control.origins.map(\.caller) == [Caller(name: "root", role: .write)])
            admin.control.refuse(
                with: .notPermitted(Caller(name: "work", role: .operate), needed: .write, excess: "~ service web")
            )
            let refused = try await admin.request(
                "PATCH", "/web", headers: ["Authorization: Bearer \(Self.operator_)"], body: #"{"fall": 3}"#
            )
            #expect(refused.status == 403)
            #expect(refused["www-authenticate"]?.contains("scope=\"write\"") == true)
            #expect(try refused.problem().detail.contains("~ service web"))
        }
    }

    @Test func answersThatTakeLongEndWithTheirToken() async throws {
        let tokens = AccessTokens(try Self.list())
        try await AdminFixture.run(tokens: tokens) { admin async throws in
            let header = "Authorization: Bearer \(Self.reader)"
            let stream = try await admin.connect()
            await stream.send(admin.head("GET", "/v1/events", headers: [header]))
            _ = try await stream.text { $0.contains("retry: ") }
            let wait = try await admin.connect()
            await wait.send(admin.head("GET", "/v1/services/web/wait?until=drained", headers: [header]))
            try await ControlTesting.eventually("it waits") { admin.control.waits.count == 1 }
            tokens.replace(with: AccessList(try Self.list().entries.filter { $0.name != "look" }))
            #expect(try await stream.untilClosed().hasSuffix("0\r\n\r\n"), "the answer ends whole")
            let response = try await wait.response()
            #expect(response.status == 401)
            #expect(try response.problem().detail.contains("removed meanwhile"))
            #expect(try await admin.request("GET", "/", headers: [header]).status == 401)
        }
    }

    @Test func refusalsAreToldNowAndThen() {
        let collector = LogCollector()
        let log = UnauthorizedLog()
        let peer = AdminPeer(description: "192.0.2.1:5")
        for milliseconds: Int64 in [0, 1, 5000, 9999, 10_000, 10_001, 60_000] {
            log.note(
                from: peer, logger: collector.logger(), now: .uptimeNanoseconds(0) + .milliseconds(milliseconds)
            )
        }
        let lines = collector.lines
        #expect(lines.count == 3, "\(lines)")
        #expect(lines.last?.contains("requests=2") == true && lines.last?.contains("192.0.2.1:5") == true, "\(lines)")
    }
}

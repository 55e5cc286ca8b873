// The admin API end to end, over real sockets: what each resource answers, and every refusal on the way to one.

import Foundation
import NIOCore
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct AdminServerTests {
    private static let backendBody = "{\"address\": \"10.0.0.2:80\"}"
    private static let serviceBody = "{\"address\": \"127.0.0.1:8081\", \"backends\": []}"

    private func text(_ services: [ServiceConfiguration]) -> String {
        String(decoding: ConfigurationEncoder.bytes(of: services), as: UTF8.self)
    }

    // MARK: Reading

    @Test func configurationIsRead() async throws {
        try await AdminFixture.run { admin async throws in
            for path in ["/config", "/_config", "/config?x=1"] {
                let response = try await admin.request("GET", path)
                #expect(response.status == 200)
                #expect(response.body == text([FakeControl.web]))
                #expect(response["content-type"] == "application/json")
                #expect(response["cache-control"] == "no-store")
                #expect(response["date"]?.hasSuffix(" GMT") == true)
                #expect(response.headers.allSatisfy { !$0.name.hasPrefix("access-control") })
            }
            #expect(admin.control.wereCallsOnLoop, "control is asked on its own thread")
        }
    }

    @Test func statisticsAreRead() async throws {
        try await AdminFixture.run { admin async throws in
            let statistics = FakeControl.statistics(of: FakeControl.web)
            let all = String(decoding: StatisticsEncoder.bytes(of: [statistics]), as: UTF8.self)
            #expect(try await admin.request("GET", "/").body == all)
            #expect(try await admin.request("GET", "/_stats").body == all)
            let service = String(decoding: StatisticsEncoder.bytes(of: statistics), as: UTF8.self)
            #expect(try await admin.request("GET", "/web").body == service)
            let backend = String(decoding: StatisticsEncoder.bytes(of: statistics.backends[0]), as: UTF8.self)
            #expect(try await admin.request("GET", "/web/one").body == backend)
        }
    }

    @Test func ringsAreRead() async throws {
        try await AdminFixture.run { admin async throws in
            let response = try await admin.request("GET", "/v1/rings")
            #expect(response.status == 200)
            #expect(response["content-type"] == "application/json")
            #expect(response["cache-control"] == "no-store")
            #expect(response.body == String(decoding: StatisticsEncoder.bytes(of: FakeControl.rings), as: UTF8.self))
            #expect(admin.control.wereCallsOnLoop, "control is asked on its own thread")
            let refused = try await admin.request("PUT", "/v1/rings", body: "[]")
            #expect(refused.status == 405)
            #expect(refused["allow"] == "GET, HEAD")
        }
    }

    @Test func whatIsNotThereIsNotFound() async throws {
        try await AdminFixture.run { admin async throws in
            for (path, type, word) in [
                ("/nobody", "unknown-service", "nobody"), ("/nobody/x", "unknown-service", "nobody"),
                ("/web/nobody", "unknown-backend", "nobody"), ("/web/", "not-found", "slash"),
                ("/a/b/c", "not-found", "3"),
                ("/metrics/x", "not-found", "metrics"), ("/v1/nothing", "not-found", "v1"),
            ] {
                for method in path.hasPrefix("/web/n") || path.hasPrefix("/n")
                    ? ["GET", "DELETE"] : ["GET", "DELETE", "PUT"]
                {
                    let response = try await admin.request(method, path)
                    #expect(response.status == 404, "\(method) \(path)")
                    let problem = try response.problem()
                    #expect(problem.type == "urn:shuttle:problem:\(type)")
                    #expect(problem.detail.contains(word))
                }
            }
            #expect(admin.control.services == [FakeControl.web])
        }
    }

    /// HEAD says what GET would, without the body; the connection goes on.
    @Test func headGoesWhereGetGoes() async throws {
        try await AdminFixture.run { admin async throws in
            for path in [
                "/", "/_stats", "/config", "/_config", "/web", "/web/one", "/livez", "/readyz", "/healthz", "/nobody",
                "/v1/rings", "/v1/nothing",
            ] {
                let get = try await admin.request("GET", path)
                let connection = try await admin.connect()
                await connection.send(admin.head("HEAD", path) + admin.head("GET", path))
                let head = try await connection.response(hasBody: false)
                let after = try await connection.response()
                #expect(head.status == get.status, "\(path)")
                #expect(head["content-length"] == get["content-length"])
                #expect(head["content-length"] == String(get.body.utf8.count))
                #expect(after.body == get.body)
                await connection.close()
            }
        }
    }

    @Test func healthIsReported() async throws {
        try await AdminFixture.run { admin async throws in
            for path in ["/livez", "/readyz", "/healthz"] {
                let response = try await admin.request("GET", path)
                #expect(response.status == 200)
                #expect(response.body == "ok\n")
                #expect(response["content-type"] == "text/plain; charset=utf-8")
                let verbose = try await admin.request("GET", "\(path)?verbose").body
                #expect(verbose.hasPrefix("[+] "))
                #expect(verbose.hasSuffix("\(path.dropFirst()) passed\n"))
            }
            admin.control.setReadiness(
                shuttled.Readiness(checks: [("engine", true, "runs"), ("drain", false, "stopping")]))
            #expect(try await admin.request("GET", "/livez").status == 200)
            for path in ["/readyz", "/healthz"] {
                let response = try await admin.request("GET", path)
                #expect(response.status == 503)
                #expect(response.body == "drain: stopping\n")
                let verbose = try await admin.request("GET", "\(path)?verbose=1")
                #expect(verbose.status == 503)
                #expect(verbose.body == "[+] engine: runs\n[-] drain: stopping\n\(path.dropFirst()) failed\n")
            }
        }
    }

    // MARK: Changing

    @Test(arguments: ["PUT", "POST"]) func servicesAndBackendsAreCreatedAndReplaced(_ method: String) async throws {
        try await AdminFixture.run { admin async throws in
            let created = try await admin.request(method, "/api", body: Self.serviceBody)
            let api = ServiceConfiguration(name: "api", address: "127.0.0.1:8081")
            #expect(created.status == 200)
            #expect(created.body == text([api, FakeControl.web]))
            let added = try await admin.request(method, "/api/two", body: Self.backendBody)
            var withBackend = api
            withBackend.backends = [BackendConfiguration(name: "two", address: "10.0.0.2:80")]
            #expect(added.body == text([withBackend, FakeControl.web]))
            let replaced = try await admin.request(method, "/api", body: Self.serviceBody)
            #expect(replaced.body == text([api, FakeControl.web]))
            #expect(admin.control.services == [api, FakeControl.web])
            #expect(admin.control.origins.map(\.request) == ["\(method) /api", "\(method) /api/two", "\(method) /api"])
            #expect(admin.control.origins.allSatisfy { $0.peer.hasPrefix("127.0.0.1:") })
        }
    }

    @Test func theWholeConfigurationIsReplaced() async throws {
        try await AdminFixture.run { admin async throws in
            let list = "[{\"name\": \"b\", \"address\": \":2\"}, {\"name\": \"a\", \"address\": \":1\"}]"
            let expected = [
                ServiceConfiguration(name: "a", address: ":1"), ServiceConfiguration(name: "b", address: ":2"),
            ]
            #expect(try await admin.request("PUT", "/config", body: list).body == text(expected))
            #expect(try await admin.request("PUT", "/_config", body: "{\"services\": []}").body == "[]\n")
            #expect(admin.control.origins.map(\.pointerPrefix) == ["", "/services"])
        }
    }

    @Test func servicesAndBackendsAreRemoved() async throws {
        try await AdminFixture.run { admin async throws in
            var without = FakeControl.web
            without.backends = []
            #expect(try await admin.request("DELETE", "/web/one").body == text([without]))
            // A body does no harm.
            #expect(try await admin.request("DELETE", "/web", body: "not JSON").body == "[]\n")
            #expect(admin.control.services == [])
        }
    }

    @Test func theAnswerMayBeMinimal() async throws {
        try await AdminFixture.run { admin async throws in
            let prefer = ["Prefer: return=minimal"]
            for (method, path, body) in [
                ("PUT", "/api", Self.serviceBody), ("POST", "/api/x", Self.backendBody), ("DELETE", "/api/x", nil),
                ("DELETE", "/api", nil), ("PUT", "/config", "[]"),
            ] as [(String, String, String?)] {
                let response = try await admin.request(method, path, headers: prefer, body: body)
                #expect(response.status == 204, "\(method) \(path)")
                #expect(response["preference-applied"] == "return=minimal")
                #expect(response["content-length"] == nil)
                #expect(response.body == "")
            }
            // An error is told whatever is preferred.
            #expect(try await admin.request("DELETE", "/api", headers: prefer).problem().detail.contains("api"))
        }
    }

    @Test func refusalsOfControlAreAnswered() async throws {
        try await AdminFixture.run { admin async throws in
            let issue = ConfigurationIssue(pointer: "/address", detail: "taken")
            for (refusal, status, type) in [
                (.invalid([issue]), 400, "invalid-configuration"), (.addressInUse([issue]), 409, "address-in-use"),
                (.cannotListen([issue]), 400, "cannot-listen"), (.shuttingDown, 503, "shutting-down"),
                (.notDurable("fsync: No space left on device"), 500, "not-durable"),
            ] as [(ChangeRefusal, Int, String)] {
                admin.control.refuse(with: refusal)
                let response = try await admin.request("PUT", "/api", body: Self.serviceBody)
                #expect(response.status == status)
                let problem = try response.problem()
                #expect(problem.type == "urn:shuttle:problem:\(type)")
                #expect(problem.pointers == ([400, 409].contains(status) ? ["/address"] : []))
            }
            #expect(admin.control.services == [FakeControl.web])
        }
    }

    @Test func largeConfigurationsAreTakenAndGivenWhole() async throws {
        try await AdminFixture.run { admin async throws in
            let many = (1000..<6000).map { ServiceConfiguration(name: "service-\($0)", address: "127.0.0.1:\($0)") }
            let body = text(many)
            #expect(body.utf8.count > HeavyWork.bytesMin)
            #expect(many.count > HeavyWork.objectsMin)
            #expect(try await admin.request("PUT", "/config", body: body).body == body)
            #expect(try await admin.request("GET", "/config").body == body)
            #expect(admin.control.services == many)
            #expect(admin.control.wereCallsOnLoop, "control is asked on its own thread, whoever did the reading")
            #expect(try await admin.request("PUT", "/config", body: body + "x").problem().detail.contains("line"))
        }
    }

    @Test func longWorkIsDoneElsewhere() async throws {
        try await AdminFixture.run { admin async throws in
            let loop = admin.loop
            await withTaskExecutorPreference(ControlLoopExecutor(loop: loop)) {
                #expect(await HeavyWork.run(isLong: false) { loop.inEventLoop })
                #expect(await HeavyWork.run(isLong: true) { !loop.inEventLoop })
                #expect(loop.inEventLoop)
                struct Failure: Error {}
                for isLong in [true, false] {
                    await #expect(throws: Failure.self) {
                        try await HeavyWork.run(isLong: isLong) { throw Failure() }
                    }
                }
            }
        }
    }

    // MARK: Refusing

    @Test func bodiesAreRefusedWithTheirPlace() async throws {
        try await AdminFixture.run { admin async throws in
            for path in ["/api", "/web/x", "/config"] {
                for body in ["", "{", "[1", "{\"address\": \"127.0.0.1:1\",}", "\u{FEFF}{}"] {
                    let problem = try await admin.request("PUT", path, body: body).problem()
                    #expect(problem.type == "urn:shuttle:problem:malformed-json", "\(path) \(body)")
                    #expect(problem.detail.contains("line 1"))
                }
            }
            let unknown = try await admin.request("PUT", "/web/x", body: "{\"address\": \"h:1\", \"wieght\": 3}")
            #expect(unknown.status == 400)
            #expect(try unknown.problem().pointers == ["/wieght"])
            #expect(try unknown.problem().detail.contains("weight"))
            let name = try await admin.request("PUT", "/a%20b", body: Self.serviceBody)
            #expect(name.status == 400)
            #expect(try name.problem().detail.contains("a b"))
            let differs = try await admin.request("PUT", "/web", body: "{\"name\": \"other\", \"address\": \":1\"}")
            #expect(try differs.problem().pointers == ["/name"])
            #expect(admin.control.services == [FakeControl.web])
        }
    }

    @Test func methodsAreRefusedWithThoseThatAreAllowed() async throws {
        try await AdminFixture.run { admin async throws in
            for (method, path, allowed) in [
                ("PATCH", "/config", "GET, HEAD, PUT"), ("PATCH", "/v1/services/web", "GET, HEAD"),
                ("PUT", "/v1/services/web/backends/one", "GET, HEAD"),
                ("POST", "/config", "GET, HEAD, PUT"), ("DELETE", "/", "GET, HEAD"), ("PUT", "/readyz", "GET, HEAD"),
                ("OPTIONS", "/web", "GET, HEAD, PUT, POST, PATCH, DELETE"),
                ("BREW", "/web", "GET, HEAD, PUT, POST, PATCH, DELETE"),
                ("TRACE", "/config", "GET, HEAD, PUT"),
            ] {
                let response = try await admin.request(method, path, body: "{}")
                #expect(response.status == 405, "\(method) \(path)")
                #expect(response["allow"] == allowed)
                #expect(try response.problem().detail.contains(method))
            }
            #expect(admin.control.services == [FakeControl.web])
        }
    }

    @Test func bodiesOfOtherTypesAreRefused() async throws {
        try await AdminFixture.run { admin async throws in
            for path in ["/api", "/web/x", "/config"] {
                let response = try await admin.request(
                    "PUT", path, headers: ["Content-Type: text/plain"], body: Self.serviceBody
                )
                #expect(response.status == 415)
                #expect(response["accept"] == "application/json")
                #expect(try response.problem().detail.contains("application/json"))
            }
            let form = ["Content-Type: application/x-www-form-urlencoded"]
            #expect(try await admin.request("PUT", "/api", headers: form, body: Self.serviceBody).status == 200)
            let fromPage = form + ["Origin: http://\(admin.address)"]
            #expect(try await admin.request("PUT", "/api", headers: fromPage, body: Self.serviceBody).status == 415)
        }
    }

    /// Passing over these would make another change than the one that was asked for.
    @Test func whatIsNotSupportedIsNotPassedOver() async throws {
        try await AdminFixture.run { admin async throws in
            for (path, header) in [
                ("/web?dry_run=2", nil), ("/web?dry_run", nil), ("/web?confirm=yes", nil), ("/web?%64ry_run=x", nil),
                ("/web", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"),
            ] as [(String, String?)] {
                for (method, body) in [("PUT", Self.serviceBody), ("POST", Self.serviceBody), ("DELETE", nil)] {
                    let headers = header.map { [$0] } ?? []
                    let response = try await admin.request(method, path, headers: headers, body: body)
                    #expect(response.status == 400, "\(method) \(path) \(headers)")
                    let name = header?.split(separator: ":").first.map(String.init)
                    #expect(
                        try response.problem().detail.contains(
                            name ?? (path.contains("confirm") ? "confirm" : "dry_run")))
                }
            }
            #expect(admin.control.services == [FakeControl.web])
            // Reads may carry whatever they like; statistics change by themselves and are never what the client has.
            #expect(try await admin.request("GET", "/web?x=1", headers: ["If-None-Match: \"1\""]).status == 200)
        }
    }

    @Test func strangersAreRefused() async throws {
        try await AdminFixture.run { admin async throws in
            for (method, body) in [("GET", nil), ("PUT", Self.serviceBody), ("DELETE", nil)] as [(String, String?)] {
                let host = try await admin.request(method, "/web", body: body, host: "evil.example")
                #expect(host.status == 403)
                #expect(try host.problem().type == "urn:shuttle:problem:foreign-host")
                let origin = ["Origin: http://evil.example"]
                #expect(try await admin.request(method, "/web", headers: origin, body: body).status == 403)
                let site = ["Sec-Fetch-Site: cross-site"]
                #expect(try await admin.request(method, "/web", headers: site, body: body).status == 403)
                let second = ["Host: \(admin.address)"]
                #expect(try await admin.request(method, "/web", headers: second, body: body).status == 400)
            }
            #expect(admin.control.services == [FakeControl.web])
            let connection = try await admin.connect()
            await connection.send("GET /web HTTP/1.1\r\n\r\n")
            #expect(try await connection.response().problem().detail.contains("Host"))
            await connection.close()
            let port = admin.address.split(separator: ":")[1]
            #expect(try await admin.request("GET", "/web", host: "localhost:\(port)").status == 200)
        }
    }

    /// `GET http://host/path`, as proxies are asked.
    @Test func aTargetWithAHostIsForThatHost() async throws {
        try await AdminFixture.run { admin async throws in
            let own = try await admin.request("GET", "http://\(admin.address)/web?x=1")
            #expect(own.status == 200)
            #expect(own.body.contains("\"web\""))
            for (target, host) in [
                ("http://evil.example/config", nil), ("http://\(admin.address)/config", "evil.example"),
                ("http://evil.example/config", "evil.example"), ("http://x@\(admin.address)/config", nil),
                ("http://\(admin.address).evil.example/config", nil),
            ] {
                let response = try await admin.request("PUT", target, body: "[]", host: host)
                #expect([400, 403].contains(response.status), "\(target)")
                #expect(try !response.problem().detail.isEmpty)
            }
            #expect(admin.control.services == [FakeControl.web])
        }
    }

    @Test func aUnixSocketServesAsWell() async throws {
        let path = "/tmp/shuttle-admin-\(UInt64.random(in: 0 ... .max)).sock"
        try await AdminFixture.run(at: "unix:\(path)") { admin async throws in
            #expect(admin.address == "unix:\(path)")
            #expect(try await admin.request("GET", "/web", host: "whatever.example").status == 200)
            #expect(try await admin.request("PUT", "/api", body: Self.serviceBody, host: "x").status == 200)
            let peer = try #require(admin.control.origins.first?.peer)
            #expect(peer.hasPrefix("unix (pid "))
        }
        #expect(!FileManager.default.fileExists(atPath: path))
    }
}

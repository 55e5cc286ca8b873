// The dashboard as it is served: to whom, with which rules for browsers, and who is sent there.

import Testing

@testable import shuttled

@Suite struct AdminDashboardTests {
    private static let browser = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

    @Test func everyFileIsServed() async throws {
        try await AdminFixture.run { admin async throws in
            for file in [DashboardFile.page] + DashboardFile.parts {
                let path = file.name == "dashboard.html" ? "/dashboard" : "/dashboard/\(file.name)"
                let response = try await admin.request("GET", path)
                #expect(response.status == 200)
                #expect(response.body == String(decoding: file.bytes, as: UTF8.self))
                #expect(response["content-type"] == file.contentType)
                #expect(response["cache-control"] == "no-cache")
                #expect(response["etag"] == "\"\(file.version)\"")
                #expect(response["x-content-type-options"] == "nosniff")
                #expect(response["x-frame-options"] == "DENY")
                #expect(response["referrer-policy"] == "no-referrer")
                let policy = try #require(response["content-security-policy"])
                #expect(policy.hasPrefix("default-src 'none'; script-src 'self'; "))
                #expect(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"))
                #expect(response.headers.allSatisfy { !$0.name.hasPrefix("access-control") })

                let known = try await admin.request("GET", path, headers: ["If-None-Match: \"\(file.version)\""])
                #expect(known.status == 304 && known.body == "" && known["etag"] == response["etag"])
                #expect(known["cache-control"] == "no-cache")
                let other = try await admin.request("GET", path, headers: ["If-None-Match: \"another\""])
                #expect(other.status == 200)
            }
        }
    }

    @Test func whatIsNoneOfItIsNot() async throws {
        try await AdminFixture.run { admin async throws in
            for path in ["/dashboard/nothing.js", "/dashboard/dashboard.html", "/dashboard/", "/dashboard/main.js/x"] {
                #expect(try await admin.request("GET", path).status == 404, "\(path)")
            }
            #expect(try await admin.request("GET", "/dashboard?x=1").status == 400)
            for method in ["PUT", "POST", "DELETE"] {
                #expect(try await admin.request(method, "/dashboard", body: "{}").status == 405)
            }
            let head = try await admin.request("HEAD", "/dashboard")
            #expect(head.status == 200 && head["content-length"] == "\(DashboardFile.page.bytes.count)")
            #expect(try await admin.request("GET", "/dashboard", host: "evil.example").status == 403)
            let cross = try await admin.request("GET", "/dashboard/main.js", headers: ["Sec-Fetch-Site: cross-site"])
            #expect(cross.status == 403)
        }
    }

    @Test func browsersAreSentThere() async throws {
        try await AdminFixture.run { admin async throws in
            let sent = try await admin.request("GET", "/", headers: [Self.browser])
            #expect(sent.status == 302 && sent["location"] == "/dashboard" && sent["vary"] == "Accept")
            #expect(sent["cache-control"] == "no-store" && sent.body == "")
            for accept in ["*/*", "application/json", "text/html,application/json"] {
                let response = try await admin.request("GET", "/", headers: ["Accept: \(accept)"])
                #expect(response.status == 200 && response["content-type"] == "application/json", "\(accept)")
                #expect(response["vary"] == "Accept")
            }
            for path in ["/_stats", "/config", "/web"] {
                #expect(try await admin.request("GET", path, headers: [Self.browser]).status == 200)
            }
        }
    }

    /// The page has no secrets, and a browser no token before it has the page. All else asks for one.
    @Test func thePageTakesNoToken() async throws {
        let token = String(repeating: "r", count: 32)
        let entry = AccessList.Entry(name: "look", role: .read, proof: .token(BearerToken(bytes: Array(token.utf8))))
        try await AdminFixture.run(tokens: AccessTokens(AccessList([entry]))) { admin async throws in
            for path in ["/dashboard", "/dashboard/main.js"] {
                #expect(try await admin.request("GET", path).status == 200)
            }
            #expect(try await admin.request("GET", "/", headers: [Self.browser]).status == 302)
            for path in ["/", "/_stats", "/v1/whoami", "/config", "/dashboards", "/%64ashboard"] {
                #expect(try await admin.request("GET", path).status == 401, "\(path)")
            }
            let response = try await admin.request("GET", "/v1/whoami", headers: ["Authorization: Bearer \(token)"])
            #expect(response.body.contains("\"name\": \"look\"") && response.body.contains("\"role\": \"read\""))
        }
    }

    @Test func withoutTokensEverybodyMayDoEverything() async throws {
        try await AdminFixture.run { admin async throws in
            let response = try await admin.request("GET", "/v1/whoami")
            #expect(response.status == 200 && response["cache-control"] == "no-store")
            let root = try JSONDocument(parsing: Array(response.body.utf8)).root
            #expect(root.member("role")?.string == "write" && root.member("name") != nil)
            #expect(root.member("name")?.string == nil && root.member("peer")?.string?.hasPrefix("127.0.0.1:") == true)
            #expect(try await admin.request("GET", "/v1/whoami?x=1").status == 400)
        }
    }
}

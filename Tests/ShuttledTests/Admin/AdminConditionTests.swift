// Owns changes of parts over HTTP: patches, versions, conditions.

import Hummingbird
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct AdminConditionTests {
    private static let serviceBody = #"{"address": "127.0.0.1:8081"}"#

    @Test func patchesAreMerged() async throws {
        try await AdminFixture.run { admin async throws in
            let type = ["Content-Type: application/merge-patch+json"]
            let changed = try await admin.request("PATCH", "/web", headers: type, body: #"{"fall": 7}"#)
            #expect(changed.status == 200 && admin.control.services[0].fall == 7)
            #expect(admin.control.services[0].backends == FakeControl.web.backends)
            let byName = try await admin.request("PATCH", "/web", body: #"{"backends": {"one": {"weight": 9}}}"#)
            #expect(byName.status == 200 && admin.control.services[0].backends[0].weight == 9)
            let backend = try await admin.request("PATCH", "/web/one", body: #"{"weight": null}"#)
            #expect(backend.status == 200 && admin.control.services[0].backends[0].weight == 1)
            let before = admin.control.services
            let wrong = try await admin.request("PATCH", "/web", body: #"{"backends": {"one": {"weight": -1}}}"#)
            #expect(wrong.status == 400)
            #expect(try wrong.problem().pointers == ["/backends/one/weight"])
            #expect(try await admin.request("PATCH", "/nobody", body: "{}").status == 404)
            #expect(try await admin.request("PATCH", "/web/nobody", body: "{}").status == 404)
            #expect(try await admin.request("PATCH", "/web", body: "{").status == 400)
            let jsonPatch = ["Content-Type: application/json-patch+json"]
            let other = try await admin.request("PATCH", "/web", headers: jsonPatch, body: "[]")
            #expect(other.status == 415 && other["accept-patch"] == "application/merge-patch+json, application/json")
            #expect(try await admin.request("PUT", "/web", headers: type, body: Self.serviceBody).status == 415)
            #expect(admin.control.services == before)
        }
    }

    @Test func everyPartHasItsVersion() async throws {
        try await AdminFixture.run { admin async throws in
            func tag(_ path: String) async throws -> String? { try await admin.request("GET", path)["etag"] }
            for paths in [
                ["/", "/_stats", "/config"], ["/web", "/v1/services/web"],
                ["/web/one", "/v1/services/web/backends/one"],
            ] {
                let tags = [try await tag(paths[0]), try await tag(paths[1])]
                #expect(tags[0] != nil && tags[0] == tags[1], "\(paths)")
            }
            let (whole, web, one) = (try await tag("/config"), try await tag("/web"), try await tag("/web/one"))
            let changed = try await admin.request("PATCH", "/web", body: #"{"fall": 7}"#)
            #expect(changed["etag"] != web, "the answer has the version that it led to")
            #expect(try await tag("/web") == changed["etag"])
            #expect(try await tag("/config") != whole)
            #expect(try await tag("/web/one") == one, "it is as it was")
            #expect(try await admin.request("DELETE", "/web/one")["etag"] == nil)
        }
    }

    @Test func aChangeIsMadeOnlyUnderItsCondition() async throws {
        try await AdminFixture.run { admin async throws in
            let tag = try #require(try await admin.request("GET", "/web")["etag"])
            let body = #"{"fall": 7}"#
            let stale = try await admin.request("PATCH", "/web", headers: [#"If-Match: "other""#], body: body)
            #expect(stale.status == 412 && stale["etag"] == tag)
            #expect(try stale.problem().detail.contains(tag))
            #expect(admin.control.services == [FakeControl.web])
            #expect(try await admin.request("PATCH", "/web", headers: ["If-Match: \(tag)"], body: body).status == 200)
            #expect(try await admin.request("PATCH", "/web", headers: ["If-Match: \(tag)"], body: body).status == 412)
            let present = try await admin.request("PUT", "/web", headers: ["If-None-Match: *"], body: Self.serviceBody)
            #expect(present.status == 412)
            let creates = try await admin.request("PUT", "/api", headers: ["If-None-Match: *"], body: Self.serviceBody)
            #expect(creates.status == 200)
            #expect(
                try await admin.request("PUT", "/new", headers: ["If-Match: *"], body: Self.serviceBody).status == 412)
            let unquoted = try await admin.request("DELETE", "/web", headers: ["If-Match: abc"])
            #expect(unquoted.status == 400)
            #expect(try await admin.request("DELETE", "/web", headers: [#"If-Match: "x""#]).status == 412)
            #expect(admin.control.services.map(\.name) == ["api", "web"])
        }
    }

    @Test func whoHasTheVersionIsSentNothing() async throws {
        try await AdminFixture.run { admin async throws in
            for path in ["/config", "/v1/services/web", "/v1/services/web/backends/one"] {
                let tag = try #require(try await admin.request("GET", path)["etag"])
                let same = try await admin.request("GET", path, headers: ["If-None-Match: W/\(tag)"])
                #expect(same.status == 304 && same["etag"] == tag && same.body.isEmpty)
                #expect(try await admin.request("GET", path, headers: [#"If-None-Match: "x""#]).status == 200)
                #expect(try await admin.request("GET", path, headers: [#"If-Match: "x""#]).status == 412)
            }
            #expect(try await admin.request("GET", "/v1/services/nobody").status == 404)
            #expect(try await admin.request("GET", "/v1/services/web/backends/nobody").status == 404)
            #expect(try await admin.request("GET", "/v1/services/nobody/backends/one").status == 404)
        }
    }
}

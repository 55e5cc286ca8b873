// `/v1/recent` and `/metrics` over real sockets: what is answered, and what is said to questions that make no sense.

import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct RecentSessionsTests {
    @Test func sessionsArePrinted() throws {
        let recent = try #require(FakeControl.recent(true))
        let printed = String(decoding: RecentSessionsEncoder.bytes(of: recent), as: UTF8.self)
        let first = """
            {
              "remembered_per_ring": 1000,
              "sessions": [
                {
                  "started": "2025-11-25T23:59:59.029Z",
                  "ended": "2025-11-25T23:59:59.030Z",
                  "service": "web",
                  "backend": "one",
                  "backend_address": "10.0.0.1:80",
                  "client": "192.0.2.1:4711",
                  "network": "tcp",
                  "ring": 1,
                  "reason": "client_closed",
                  "retries": 1,
                  "sent": 11,
                  "received": 12,
                  "duration_microseconds": 1234,
                  "connect_microseconds": 100,
                  "first_byte_microseconds": 200,
                  "wait_microseconds": 3,
                  "client_rtt_microseconds": 21,
                  "client_retransmits": 0,
                  "backend_rtt_microseconds": 22,
                  "backend_retransmits": 3
                },
            """
        #expect(printed.hasPrefix(first), "\(printed)")
        let last = """
                  "service": "gone",
                  "backend": null,
                  "backend_address": null,
                  "client": null,
                  "network": "udp",
                  "ring": 0,
                  "reason": "idle",
                  "retries": 0,
                  "sent": 0,
                  "received": 0,
                  "duration_microseconds": 0,
                  "connect_microseconds": null,
                  "first_byte_microseconds": null,
                  "wait_microseconds": 0,
                  "client_rtt_microseconds": null,
                  "client_retransmits": null,
                  "backend_rtt_microseconds": null,
                  "backend_retransmits": null
                }
              ]
            }

            """
        #expect(printed.hasSuffix(last), "\(printed)")
    }

    @Test(
        arguments: [
            ("", 3), ("?limit=2", 2), ("?service=web", 2), ("?service=gone", 1), ("?backend=two", 1),
            ("?service=web&backend=one", 1), ("?reason=idle", 1), ("?reason=idle,connect_refused", 2),
            ("?reason=denied", 0), ("?service=web&reason=idle", 0), ("?service=web&backend=one&reason=cut", 0),
        ])
    func sessionsAreChosen(query: String, count: Int) async throws {
        try await AdminFixture.run { admin async throws in
            let response = try await admin.request("GET", "/v1/recent\(query)")
            #expect(response.status == 200, "\(response.body)")
            let sessions = try JSONDocument(parsing: Array(response.body.utf8)).root.member("sessions")
            #expect(sessions.map { Array($0.children).count } == count)
            #expect(admin.control.wereCallsOnLoop)
        }
    }

    @Test(
        arguments: [
            ("?limit=0", 400, "limit is \"0\"; it must be an integer from 1 to 10000"),
            ("?limit=10001", 400, "10000"), ("?limit=1.5", 400, "an integer"), ("?limit=+5", 400, "limit is"),
            ("?limit=", 400, "limit is \"\""), ("?limit=1&limit=2", 400, "twice"),
            ("?reason=tired", 400, "client_closed"), ("?reason=", 400, "reason has \"\""),
            ("?reason=idle,", 400, "reason has \"\""), ("?reasons=idle", 400, "use service, backend, reason, limit"),
            ("?service=nobody", 404, "no service \"nobody\""), ("?service=web&backend=x", 404, "no backend \"x\""),
            ("?backend=x", 404, "no service has a backend \"x\""),
        ])
    func questionsThatMakeNoSense(query: String, status: Int, words: String) async throws {
        try await AdminFixture.run { admin async throws in
            let response = try await admin.request("GET", "/v1/recent\(query)")
            #expect(response.status == status, "\(response.body)")
            let detail = try JSONDocument(parsing: Array(response.body.utf8)).root.member("detail")?.string
            #expect(detail?.contains(words) == true, "\(detail ?? "")")
        }
    }

    @Test func nothingIsRemembered() async throws {
        try await AdminFixture.run { admin async throws in
            admin.control.forgetSessions()
            let response = try await admin.request("GET", "/v1/recent")
            #expect(response.status == 404 && response.body.contains("-recent 0"))
        }
    }

    @Test func metricsAreAnswered() async throws {
        try await AdminFixture.run { admin async throws in
            let response = try await admin.request("GET", "/metrics")
            #expect(response.status == 200)
            #expect(response["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            #expect(response["cache-control"] == "no-store")
            #expect(response.body.contains("\nshuttle_service_connections_total{service=\"web\"} 14\n"))
            #expect(response.body.contains("\nshuttle_ring_turns_total{ring=\"1\"} 33\n"))
            #expect(admin.control.wereCallsOnLoop)
            #expect(try await admin.request("HEAD", "/metrics").status == 200)
            let refused = try await admin.request("GET", "/metrics?name=x")
            #expect(refused.status == 400 && refused.body.contains("name"))
            #expect(try await admin.request("PUT", "/metrics", body: "x").status == 405)
        }
    }
}

// The conduct of connections, over real sockets: what a client may send in which order, and how each connection ends.

import NIOCore
import NIOPosix
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct AdminConnectionTests {
    private static let serviceBody = "{\"address\": \"127.0.0.1:8081\"}"

    // MARK: One request after the other

    @Test func aConnectionIsKept() async throws {
        try await AdminFixture.run { admin async throws in
            let connection = try await admin.connect()
            for _ in 0..<5 {
                await connection.send(admin.head("GET", "/web"))
                let response = try await connection.response()
                #expect(response.status == 200)
                #expect(response["connection"] == nil)
                await connection.send(admin.head("PUT", "/api", body: Self.serviceBody) + Self.serviceBody)
                #expect(try await connection.response().status == 200)
                await connection.send(admin.head("GET", "/nobody"))
                #expect(try await connection.response().status == 404)
            }
            await connection.close()
        }
    }

    @Test func requestsMayComeAtOnce() async throws {
        try await AdminFixture.run { admin async throws in
            let connection = try await admin.connect()
            let names = (0..<20).map { "s\($0)" }
            // In one piece with a body each, and the end right behind.
            await connection.send(
                names.map { admin.head("PUT", "/\($0)", body: Self.serviceBody) + Self.serviceBody }.joined()
                    + admin.head("GET", "/config")
            )
            await connection.finish()
            for name in names {
                let response = try await connection.response()
                #expect(response.status == 200)
                #expect(response.body.contains("\"\(name)\""))
            }
            let last = try await connection.response()
            #expect(names.allSatisfy { last.body.contains("\"\($0)\"") })
            #expect(try await connection.untilClosed() == "")
            #expect(admin.control.origins.map(\.request) == names.map { "PUT /\($0)" }, "in their order")
        }
    }

    @Test func aRequestMayComeByteByByte() async throws {
        try await AdminFixture.run { admin async throws in
            let connection = try await admin.connect()
            let request = admin.head("PUT", "/api", body: Self.serviceBody) + Self.serviceBody
            for character in request {
                await connection.send(String(character))
            }
            #expect(try await connection.response().status == 200)
            #expect(admin.control.services.map(\.name) == ["api", "web"])
            await connection.close()
        }
    }

    @Test func whatFollowsWaitsForTheAnswerBefore() async throws {
        try await AdminFixture.run { admin async throws in
            let gate = admin.loop.makePromise(of: Void.self)
            admin.control.setGate(gate.futureResult)
            let connection = try await admin.connect()
            await connection.send(
                admin.head("PUT", "/api", body: Self.serviceBody) + Self.serviceBody + "nonsense\r\n\r\n"
            )
            await connection.finish()
            // Others are served meanwhile.
            #expect(try await admin.request("GET", "/web").status == 200)
            gate.succeed()
            #expect(try await connection.response().status == 200)
            let nonsense = try await connection.response()
            #expect(nonsense.status == 400)
            #expect(nonsense["connection"] == "close")
            #expect(try await connection.untilClosed() == "")
        }
    }

    // MARK: The end of a connection

    @Test(arguments: ["close", "Close", "close, TE", "keep-alive, close"])
    func aClientMayEndIt(_ value: String) async throws {
        try await AdminFixture.run { admin async throws in
            let connection = try await admin.connect()
            await connection.send(admin.head("GET", "/web", headers: ["Connection: \(value)"]))
            let response = try await connection.response()
            #expect(response.status == 200)
            #expect(response["connection"] == "close")
            #expect(try await connection.untilClosed() == "")
        }
    }

    @Test func olderClientsAreServed() async throws {
        try await AdminFixture.run { admin async throws in
            let connection = try await admin.connect()
            await connection.send("GET /web HTTP/1.0\r\nHost: \(admin.address)\r\nConnection: keep-alive\r\n\r\n")
            let kept = try await connection.response()
            #expect(kept.status == 200)
            #expect(kept["connection"] == "keep-alive")
            await connection.send("GET /web HTTP/1.0\r\nHost: \(admin.address)\r\n\r\n")
            let last = try await connection.response()
            #expect(last["connection"] == "close")
            #expect(last.body == kept.body)
            #expect(try await connection.untilClosed() == "")
        }
    }

    /// More than fits into the kernel's buffers.
    private static let large = (0..<20_000).map {
        ServiceConfiguration(name: "service-\($0)", address: "127.0.0.1:\($0 + 1)")
    }

    /// As `printf … | nc` does. Most of the answer waits for room in the kernel when both sides have nothing to add.
    @Test(arguments: [[], ["Connection: close"]]) func aClientMayCloseItsSideFirst(_ headers: [String]) async throws {
        try await AdminFixture.run(Self.large) { admin async throws in
            let connection = try await admin.connect()
            await connection.send(admin.head("GET", "/config", headers: headers))
            await connection.finish()
            let response = try await connection.response()
            #expect(response.status == 200)
            #expect(response.body.utf8.count > 4_500_000)
            #expect(response.body.hasSuffix("]\n"))
            #expect(try await connection.untilClosed() == "")
        }
    }

    @Test func anOfferToUpgradeIsPassedOver() async throws {
        try await AdminFixture.run { admin async throws in
            let upgrade = [
                "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
            ]
            for (method, path, body) in [("GET", "/web", nil), ("PUT", "/api", Self.serviceBody)]
                as [(String, String, String?)]
            {
                let connection = try await admin.connect()
                await connection.send(admin.head(method, path, headers: upgrade, body: body) + (body ?? ""))
                let response = try await connection.response()
                #expect(response.status == 200)
                #expect(response["connection"] == "close")
                #expect(try await connection.untilClosed() == "")
            }
            #expect(admin.control.services.map(\.name) == ["api", "web"])
        }
    }

    @Test func aClientMayVanish() async throws {
        try await AdminFixture.run { admin async throws in
            let gate = admin.loop.makePromise(of: Void.self)
            admin.control.setGate(gate.futureResult)
            let head = admin.head("PUT", "/api", body: Self.serviceBody)
            // Before, within and after the request.
            for text in ["", "PUT /a", head, head + Self.serviceBody.dropLast(), head + Self.serviceBody] {
                let connection = try await admin.connect()
                if text.isEmpty == false { await connection.send(text) }
                await connection.close()
            }
            try await eventually { admin.control.changesAsked == 1 }
            gate.succeed()
            admin.control.setGate(nil)
            // Only what came whole is carried out, and whole although nobody waits for the answer.
            try await admin.request("PUT", "/last", body: Self.serviceBody).expect(200)
            #expect(admin.control.origins.map(\.request) == ["PUT /api", "PUT /last"])
        }
    }

    // MARK: Bodies

    @Test func aBodyMayComeInChunks() async throws {
        try await AdminFixture.run { admin async throws in
            let connection = try await admin.connect()
            await connection.send(
                admin.head("PUT", "/api", headers: ["Transfer-Encoding: chunked", "Content-Type: application/json"])
                    + "1\r\n{\r\n" + "1c\r\n\"address\": \"127.0.0.1:8081\"}\r\n" + "0\r\n\r\n"
            )
            #expect(try await connection.response().status == 200)
            #expect(admin.control.services.map(\.name) == ["api", "web"])
            await connection.close()
        }
    }

    @Test func aClientThatAsksIsAskedForItsBody() async throws {
        try await AdminFixture.run { admin async throws in
            let expect = ["Expect: 100-continue"]
            let connection = try await admin.connect()
            await connection.send(admin.head("PUT", "/api", headers: expect, body: Self.serviceBody))
            #expect(try await connection.response().status == 100)
            await connection.send(Self.serviceBody)
            #expect(try await connection.response().status == 200)
            // Refused at once: it is not asked for a body that nobody wants.
            await connection.send(admin.head("PUT", "/a/b/c", headers: expect, body: Self.serviceBody))
            let refused = try await connection.response()
            #expect(refused.status == 404)
            #expect(refused["connection"] == "close")
            #expect(try await connection.untilClosed() == "")
        }
    }

    @Test func aBodyMayBeAsLargeAsItsLimit() async throws {
        var limits = AdminLimits()
        limits.objectBytesMax = 1000
        limits.configurationBytesMax = 3000
        try await AdminFixture.run(limits: limits) { admin async throws in
            func padded(_ body: String, to count: Int) -> String {
                body + String(repeating: " ", count: count - body.utf8.count)
            }
            #expect(try await admin.request("PUT", "/api", body: padded(Self.serviceBody, to: 1000)).status == 200)
            #expect(try await admin.request("PUT", "/config", body: padded("[]", to: 3000)).status == 200)
            for (path, body) in [("/api", padded(Self.serviceBody, to: 1001)), ("/config", padded("[]", to: 3001))] {
                let declared = try await admin.request("PUT", path, body: body)
                #expect(declared.status == 413)
                #expect(try declared.problem().detail.contains(String(body.utf8.count)))
                let chunked = try await admin.connect()
                let fields = ["Transfer-Encoding: chunked", "Content-Type: application/json"]
                await chunked.send(admin.head("PUT", path, headers: fields))
                await chunked.send("\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n")
                #expect(try await chunked.response().status == 413)
                await chunked.close()
            }
            #expect(admin.control.services == [])
        }
    }

    /// The refusal comes before the body, and reaches a client that sends all of it before it reads.
    @Test func aRefusalReachesAClientThatGoesOnSending() async throws {
        try await AdminFixture.run { admin async throws in
            let json = ["Content-Type: application/json"]
            let early = try await admin.connect()
            await early.send(admin.head("PUT", "/config", headers: json + ["Content-Length: 67108865"]))
            let response = try await early.response()
            #expect(response.status == 413)
            #expect(response["connection"] == "close")
            await early.close()

            let stubborn = try await admin.connect()
            await stubborn.send(admin.head("PUT", "/api", headers: json + ["Content-Length: 20000000"]))
            await stubborn.send(megabytes: 20)
            #expect(try await stubborn.response().status == 413)
            #expect(try await stubborn.untilClosed() == "")
            #expect(admin.control.services == [FakeControl.web])
        }
    }

    /// A connection that is closed with unread input is reset, and a reset destroys what has not been taken yet.
    @Test func anAnswerSurvivesWhatIsStillSent() async throws {
        try await AdminFixture.run(Self.large) { admin async throws in
            let connection = try await admin.connect()
            try await connection.channel.setOption(.autoRead, value: false).get()
            await connection.send(admin.head("GET", "/config", headers: ["Content-Length: 30000000"]))
            await connection.send(megabytes: 20)
            try await connection.channel.setOption(.autoRead, value: true).get()
            let response = try await connection.response()
            #expect(response.status == 200)
            #expect(response["connection"] == "close")
            #expect(response.body.hasSuffix("]\n"))
            #expect(try await connection.untilClosed() == "")
        }
    }

    // MARK: What is no request

    /// A request with `count` fields of `length` characters each.
    private static func large(fields count: Int, of length: Int) -> String {
        var text = "GET /web HTTP/1.1\r\n"
        for index in 0..<count {
            text += "X\(index): \(String(repeating: "x", count: length))\r\n"
        }
        return text + "\r\n"
    }

    private static let nonsense: [(String, Int)] = [
        ("nonsense\r\n\r\n", 400), ("GET\r\n\r\n", 400), ("GET /web HTTP/2.0\r\n\r\n", 400),
        ("\u{16}\u{03}\u{01}\u{02}\u{00}\u{01}\u{00}", 400), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        ("GET /web HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n", 400),
        ("GET /web HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n", 400),
        ("PUT /web HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        ("PUT /web HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        ("PUT /web HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        ("PUT /web HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET /\(String(repeating: "x", count: 9000)) HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (large(fields: 1, of: 9000), 431), (large(fields: 65, of: 1), 431), (large(fields: 3, of: 7000), 431),
    ]

    @Test(arguments: nonsense)
    func nonsenseIsAnswered(_ text: String, _ status: Int) async throws {
        try await AdminFixture.run { admin async throws in
            let connection = try await admin.connect()
            await connection.send(text)
            let response = try await connection.response()
            #expect(response.status == status)
            #expect(response["connection"] == "close")
            #expect(response["date"] != nil)
            #expect(try !response.problem().detail.isEmpty)
            #expect(try await connection.untilClosed() == "")
            #expect(admin.control.services == [FakeControl.web])
        }
    }

    @Test func aBrokenBodyChangesNothing() async throws {
        try await AdminFixture.run { admin async throws in
            let chunked = admin.head(
                "PUT", "/api", headers: ["Transfer-Encoding: chunked", "Content-Type: application/json"])
            let declared = admin.head("PUT", "/api", body: Self.serviceBody)
            for text in [
                chunked + "zz\r\n", chunked + "1d\r\n\(Self.serviceBody)\r\nzz", declared + Self.serviceBody.dropLast(),
                chunked + "1d\r\n\(Self.serviceBody)\r\n", "GET /web HTTP/1.1\r\nHost:",
            ] {
                let connection = try await admin.connect()
                await connection.send(text)
                await connection.finish()
                let response = try await connection.response()
                #expect(response.status == 400, "\(text)")
                #expect(try !response.problem().detail.isEmpty)
                #expect(try await connection.untilClosed() == "")
            }
            #expect(admin.control.services == [FakeControl.web])
        }
    }
}

extension RawResponse {
    @discardableResult func expect(_ status: Int) -> RawResponse {
        #expect(self.status == status, "\(self)")
        return self
    }
}

extension RawConnection {
    /// Spaces, as long as they are taken.
    fileprivate func send(megabytes count: Int) async {
        let piece = Array(repeating: UInt8(ascii: " "), count: 1_000_000)
        for _ in 0..<count {
            await send(bytes: piece)
        }
    }
}

// Checks by HTTP, against servers with bad habits: which answers are good, and what is said of the others.

import NIOCore
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct HTTPConversationTests {
    private static func probe(_ status: String = "200-399", path: String = "/", host: String = "b:1") -> CheckProbe {
        .http(HTTPQuestion(path: path, host: host, status: StatusRanges(status)!))
    }

    private static func outcome(
        of habit: CheckServer.Habit, status: String = "200-399", timeout: TimeAmount = .seconds(10)
    ) async throws -> CheckOutcome {
        try await CheckServer.outcome(of: habit, probe(status), timeout: timeout)
    }

    private static func answer(_ status: String) -> CheckServer.Habit {
        .answers(Array("HTTP/1.1 \(status)\r\nContent-Length: 2\r\n\r\nok".utf8))
    }

    @Test(arguments: [
        ("200 OK", "200-399"), ("302 Found", "200-399"), ("204 No Content", "200,204"), ("503 Out", "503"),
        ("401 Unauthorized", "200-299,401"),
    ])
    func aStatusInTheRangeIsGood(_ status: String, _ range: String) async throws {
        #expect(try await Self.outcome(of: Self.answer(status), status: range) == .succeeded)
    }

    @Test(arguments: [
        ("503 Service Unavailable", "200-399", "status 503, expected 200-399"),
        ("404 Not Found", "200-399", "status 404, expected 200-399"),
        ("200 OK", "201,300-399", "status 200, expected 201,300-399"),
    ])
    func anotherStatusIsNot(_ status: String, _ range: String, _ reason: String) async throws {
        #expect(try await Self.outcome(of: Self.answer(status), status: range) == .failed(reason))
    }

    @Test func theQuestion() async throws {
        try await ControlTesting.onLoop { loop in
            let server = try await CheckServer(.answersAndCloses("HTTP/1.1 200 OK\r\n\r\n"), on: loop)
            let probe = Self.probe(path: "/health?full=1", host: "www.example:8080")
            let outcome = try await ActiveCheck(loop: loop).check(CheckServer.target(server.address, probe)).get()
            #expect(outcome == .succeeded)
            #expect(
                server.text
                    == "GET /health?full=1 HTTP/1.1\r\nHost: www.example:8080\r\nUser-Agent: shuttle-check\r\n"
                    + "Accept: */*\r\nConnection: close\r\n\r\n")
        }
    }

    @Test func provisionalAnswersAreNotTheAnswer() async throws {
        let text = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
        let outcome = try await Self.outcome(of: .answers(Array(text.utf8)))
        #expect(outcome == .failed("status 503, expected 200-399"))
    }

    @Test func anAnswerInSingleBytesIsAnAnswer() async throws {
        let habit = CheckServer.Habit.drips("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", every: .milliseconds(2))
        #expect(try await Self.outcome(of: habit) == .succeeded)
    }

    @Test func anAnswerThatIsTooSlowIsNone() async throws {
        let habit = CheckServer.Habit.drips("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", every: .milliseconds(60))
        let outcome = try await Self.outcome(of: habit, timeout: .milliseconds(300))
        guard case .failed(let reason) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(reason.hasPrefix(#"the answer's header is not complete within 300 ms, got "HTT"#), "\(reason)")
    }

    @Test func silenceIsNoAnswer() async throws {
        let outcome = try await Self.outcome(of: .silent, timeout: .milliseconds(100))
        #expect(outcome == .failed("no answer within 100 ms"))
    }

    @Test func garbageIsShownUpToALength() async throws {
        let outcome = try await Self.outcome(of: .speaks("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"))
        #expect(
            outcome == .failed(#"expected an answer in HTTP, got "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n""#))
        let binary = try await Self.outcome(of: .answers([UInt8](repeating: 0xFF, count: 5000)))
        #expect(
            binary
                == .failed(
                    "expected an answer in HTTP, got \"\(String(repeating: "\\xff", count: CheckReason.shownMax))…\""))
    }

    @Test func anEndBeforeTheHeaderIsComplete() async throws {
        #expect(try await Self.outcome(of: .closesWhenAsked) == .failed("closed without an answer"))
        // Whether the question comes before its close is chance; a reset answers it then.
        let end = try await Self.outcome(of: .closesAtOnce)
        let ends = ["closed without an answer", "connection reset by peer", "broken pipe"]
        #expect(ends.contains { end == .failed($0) }, "\(end)")
        #expect(
            try await Self.outcome(of: .answersAndCloses("HTTP/1.1 200 OK\r\nA: "))
                == .failed(#"closed before the answer's header was complete, got "HTTP/1.1 200 OK\r\nA: ""#))
        #expect(try await Self.outcome(of: .resetsWhenAsked) == .failed("connection reset by peer"))
    }

    @Test(arguments: ["A: \(String(repeating: "x", count: 100))\r\n", "x"])
    func aHeaderWithoutAnEndIsGivenUp(_ piece: String) async throws {
        let text = "HTTP/1.1 200 OK\r\nB: " + String(repeating: piece, count: 300_000 / piece.utf8.count)
        let outcome = try await Self.outcome(of: .answers(Array(text.utf8)))
        let reasons = [HTTPConversation.reasonWhenTooLong, "the header of the answer has too many fields"]
        #expect(reasons.contains { outcome == .failed($0) }, "\(outcome)")
    }

    @Test func aLargeHeaderWithinTheLimitIsFine() async throws {
        let text = "HTTP/1.1 200 OK\r\nA: \(String(repeating: "x", count: 15_000))\r\n\r\n"
        #expect(try await Self.outcome(of: .answers(Array(text.utf8))) == .succeeded)
    }

    /// The body is taken in for a moment, so that the server sees an end and no reset.
    @Test func theConnectionEndsPolitelyAlsoAfterABadStatus() async throws {
        try await ControlTesting.onLoop { loop in
            let body = String(repeating: "x", count: 100_000)
            let server = try await CheckServer(.answers(Array("HTTP/1.1 500 No\r\n\r\n\(body)".utf8)), on: loop)
            let check = ActiveCheck(loop: loop)
            let outcome = try await check.check(CheckServer.target(server.address, Self.probe())).get()
            #expect(outcome == .failed("status 500, expected 200-399"))
            try await ControlTesting.eventually("the server sees the end") { server.ends == 1 }
            #expect(server.resets == 0)
        }
    }

    @Test func aBodyWithoutAnEndIsLeft() async throws {
        try await ControlTesting.onLoop { loop in
            let server = try await CheckServer(.floods("HTTP/1.1 200 OK\r\n\r\n"), on: loop)
            let check = ActiveCheck(loop: loop)
            let outcome = try await check.check(CheckServer.target(server.address, Self.probe())).get()
            #expect(outcome == .succeeded)
            try await ControlTesting.eventually("the server is left") { server.resets + server.ends == 1 }
        }
    }
}

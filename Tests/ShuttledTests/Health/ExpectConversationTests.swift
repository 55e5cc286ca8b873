// Checks that expect bytes, against servers with bad habits, and the search for the bytes.

import NIOCore
import Testing

@testable import shuttled

@Suite struct ExpectConversationTests {
    private static func probe(_ send: String, _ expect: String) -> CheckProbe {
        .expect(ExpectedAnswer(send: Array(send.utf8), expect: Array(expect.utf8)))
    }

    private static func outcome(
        of habit: CheckServer.Habit, send: String = "PING\r\n", expect: String = "+PONG",
        timeout: TimeAmount = .seconds(10)
    ) async throws -> CheckOutcome {
        try await CheckServer.outcome(of: habit, probe(send, expect), timeout: timeout)
    }

    @Test func theAnswerIsGoodThatContainsWhatIsExpected() async throws {
        try await ControlTesting.onLoop { loop in
            let server = try await CheckServer(.answers(Array("+PONG\r\n".utf8)), on: loop)
            let target = CheckServer.target(server.address, Self.probe("PING\r\n", "+PONG"))
            #expect(try await ActiveCheck(loop: loop).check(target).get() == .succeeded)
            #expect(server.text == "PING\r\n")
            try await ControlTesting.eventually("a polite end") { server.ends == 1 }
            #expect(server.resets == 0)
        }
        let greeting = CheckServer.Habit.speaks("220 mail.example ESMTP\r\n")
        #expect(try await Self.outcome(of: greeting, send: "", expect: "220 ") == .succeeded)
        #expect(try await Self.outcome(of: .answersAndCloses("say +PONG now")) == .succeeded)
    }

    @Test func itMayComeInPieces() async throws {
        let outcome = try await Self.outcome(of: .drips("-LOADING\r\n+PO+PONG\r\n", every: .milliseconds(1)))
        #expect(outcome == .succeeded)
    }

    @Test func anotherAnswerIsWaitedOutAndShown() async throws {
        let loading = "-LOADING Redis is loading the dataset in memory\r\n"
        let outcome = try await Self.outcome(of: .answers(Array(loading.utf8)), timeout: .milliseconds(100))
        #expect(
            outcome
                == .failed(
                    #"expected "+PONG" within 100 ms, got "-LOADING Redis is loading the dataset in memory\r…""#))
    }

    @Test func theEndsThatCome() async throws {
        #expect(try await Self.outcome(of: .silent, timeout: .milliseconds(100)) == .failed("no answer within 100 ms"))
        #expect(try await Self.outcome(of: .closesWhenAsked) == .failed("closed without an answer"))
        #expect(
            try await Self.outcome(of: .answersAndCloses("-ERR\r\n"))
                == .failed(#"expected "+PONG", got "-ERR\r\n" and the end"#))
        #expect(try await Self.outcome(of: .resetsWhenAsked) == .failed("connection reset by peer"))
    }

    @Test func anAnswerIsReadUpToALimit() async throws {
        let limit = ExpectConversation.answerMax
        let tooLate = String(repeating: "x", count: limit) + "+PONG"
        let outcome = try await Self.outcome(of: .answers(Array(tooLate.utf8)))
        guard case .failed(let reason) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(reason.hasPrefix(#"expected "+PONG" in the first 16384 bytes, got "xxx"#) && reason.count < 150)
        let justInTime = String(repeating: "x", count: limit - 5) + "+PONG"
        #expect(try await Self.outcome(of: .answers(Array(justInTime.utf8))) == .succeeded)
        guard case .failed = try await Self.outcome(of: .floods("never ")) else {
            Issue.record("a flood is not an answer")
            return
        }
    }

    @Test func bytesAreShownEscaped() async throws {
        let outcome = try await Self.outcome(of: .answersAndCloses("\u{1B}[2J\"\\\0"), expect: "\u{7F}\u{1}")
        #expect(outcome == .failed(#"expected "\x7f\x01", got "\x1b[2J\"\\\x00" and the end"#))
    }

    /// Against the definition, for all short texts over two letters.
    @Test func theSearchFindsWhatIsThere() {
        func words(_ length: Int) -> [[UInt8]] {
            (0..<(1 << length)).map { word in (0..<length).map { UInt8(word >> $0 & 1) } }
        }
        for pattern in (1...3).flatMap(words) {
            for text in (0...6).flatMap(words) {
                let isThere = text.indices.contains { text[$0...].starts(with: pattern) }
                #expect(ExpectConversation.contains(text[...], pattern) == isThere, "\(pattern) in \(text)")
            }
        }
    }
}

// Exit codes of the client, and how what went wrong is told.

import NIOHTTP1
import Testing

@testable import shuttled

@Suite struct ClientFailureTests {
    private static func answer(_ status: Int, _ body: String, type: String = "application/problem+json") -> ClientAnswer
    {
        ClientAnswer(status: status, headers: ["Content-Type": type], body: Array(body.utf8))
    }

    private static func problem(_ status: Int, _ kind: String, _ errors: String = "") -> ClientAnswer {
        answer(
            status,
            #"{"type": "urn:shuttle:problem:\#(kind)", "title": "t", "status": \#(status), "detail": "why"\#(errors)}"#
        )
    }

    @Test(arguments: [
        (200, nil), (204, nil), (400, ClientStatus.refused), (401, .unauthorised), (403, .unauthorised),
        (404, .notFound),
        (405, .refused), (408, .refused), (409, .refused), (412, .conditionFailed), (413, .refused),
        (500, .serverFault),
        (503, .serverFault), (302, .notUnderstood), (101, .notUnderstood),
    ])
    func everyStatusHasItsExitCode(_ status: Int, _ expected: ClientStatus?) {
        #expect(ClientStatus(answer: status) == expected)
        #expect(ClientFailure(Self.problem(status, "x"))?.status == expected)
    }

    @Test func exitCodesAreDistinctAndInTheHelp() {
        #expect(Set(ClientStatus.allCases.map(\.rawValue)).count == ClientStatus.allCases.count)
        let help = CtlCommand.helpMessage(columns: 10_000)
        for status in ClientStatus.allCases {
            #expect(help.contains("\(status.rawValue) \(status.meaning)"))
        }
    }

    @Test func onlyTheWaitsOwnEndIsNotReached() {
        #expect(ClientFailure(Self.problem(408, "wait-timeout"))?.status == .notReached)
        #expect(ClientFailure(Self.problem(408, "request-timeout"))?.status == .refused)
    }

    @Test func everyFaultyFieldIsNamed() throws {
        let errors = #", "errors": [{"pointer": "/a", "detail": "one"}, {"pointer": "", "detail": "two"}]"#
        let failure = try #require(ClientFailure(Self.problem(400, "invalid-configuration", errors)))
        #expect(failure.text == "shuttled ctl: why\n  /a: one\n  (all of it): two\n")
    }

    @Test func aSingleFaultIsNotToldTwice() throws {
        let body = #"{"detail": "at \"/a\": no", "errors": [{"pointer": "/a", "detail": "no"}]}"#
        #expect(ClientFailure(Self.answer(400, body))?.lines == [#"at "/a": no"#])
    }

    @Test func aTerminalObeysNoAnswer() throws {
        let failure = try #require(ClientFailure(Self.answer(400, #"{"detail": "a\u001b[2Jb\nc\u202e"}"#)))
        #expect(failure.lines == ["a\\u{1b}[2Jb\\u{a}c\\u{202e}"])
    }

    @Test func whoIsNoShuttledIsSeenThrough() {
        let page = Self.answer(404, "<html>", type: "text/html")
        #expect(ClientFailure(page)?.status == .notUnderstood)
        #expect(ClientFailure(Self.answer(502, "{", type: "text/html"))?.status == .serverFault)
        #expect(ClientFailure(Self.answer(400, "[1]"))?.status == .notUnderstood)
    }

    @Test func whoHasNoTokenIsToldWhereItComesFrom() throws {
        let failure = try #require(ClientFailure(Self.problem(401, "unauthorized")))
        #expect(failure.status == .unauthorised && failure.text.contains("SHUTTLE_TOKEN"))
        let foreign = try #require(ClientFailure(Self.problem(403, "foreign-host")))
        #expect(foreign.status == .unauthorised && !foreign.text.contains("SHUTTLE_TOKEN"))
    }
}

// What the client makes of `field=value`, and of a stream of events.

import Testing

@testable import shuttled

@Suite struct ClientFormsTests {
    @Test(arguments: [
        (["weight=5"], #"{"weight": 5}"#), (["state=drain"], #"{"state": "drain"}"#),
        (["a=null", "b=true"], #"{"a": null, "b": true}"#),
        (["a="], #"{"a": ""}"#), (["a=x=y"], #"{"a": "x=y"}"#), ([#"a="5""#], #"{"a": "5"}"#),
        (["m=0660"], #"{"m": "0660"}"#),
        (["check.type=http", "fall=3", "check.path=/x"], #"{"check": {"type": "http", "path": "/x"}, "fall": 3}"#),
        ([#"allow=["10.0.0.0/8"]"#], #"{"allow": ["10.0.0.0/8"]}"#), ([#"a=say "hi""#], #"{"a": "say \"hi\""}"#),
    ])
    func assignmentsBecomeAPatch(_ assignments: [String], _ json: String) throws {
        #expect(String(decoding: try MergePatch(assignments).bytes, as: UTF8.self) == json)
    }

    @Test(arguments: [
        ["weight"], ["=5"], [".a=1"], ["a..b=1"], ["a=1", "a=1"], ["a=1", "a.b=1"], ["a.b=1", "a=1"], ["a=[1"],
        ["a=\"x"],
    ])
    func whatIsNoneIsNotSent(_ assignments: [String]) {
        #expect(throws: MergePatch.ParsingError.self) { try MergePatch(assignments) }
    }

    private static let stream = """
        : events of shuttled
        retry: 2000

        id: p-1
        event: start
        data: {"time": "2026-01-31T12:00:00.123Z", "services": 2}

        : nothing new
        id: p-5

        id: p-6
        event: backend-down
        data: {"time": "2026-01-31T12:00:01.000Z", "service": "web", "backend": "one", "reason": "status 503"}


        """

    @Test func aStreamMayBeCutAnywhere() {
        let bytes = Array(Self.stream.utf8)
        for cut in 0...bytes.count {
            var reader = ServerSentEvents()
            let events = reader.take(bytes[..<cut]) + reader.take(bytes[cut...])
            #expect(events.map(\.id) == ["p-1", "p-6"] && events.map(\.name) == ["start", "backend-down"])
            #expect(reader.lastID == "p-6")
        }
        var reader = ServerSentEvents(lastID: "p-0")
        #expect(reader.take(Array(Self.stream.replacing("\n", with: "\r\n").utf8)).count == 2)
        #expect(reader.take(": nothing new\nid: p-9\n\n".utf8).isEmpty && reader.lastID == "p-9")
    }

    @Test func anEventIsALine() {
        var reader = ServerSentEvents()
        let event = reader.take(Self.stream.utf8)[1]
        #expect(event.line() == #"2026-01-31T12:00:01.000Z backend-down    web/one reason="status 503""#)
        let json =
            #"{"id": "p-6", "event": "backend-down", "time": "2026-01-31T12:00:01.000Z", "service": "web", "#
            + #""backend": "one", "reason": "status 503"}"# + "\n"
        #expect(String(decoding: event.json(), as: UTF8.self) == json)
        #expect(ReceivedEvent(id: "", name: "odd", data: "\u{1B}[2J").line() == "odd \\u{1b}[2J")
    }
}

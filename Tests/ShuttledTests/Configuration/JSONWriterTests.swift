// How JSON is printed: layout, order, escapes; checked against exact texts, and by reading it back.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct JSONWriterTests {
    private func text(_ write: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter()
        write(&writer)
        return String(decoding: writer.finish(trailingNewline: false), as: UTF8.self)
    }

    @Test func onOneLine() {
        var writer = JSONWriter(isOnOneLine: true)
        writer.object { writer in
            writer.member("name", "a,\n")
            writer.list("empty") { _ in }
            writer.list("numbers") { writer in
                writer.value(1)
                writer.object { $0.member("up", true) }
            }
        }
        let printed = String(decoding: writer.finish(trailingNewline: true), as: UTF8.self)
        #expect(printed == #"{"name": "a,\n", "empty": [], "numbers": [1, {"up": true}]}"# + "\n")
    }

    @Test func layout() {
        let printed = text { writer in
            writer.object { writer in
                writer.member("name", "web")
                writer.member("sent", UInt64.max)
                writer.member("weight", -3)
                writer.member("up", true)
                writer.list("empty") { _ in }
                writer.object("none") { _ in }
                writer.list("backends") { writer in
                    writer.object { writer in
                        writer.member("down", false)
                        writer.name("nothing")
                        writer.null()
                    }
                    writer.value("text")
                    writer.list { writer in
                        writer.value(1)
                        writer.list { _ in }
                    }
                }
            }
        }
        #expect(
            printed == """
                {
                  "name": "web",
                  "sent": 18446744073709551615,
                  "weight": -3,
                  "up": true,
                  "empty": [],
                  "none": {},
                  "backends": [
                    {
                      "down": false,
                      "nothing": null
                    },
                    "text",
                    [
                      1,
                      []
                    ]
                  ]
                }
                """
        )
    }

    @Test func singleValues() {
        #expect(text { $0.value("a") } == "\"a\"")
        #expect(text { $0.value(5) } == "5")
        #expect(text { $0.value(Int.min) } == "-9223372036854775808")
        #expect(text { $0.value(false) } == "false")
        #expect(text { $0.null() } == "null")
        #expect(text { $0.list { _ in } } == "[]")
        #expect(text { $0.object { _ in } } == "{}")
    }

    @Test func trailingNewlineIsAChoice() {
        var writer = JSONWriter(capacity: 100)
        writer.list { _ in }
        let copy = writer
        #expect(writer.finish(trailingNewline: true) == Array("[]\n".utf8))
        #expect(copy.finish(trailingNewline: false) == Array("[]".utf8))
    }

    @Test func escapes() {
        #expect(text { $0.value("\"\\/") } == "\"\\\"\\\\/\"")
        #expect(text { $0.value("\u{8}\u{C}\n\r\t") } == "\"\\b\\f\\n\\r\\t\"")
        #expect(text { $0.value("\u{0}\u{1}\u{B}\u{1F}") } == "\"\\u0000\\u0001\\u000b\\u001f\"")
        #expect(text { $0.value("\u{7F}é日😀\u{2028}<&>") } == "\"\u{7F}é日😀\u{2028}<&>\"")
        #expect(text { $0.object { $0.member("a\"b\n", 1) } } == "{\n  \"a\\\"b\\n\": 1\n}")
    }

    /// Every character below U+0100 and others, alone and between letters, as value and as name.
    @Test func whatIsWrittenIsRead() throws {
        let scalars = (0..<0x100).compactMap(Unicode.Scalar.init(_:)) + ["日", "\u{FFFF}", "\u{10FFFF}", "\u{FEFF}"]
        for scalar in scalars {
            for string in [String(scalar), "x\(scalar)y", "\\\(scalar)\""] {
                var writer = JSONWriter()
                writer.object { $0.member(string, string) }
                let document = try JSONDocument(parsing: writer.finish(trailingNewline: true))
                let value = try #require(document.root.children.first { _ in true })
                #expect(value.name.map { Array($0.utf8) } == Array(string.utf8))
                #expect(value.string.map { Array($0.utf8) } == Array(string.utf8))
            }
        }
    }

    @Test func errorsPassThrough() {
        struct Stop: Error {}
        var writer = JSONWriter()
        #expect(throws: Stop.self) {
            try writer.object { writer in
                try writer.list("a") { (_) throws(Stop) in throw Stop() }
            }
        }
    }
}

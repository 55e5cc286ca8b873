// What a parsed document says of its values: kinds, contents, places, and what pointers lead to.

import Testing

@testable import shuttled

@Suite struct JSONDocumentTests {
    private func parse(_ text: String) throws -> JSONDocument {
        try JSONDocument(parsing: Array(text.utf8))
    }

    @Test func kindsAndContents() throws {
        let list = try parse("[null, true, false, 12, \"a\\n\\u00e9\\ud83d\\ude00\\/\", [1], {\"x\": {}}]").root
        let values = Array(list.children)
        #expect(list.kind == .list)
        #expect(values.map(\.kind) == [.null, .bool, .bool, .number, .string, .list, .object])
        #expect(values.map(\.bool) == [nil, true, false, nil, nil, nil, nil])
        #expect(values.map(\.integer) == [nil, nil, nil, 12, nil, nil, nil])
        #expect(values[4].string == "a\né😀/")
        #expect(values[3].string == nil)
        #expect(values[5].children.map(\.integer) == [1])
        #expect(values[6].children.map(\.name) == ["x"])
        #expect(values[6].member("x")?.kind == .object)
        #expect(values[6].member("y") == nil)
        #expect(values[5].member("x") == nil)
        #expect(values[0].name == nil)
        #expect(Array(values[3].children).isEmpty)
        #expect(list.element(3)?.integer == 12)
        #expect(list.element(7) == nil)
        #expect(list.element(-1) == nil)
        #expect(values[6].element(0) == nil)
    }

    @Test(arguments: [
        ("0", 0), ("-0", 0), ("5", 5), ("-5", -5), ("9223372036854775807", Int.max), ("-9223372036854775808", Int.min),
        ("9223372036854775808", nil), ("5.0", nil), ("5e0", nil), ("0.0", nil), ("1E2", nil),
    ])
    func integers(text: String, integer: Int?) throws {
        for text in [text, "[\(text)]", "[\(text) ]", "[\(text),1]", "{\"a\":\(text)}"] {
            let root = try parse(text).root
            let number = root.children.first { _ in true } ?? root
            #expect(number.integer == integer)
        }
        #expect(try parse("[\(text), 7]").root.element(0)?.numberText == text)
    }

    @Test func stringsWithEscapesEverywhere() throws {
        let strings: [(String, String)] = [
            ("\\\"", "\""), ("\\\\", "\\"), ("\\\\\\\"", "\\\""), ("a\\tb", "a\tb"), ("\\b\\f\\r", "\u{8}\u{C}\r"),
            ("\\u0000", "\u{0}"), ("\\uABCD\\uabcd", "\u{ABCD}\u{ABCD}"), ("é\\u00e9é", "ééé"),
            ("\\u005c\\u0022", "\\\""),
            ("\\uDBFF\\uDFFF", "\u{10FFFF}"),
        ]
        for (escaped, plain) in strings {
            let object = try parse("{\"\(escaped)\": \"\(escaped)\"}").root
            let value = try #require(object.children.first { _ in true })
            #expect(value.name == plain)
            #expect(value.string == plain)
            #expect(object.member(plain)?.string == plain)
        }
    }

    @Test func offsets() throws {
        let text = "{ \"a\" : [ 10, \"x\" ],\n\"b\": {} }"
        let root = try parse(text).root
        let a = try #require(root.member("a"))
        let b = try #require(root.member("b"))
        #expect(root.offset == 0)
        #expect(root.nameOffset == nil)
        #expect(a.nameOffset == 2)
        #expect(a.offset == 8)
        #expect(a.children.map(\.offset) == [10, 14])
        #expect(a.children.map(\.nameOffset) == [nil, nil])
        #expect(b.nameOffset == 21)
        #expect(b.offset == 26)
    }

    @Test func positions() {
        let bytes = Array("ab\né日x\r\n\n\u{1F600}z".utf8)
        // a b \n é(2) 日(3) x \r \n \n 😀(4) z
        let offsets = [0, 1, 2, 3, 5, 8, 9, 10, 11, 12, 16, 17, 1000]
        let expected = [
            (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (3, 1), (4, 1), (4, 2), (4, 3), (4, 3),
        ]
        let positions = JSONPosition.positions(of: offsets, in: bytes)
        #expect(positions.map(\.line) == expected.map(\.0))
        #expect(positions.map(\.column) == expected.map(\.1))
        // The order of the question does not matter.
        #expect(JSONPosition.positions(of: offsets.reversed(), in: bytes) == positions.reversed())
        #expect(JSONPosition.positions(of: [], in: bytes).isEmpty)
        #expect(JSONPosition(of: 9, in: bytes).description == "line 2, column 4")
    }

    @Test func pointers() throws {
        let document = try parse("{\"a\": [1, {\"b/c\": 2, \"~\": 3, \"\": 4}], \"\u{301}x\": 5, \"~1\": 6}")
        let found: [(String, Int)] = [
            ("/a/0", 1), ("/a/1/b~1c", 2), ("/a/1/~0", 3), ("/a/1/", 4), ("/\u{301}x", 5), ("/~01", 6),
        ]
        for (pointer, integer) in found {
            #expect(document.value(at: pointer)?.integer == integer, "\(pointer)")
        }
        #expect(document.value(at: "")?.kind == .object)
        for pointer in ["a", "/a/2", "/a/-1", "/a/00", "/a/+0", "/a/-", "/a/", "/b", "/a/0/0", "/~", "/~2", "/a/1/b/c"]
        {
            #expect(document.value(at: pointer) == nil, "\(pointer)")
        }
    }

    @Test func pointersAreWrittenAsTheyAreRead() {
        for name in ["", "a", "a/b", "~", "~1", "~~//", "\u{301}", "é/", "%41"] {
            let pointer = "/" + JSONPointer.escape(name) + "/x"
            #expect(JSONPointer.segments(of: pointer) == [name, "x"])
        }
        #expect(JSONPointer.escape("a/b~c") == "a~1b~0c")
        #expect(JSONPointer.segments(of: "") == [])
        #expect(JSONPointer.segments(of: "a") == nil)
    }

    /// Lines for issues: of a member its name, of an element its value, of what is missing what should hold it.
    @Test func nearestPlaces() throws {
        let document = try parse("[\n {\n  \"name\": \"a\",\n  \"backends\": [\n   {},\n   7\n  ]\n }\n]")
        func place(_ pointer: String) -> [Int] {
            let position = document.position(nearest: pointer)
            return [position.line, position.column]
        }
        #expect(place("") == [1, 1])
        #expect(place("/0") == [2, 2])
        #expect(place("/0/name") == [3, 3])
        #expect(place("/0/address") == [2, 2])
        #expect(place("/0/backends") == [4, 3])
        #expect(place("/0/backends/0") == [5, 4])
        #expect(place("/0/backends/1") == [6, 4])
        #expect(place("/0/backends/1/weight") == [6, 4])
        #expect(place("/0/backends/9") == [4, 3])
        #expect(place("/7") == [1, 1])
        #expect(place("nonsense") == [1, 1])
    }
}

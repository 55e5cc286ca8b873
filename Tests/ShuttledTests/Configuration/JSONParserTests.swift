// Which texts are JSON documents here, and what is said of those that are not: reason, line, column and pointer.

import Testing

@testable import shuttled

@Suite struct JSONParserTests {
    static let accepted: [String] = [
        "[]", "{}", " [ ] ", "\n\t\r {} \n", "null", "true", "false", "0", "-0", "1", "-1", "10", "0.5", "1E+2", "1e-2",
        "-0.5e10", "1.5E3", "123456789012345678901234567890", "\"\"", "\"a\"", "\"\u{7F}\"", "\"é日😀\"", "\"\u{FEFF}\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0000\\u00e9\\uD83D\\uDE00\\uffff\"", "[1,2]", "[ 1 , 2 ]", "[[],{}]",
        "{\"a\":1}", "{ \"a\" : 1 , \"b\" : [ ] }", "{\"\":{\"\":0}}", "{\"a\":1,\"A\":1}", "[null,true,false]",
        "{\"a\":{\"b\":1},\"b\":{\"a\":1}}", "\"\u{2028}\"", "[\"\\ud800\\udc00\"]",
    ]

    @Test(arguments: accepted)
    func accepts(text: String) throws {
        _ = try JSONDocument(parsing: Array(text.utf8))
    }

    /// Text, a part of the reason, line and column, pointer.
    static let refused: [(String, String, Int, Int, String?)] = [
        // Documents.
        ("", "is empty", 1, 1, nil),
        (" \n ", "is empty", 2, 2, nil),
        ("[] x", "\"x\" follows the end of the document", 1, 4, nil),
        ("[][]", "\"[\" follows the end of the document", 1, 3, nil),
        ("{}\n}", "\"}\" follows the end of the document", 2, 1, nil),
        ("\"a\"b", "follows the end", 1, 4, nil),
        ("1 2", "follows the end", 1, 3, nil),
        ("null\u{0}", "the byte 0x00 follows the end", 1, 5, nil),
        ("\u{FEFF}[]", "byte order mark", 1, 1, nil),
        ("[\u{FEFF}]", "stands where a value is needed", 1, 2, "/0"),
        ("[\u{A0}]", "stands where a value is needed", 1, 2, "/0"),
        // Lists.
        ("[", "ends where a value is needed", 1, 2, "/0"),
        ("[1", "ends inside the list that opens at line 1, column 1", 1, 3, ""),
        ("[1,", "ends where a value is needed", 1, 4, "/1"),
        ("[1,]", "a comma stands before the closing \"]\" of the list; remove it", 1, 3, ""),
        ("[,1]", "\",\" stands where a value is needed", 1, 2, "/0"),
        ("[1,,2]", "\",\" stands where a value is needed", 1, 4, "/1"),
        ("[1 2]", "\"2\" stands where a comma or the closing \"]\" of the list is needed", 1, 4, ""),
        ("[1}", "\"}\" stands where a comma or the closing \"]\" of the list is needed", 1, 3, ""),
        ("]", "\"]\" stands where a value is needed", 1, 1, nil),
        ("[\"a\":1]", "\":\" stands where a comma", 1, 5, ""),
        // Objects.
        ("{", "ends inside the object that opens at line 1, column 1", 1, 2, ""),
        ("{\"a\"", "ends inside the object", 1, 5, "/a"),
        ("{\"a\":", "ends where a value is needed", 1, 6, "/a"),
        ("{\"a\":1", "ends inside the object", 1, 7, ""),
        ("{\"a\":1,", "ends inside the object", 1, 8, ""),
        ("{\"a\":1,}", "a comma stands before the closing \"}\" of the object; remove it", 1, 7, ""),
        ("{\"a\" 1}", "\"1\" follows a field name; put a colon between", 1, 6, "/a"),
        ("{\"a\"}", "\"}\" follows a field name", 1, 5, "/a"),
        ("{\"a\":}", "\"}\" stands where a value is needed", 1, 6, "/a"),
        ("{a:1}", "\"a\" stands where a field name is needed; write the name in double quotes", 1, 2, ""),
        ("{'a':1}", "\"'\" stands where a field name is needed", 1, 2, ""),
        ("{1:1}", "\"1\" stands where a field name is needed", 1, 2, ""),
        ("{,}", "\",\" stands where a field name is needed", 1, 2, ""),
        ("{\"a\":1 \"b\":2}", "\"\\\"\" stands where a comma or the closing \"}\"", 1, 8, ""),
        ("{\"a\":[1,{\"b/~\":x}]}", "\"x\" is not a JSON value", 1, 16, "/a/1/b~1~0"),
        // Duplicate names.
        ("{\"a\":1,\"a\":2}", "the field \"a\" is there twice", 1, 8, "/a"),
        ("{\"a\":1,\"b\":{\"a\":1},\"\\u0061\":2}", "the field \"a\" is there twice", 1, 20, "/a"),
        ("[{\"x\":{\"\":1,\"\":2}}]", "the field \"\" is there twice", 1, 13, "/0/x/"),
        ("{\"\\u00e9\":1,\n\"é\":2}", "the field \"é\" is there twice", 2, 1, "/é"),
        // Strings.
        ("\"", "ends inside the string that opens at line 1, column 1", 1, 2, nil),
        ("[\"abc", "ends inside the string that opens at line 1, column 2", 1, 6, "/0"),
        ("[\"a\nb\"]", "the byte 0x0A stands in a string; write control characters as escapes", 1, 4, "/0"),
        ("[\"\t\"]", "the byte 0x09 stands in a string", 1, 3, "/0"),
        ("\"\\", "ends inside a string", 1, 2, nil),
        ("\"\\x41\"", "\"x\" after a backslash is not an escape", 1, 2, nil),
        ("\"\\'\"", "after a backslash is not an escape", 1, 2, nil),
        ("\"\\é\"", "\"é\" after a backslash is not an escape", 1, 2, nil),
        ("\"\\u12\"", "not followed by four hexadecimal digits", 1, 2, nil),
        ("\"\\u12G4\"", "not followed by four hexadecimal digits", 1, 2, nil),
        ("\"\\u", "not followed by four hexadecimal digits", 1, 2, nil),
        ("\"\\ud800\"", "\\ud800 is half of a surrogate pair", 1, 2, nil),
        ("\"\\ud800x\"", "\\ud800 is half of a surrogate pair", 1, 2, nil),
        ("\"\\ud800\\n\"", "\\ud800 is half of a surrogate pair", 1, 2, nil),
        ("\"\\ud800\\u0041\"", "\\ud800 is half of a surrogate pair", 1, 2, nil),
        ("\"\\ud800\\ud800\"", "\\ud800 is half of a surrogate pair", 1, 2, nil),
        ("\"aé\\uDFFF\"", "\\uDFFF is half of a surrogate pair", 1, 4, nil),
        ("\"\\ud800\\u00", "not followed by four hexadecimal digits", 1, 8, nil),
        ("['a']", "a single quote starts a value; write text in double quotes", 1, 2, "/0"),
        // Numbers.
        ("[01]", "starts with a needless 0", 1, 2, "/0"),
        ("[-01]", "starts with a needless 0", 1, 2, "/0"),
        ("[00]", "starts with a needless 0", 1, 2, "/0"),
        ("[-]", "breaks off after \"-\"", 1, 2, "/0"),
        ("[1.]", "breaks off after \"1.\"", 1, 2, "/0"),
        ("[1.e5]", "breaks off after \"1.\"", 1, 2, "/0"),
        ("[1e]", "breaks off after \"1e\"", 1, 2, "/0"),
        ("[1e+]", "breaks off after \"1e+\"", 1, 2, "/0"),
        ("[.5]", "\".5\" is not a JSON value", 1, 2, "/0"),
        ("[+5]", "\"+5\" is not a JSON value", 1, 2, "/0"),
        ("[0x10]", "\"x\" stands where a comma", 1, 3, ""),
        ("[1_000]", "\"_\" stands where a comma", 1, 3, ""),
        ("[1.2.3]", "\".\" stands where a comma", 1, 5, ""),
        ("[5s]", "\"s\" stands where a comma", 1, 3, ""),
        ("[--1]", "breaks off after \"-\"", 1, 2, "/0"),
        ("[-Infinity]", "breaks off after \"-\"", 1, 2, "/0"),
        // Words.
        ("[True]", "\"True\" is not a JSON value", 1, 2, "/0"),
        ("[nul]", "\"nul\" is not a JSON value", 1, 2, "/0"),
        ("[nullx]", "\"nullx\" is not a JSON value", 1, 2, "/0"),
        ("[NaN]", "\"NaN\" is not a JSON value", 1, 2, "/0"),
        ("[undefined]", "\"undefined\" is not a JSON value", 1, 2, "/0"),
        ("{\"balance\": RR}", "\"RR\" is not a JSON value; write text in double quotes", 1, 13, "/balance"),
        // Comments.
        ("// x\n[]", "JSON has no comments", 1, 1, nil),
        ("[1, # x\n2]", "JSON has no comments", 1, 5, "/1"),
        ("[1 /* x */]", "\"/\" stands where a comma", 1, 4, ""),
        ("{\"a\":1, // x\n\"b\":2}", "\"/\" stands where a field name is needed", 1, 9, ""),
        // Places: lines end with a newline, columns are characters.
        ("[\n  1,\n  {\"é\": 日}\n]", "\"日\" stands where a value is needed", 3, 9, "/1/é"),
        ("[\r\n\r\nx]", "\"x\" is not a JSON value", 3, 1, "/0"),
    ]

    @Test(arguments: refused)
    func refuses(text: String, reason: String, line: Int, column: Int, pointer: String?) throws {
        let error = try #require(throws: JSONSyntaxError.self) { try JSONDocument(parsing: Array(text.utf8)) }
        #expect(error.reason.contains(reason), "\(error)")
        #expect(error.position.line == line, "\(error)")
        #expect(error.position.column == column, "\(error)")
        #expect(error.pointer == pointer, "\(error)")
        #expect(error.description.hasPrefix("line \(line), column \(column)"))
        #expect(error.description.contains(error.reason))
    }

    /// Bytes that are not UTF-8 in a string, and how many of them stand before the fault.
    static let notUTF8: [([UInt8], Int)] = [
        ([0x80], 0), ([0xBF], 0), ([0xC0, 0x80], 0), ([0xC1, 0xBF], 0), ([0xC3], 0), ([0xC3, 0x28], 0),
        ([0xE0, 0x80, 0x80], 0), ([0xE0, 0x9F, 0xBF], 0), ([0xE2, 0x82], 0), ([0xED, 0xA0, 0x80], 0),
        ([0xED, 0xBF, 0xBF], 0), ([0xF0, 0x80, 0x80, 0x80], 0), ([0xF0, 0x8F, 0xBF, 0xBF], 0),
        ([0xF4, 0x90, 0x80, 0x80], 0), ([0xF5, 0x80, 0x80, 0x80], 0), ([0xFE], 0), ([0xFF], 0),
        ([0x41, 0xC3, 0xA9, 0xE9], 3), ([0xF0, 0x9F, 0x98, 0x80, 0xF0, 0x9F, 0x98], 4),
    ]

    @Test(arguments: notUTF8)
    func refusesWhatIsNotUTF8(content: [UInt8], before: Int) throws {
        let quote = UInt8(ascii: "\"")
        let error = try #require(throws: JSONSyntaxError.self) {
            try JSONDocument(parsing: [UInt8(ascii: "["), quote] + content + [quote, UInt8(ascii: "]")])
        }
        #expect(error.offset == 2 + before)
        #expect(error.reason.contains("is not valid UTF-8"), "\(error)")
        #expect(error.pointer == "/0")
    }

    /// Every sequence of up to three bytes in a string, and some of four, against the standard library's validation.
    @Test func agreesOnUTF8WithTheStandardLibrary() {
        func isRefused(_ content: [UInt8]) -> Bool {
            var parser = JSONParser(bytes: [UInt8(ascii: "\"")] + content + [UInt8(ascii: "\"")])
            do throws(JSONSyntaxError) {
                try parser.scanString()
                return parser.offset != content.count + 2
            } catch {
                return true
            }
        }
        let edges: [UInt8] = [0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xFF]
        for first in UInt8(0x80)...0xFF {
            #expect(isRefused([first]))
            for second in edges {
                for rest in [[], [0x80], [0xBF], [0x80, 0x80], [0xBF, 0xBF], [0x41], [0x80, 0xC2]] as [[UInt8]] {
                    let content = [first, second] + rest
                    let isValid = String(validating: content, as: UTF8.self) != nil
                    #expect(isRefused(content) == !isValid, "\(content)")
                }
            }
        }
    }

    @Test func refusesOtherEncodings() throws {
        let utf16: [[UInt8]] = [
            [0xFF, 0xFE, 0x5B, 0x00, 0x5D, 0x00], [0xFE, 0xFF, 0x00, 0x5B, 0x00, 0x5D], [0x5B, 0x00, 0x5D, 0x00],
            [0x00, 0x5B, 0x00, 0x5D], [0x00, 0x00, 0x00, 0x5B],
        ]
        for bytes in utf16 {
            let error = try #require(throws: JSONSyntaxError.self) { try JSONDocument(parsing: bytes) }
            #expect(error.reason.contains("save it as UTF-8"), "\(error)")
        }
        let withMark = try #require(throws: JSONSyntaxError.self) {
            try JSONDocument(parsing: [0xEF, 0xBB, 0xBF, 0x5B])
        }
        #expect(withMark.reason == "the document starts with a byte order mark; save it as UTF-8 without one")
    }

    // MARK: Bounds

    @Test func depth() throws {
        func nested(_ depth: Int) -> [UInt8] {
            Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
        }
        _ = try JSONDocument(parsing: nested(JSONParser.depthMax))
        let error = try #require(throws: JSONSyntaxError.self) {
            try JSONDocument(parsing: nested(JSONParser.depthMax + 1))
        }
        #expect(error.reason == "lists and objects are nested more than 32 deep")
        #expect(error.offset == JSONParser.depthMax)
    }

    /// A million levels must end as an error, not as a stack that overflows.
    @Test(arguments: ["[", "{\"a\":", "[{\"a\":"])
    func depthOfHostileInput(opening: String) throws {
        let bytes = Array(String(repeating: opening, count: 1_000_000).utf8)
        let error = try #require(throws: JSONSyntaxError.self) { try JSONDocument(parsing: bytes) }
        #expect(error.reason.contains("nested more than 32 deep"))
    }

    @Test func nameLength() throws {
        let name = String(repeating: "n", count: JSONParser.nameLengthMax)
        _ = try JSONDocument(parsing: Array("{\"\(name)\":1}".utf8))
        let error = try #require(throws: JSONSyntaxError.self) {
            try JSONDocument(parsing: Array("{\"\(name)n\":1}".utf8))
        }
        #expect(error.reason == "a field name is longer than 1024 bytes")
        #expect(error.offset == 1)
    }

    /// Names are compared with each other in small objects and looked up in large ones: both must find duplicates,
    /// wherever they are.
    @Test(arguments: [2, 15, 16, 17, 18, 19, 40, 300])
    func duplicatesInObjectsOfAnySize(count: Int) throws {
        func object(_ names: [String]) -> [UInt8] {
            Array(("{" + names.map { "\"\($0)\":[1,{\"n1\":2}]" }.joined(separator: ",") + "}").utf8)
        }
        let names = (0..<count).map { "n\($0)" }
        _ = try JSONDocument(parsing: object(names))
        for first in Set([0, 1, count / 2, count - 2]) where first < count - 1 {
            for second in Set([first + 1, count - 1]) {
                var repeated = names
                repeated[second] = names[first]
                let error = try #require(throws: JSONSyntaxError.self) { try JSONDocument(parsing: object(repeated)) }
                #expect(error.reason.contains("the field \"n\(first)\" is there twice"), "\(error)")
                #expect(error.pointer == "/n\(first)")
                repeated[second] = "\\u006e\(first)"
                #expect(throws: JSONSyntaxError.self) { try JSONDocument(parsing: object(repeated)) }
            }
        }
    }

    /// Equal to Swift, but not to JSON: composed and decomposed.
    @Test func namesAreComparedAsBytes() throws {
        _ = try JSONDocument(parsing: Array("{\"\u{E9}\":1,\"e\u{301}\":2}".utf8))
    }

    @Test func partOfALongerBuffer() throws {
        let bytes = Array("xx[1, 2]yy".utf8)
        let document = try JSONDocument(parsing: bytes[2..<8])
        #expect(document.root.children.map(\.offset) == [1, 4])
    }
}

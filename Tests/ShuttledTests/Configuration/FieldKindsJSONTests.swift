// How fields of every kind are read, refused and printed.

import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct FieldKindsJSONTests {
    /// As ConfigurationDecoder reads a service.
    private func sample(_ text: String) throws -> SampleConfiguration {
        var reading = ConfigurationReading(document: try JSONDocument(parsing: Array(text.utf8)))
        var sample = SampleConfiguration.blank
        reading.object(reading.document.root, at: "", into: &sample)
        reading.merge(ConfigurationValidator.issues(in: sample, reported: reading.reported))
        try reading.finish()
        return sample
    }

    private func issues(_ text: String) throws -> [ConfigurationIssue] {
        try #require(throws: ConfigurationDecodingError.self) { try sample(text) }.issues
    }

    private func printed(_ sample: SampleConfiguration) -> String {
        String(decoding: ConfigurationEncoder.bytes(of: sample), as: UTF8.self)
    }

    private static let every = SampleConfiguration(
        isOpen: true, colour: .blue, label: "a\"b", tags: ["x", "y"], sources: ["one"],
        inner: .init(low: 2, high: 3, label: "c"), other: .init(low: 0, high: 9, label: "none")
    )

    private static let everyText = """
        {
          "open": true,
          "colour": "BLUE",
          "label": "a\\"b",
          "tags": [
            "x",
            "y"
          ],
          "sources": "one",
          "inner": {
            "low": 2,
            "high": 3,
            "label": "c"
          },
          "other": {
            "low": 0,
            "high": 9
          }
        }

        """

    @Test func everyFieldIsReadAndPrinted() throws {
        #expect(try sample(Self.everyText) == Self.every)
        #expect(printed(Self.every) == Self.everyText)
    }

    @Test func whatHasItsDefaultIsNotPrinted() throws {
        #expect(printed(.blank) == "{\n  \"colour\": \"RED\"\n}\n")
        #expect(try sample("{}") == .blank)
        let explicit = """
            {"open": false, "colour": "RED", "label": "", "tags": [], "sources": [],
             "inner": {"low": 1, "high": 9, "label": "none"}}
            """
        #expect(try sample(explicit) == .blank)
    }

    @Test func statisticsPrintTheSameFields() {
        var writer = JSONWriter()
        writer.object { writer in
            ConfigurationEncoder.writeFields(of: Self.every, to: &writer)
        }
        #expect(String(decoding: writer.finish(trailingNewline: true), as: UTF8.self) == Self.everyText)
    }

    /// What a nested object leaves out has its default, not what another had.
    @Test func nestedObjectsAreReadWhole() throws {
        #expect(try sample("{\"inner\": {\"high\": 5}}").inner == .init(low: 1, high: 5, label: "none"))
        #expect(try sample("{\"inner\": {}}").inner == .blank)
        #expect(try sample("{\"other\": {}}").other == .blank)
        #expect(try sample("{}").other == nil)
        #expect(
            printed(SampleConfiguration(other: .blank)).contains("\"other\": {\n    \"low\": 1,\n    \"high\": 9\n"))
    }

    @Test func oneStringOrAList() throws {
        #expect(try sample("{\"sources\": \"one\"}").sources == ["one"])
        #expect(try sample("{\"sources\": [\"one\"]}").sources == ["one"])
        #expect(try sample("{\"sources\": [\"one\", \"two\"]}").sources == ["one", "two"])
        #expect(printed(.init(sources: ["one", "two"])).contains("\"sources\": [\n    \"one\",\n    \"two\"\n  ]"))
        #expect(printed(.init(tags: ["x"])).contains("\"tags\": [\n    \"x\"\n  ]"), "tags are always a list")
    }

    // MARK: Refusals

    private static let tag = "a string of 1 to 4 bytes"
    private static let inner = "an object with the fields low, high and label"

    @Test(arguments: [
        ("open", "1", "is 1; it must be true or false"),
        ("open", "\"true\"", "is the string \"true\"; it must be true or false, without quotes"),
        ("open", "\"yes\"", "is the string \"yes\"; it must be true or false"),
        ("open", "null", "is null; leave it out for the default, or make it true or false"),
        ("colour", "\"PINK\"", "is the string \"PINK\"; it must be \"RED\", \"GREEN\" or \"BLUE\""),
        ("colour", "null", "is null; leave it out for the default, or make it \"RED\", \"GREEN\" or \"BLUE\""),
        ("label", "5", "is 5; it must be a string of 0 to 8 bytes"),
        ("label", "\"123456789\"", "is \"123456789\"; it must be a string of 0 to 8 bytes"),
        ("tags", "\"x\"", "is the string \"x\"; it must be a list of at most 3, each \(tag)"),
        ("tags", "[\"a\", \"a\", \"a\", \"a\"]", "has 4 entries; it must be a list of at most 3, each \(tag)"),
        ("tags", "null", "is null; leave it out for the default, or make it a list of at most 3, each \(tag)"),
        ("sources", "\"7\"", "has \"7\"; it must be a word of lower case letters"),
        ("inner", "5", "is 5; it must be \(inner)"),
        ("inner", "[]", "is a list; it must be \(inner)"),
        ("inner", "null", "is null; leave it out for the default, or make it \(inner)"),
        ("other", "null", "is null; leave it out for the default, or make it \(inner)"),
    ])
    func unusableValues(name: String, value: String, detail: String) throws {
        #expect(
            try issues("{\"\(name)\": \(value)}") == [
                ConfigurationIssue(pointer: "/\(name)", detail: "\"\(name)\" \(detail)")
            ]
        )
    }

    @Test func elementsAreNamed() throws {
        let found = try issues("{\"open\": true, \"tags\": [5, \"12345\", null]}")
        #expect(found.map(\.pointer) == ["/tags/0", "/tags/1", "/tags/2"])
        #expect(
            found.map(\.detail) == [
                "\"tags\" has 5; it must be \(Self.tag)", "\"tags\" has \"12345\"; it must be \(Self.tag)",
                "\"tags\" has null; it must be \(Self.tag)",
            ]
        )
    }

    @Test func insideNestedObjects() throws {
        let found = try issues(
            "{\"inner\": {\"low\": \"5\", \"hihg\": 1, \"colour\": 1, \"weight\": 1, \"label\": null}, \"high\": 1}"
        )
        #expect(
            found.map(\.pointer) == [
                "/inner/low", "/inner/hihg", "/inner/colour", "/inner/weight", "/inner/label", "/high",
            ]
        )
        #expect(
            found.map(\.detail) == [
                "\"low\" is the string \"5\"; it must be an integer from 0 to 10, without quotes",
                "\"hihg\" is not a field of a nested object; did you mean \"high\"?",
                "\"colour\" is not a field of a nested object; remove it, or use one of low, high, label",
                "\"weight\" is not a field of a nested object but of a backend; move it there",
                "\"label\" is null; leave it out for the default, or make it a string of 1 to 8 bytes",
                "\"high\" is not a field of a sample but of its \"inner\"; move it there",
            ]
        )
    }

    /// Statistics are passed over where they are printed, not below.
    @Test func statisticsInNestedObjectsAreUnknown() throws {
        #expect(try sample("{\"sent\": 5}") == .blank)
        #expect(try issues("{\"inner\": {\"sent\": 5}}").map(\.pointer) == ["/inner/sent"])
    }

    @Test func repeatedKeysInNestedObjects() {
        #expect(throws: JSONSyntaxError.self) {
            try sample("{\"inner\": {\"low\": 1, \"low\": 1}}")
        }
    }

    @Test func rulesOfReadValues() throws {
        #expect(
            try issues("{\"tags\": [\"x\"], \"inner\": {\"low\": 9, \"high\": 8}}").map(\.pointer) == [
                "/tags", "/inner/low",
            ]
        )
        #expect(try issues("{\"tags\": [\"x\"], \"open\": 1}").map(\.pointer) == ["/open"])
    }
}

// What the kinds of fields demand of their values, which fields differ and are printed, and rules about several fields.

import Testing

@testable import ShuttleEngine

@Suite struct FieldKindsTests {
    private func field(_ name: String) throws -> ConfigurationField<SampleConfiguration> {
        try #require(SampleConfiguration.fields.first { $0.name == name })
    }

    private func issues(_ sample: SampleConfiguration, reported: Set<String> = []) -> [ConfigurationIssue] {
        ConfigurationValidator.issues(in: sample, prefix: "/3", reported: reported)
    }

    private func issue(_ pointer: String, _ detail: String) -> ConfigurationIssue {
        ConfigurationIssue(pointer: pointer, detail: detail)
    }

    @Test(arguments: [
        ("open", "true or false"),
        ("colour", "\"RED\", \"GREEN\" or \"BLUE\""),
        ("label", "a string of 0 to 8 bytes"),
        ("tags", "a list of at most 3, each a string of 1 to 4 bytes"),
        (
            "sources",
            "a word of lower case letters, or a list of at most 2, each a word of lower case letters"
        ),
        ("inner", "an object with the fields low, high and label"),
        ("other", "an object with the fields low, high and label"),
    ])
    func requirements(name: String, requirement: String) throws {
        #expect(try field(name).requirement == requirement)
    }

    /// One value of each field that is not its default.
    static let changes: [(String, @Sendable (inout SampleConfiguration) -> Void)] = [
        ("open", { $0.isOpen = true }),
        ("colour", { $0.colour = .blue }),
        ("label", { $0.label = "x" }),
        ("tags", { $0.tags = ["x"] }),
        ("sources", { $0.sources = ["x"] }),
        ("inner", { $0.inner.label = "x" }),
        // That it is there at all is a difference, whatever it holds.
        ("other", { $0.other = .blank }),
    ]

    @Test func exactlyTheChangedFieldDiffersAndIsPrinted() {
        #expect(Self.changes.map(\.0) == SampleConfiguration.fields.map(\.name))
        let blank = SampleConfiguration.blank
        for (name, change) in Self.changes {
            var sample = blank
            change(&sample)
            #expect(SampleConfiguration.fields.filter { $0.differs(sample, blank) }.map(\.name) == [name])
            let printed = SampleConfiguration.fields.filter { $0.isPrinted(of: sample, blank: blank) }.map(\.name)
            #expect(Set(printed) == ["colour", name])
        }
    }

    @Test func blankObjectsHaveNoIssues() {
        #expect(issues(.blank).isEmpty)
    }

    @Test func texts() {
        var sample = SampleConfiguration.blank
        sample.isOpen = true
        sample.label = "123456789"
        sample.tags = ["ok", "", "12345"]
        #expect(
            issues(sample) == [
                issue("/3/label", "\"label\" is \"123456789\"; it must be a string of 0 to 8 bytes"),
                issue("/3/tags/1", "\"tags\" has \"\"; it must be a string of 1 to 4 bytes"),
                issue("/3/tags/2", "\"tags\" has \"12345\"; it must be a string of 1 to 4 bytes"),
            ]
        )
        sample.label = "ünüü"
        sample.tags = Array(repeating: "x", count: 4)
        #expect(
            issues(sample) == [
                issue(
                    "/3/tags",
                    "\"tags\" has 4 entries; it must be a list of at most 3, each a string of 1 to 4 bytes"
                )
            ]
        )
    }

    /// What may have been written as one string has no index to point at.
    @Test func oneStringInPlaceOfAList() {
        var sample = SampleConfiguration.blank
        sample.sources = ["7"]
        let detail = "\"sources\" has \"7\"; it must be a word of lower case letters"
        #expect(issues(sample) == [issue("/3/sources", detail)])
        sample.sources = ["a", "7"]
        #expect(issues(sample) == [issue("/3/sources/1", detail)])
    }

    @Test func nestedObjects() {
        var sample = SampleConfiguration.blank
        sample.inner.low = 11
        sample.other = .init(low: 1, high: -1, label: "")
        #expect(
            issues(sample) == [
                issue("/3/inner/low", "\"low\" is 11; it must be an integer from 0 to 10"),
                issue("/3/other/high", "\"high\" is -1; it must be an integer from 0 to 10"),
                issue("/3/other/label", "\"label\" is \"\"; it must be a string of 1 to 8 bytes"),
            ]
        )
        #expect(issues(sample, reported: ["/3/other"]).map(\.pointer) == ["/3/inner/low"])
    }

    @Test func rulesComeAfterTheFields() {
        var sample = SampleConfiguration.blank
        sample.tags = ["x"]
        sample.label = "123456789"
        sample.inner = .init(low: 5, high: 4)
        let tags = "\"tags\" need \"open\"; make it true, or leave out the tags"
        #expect(issues(sample).map(\.pointer) == ["/3/label", "/3/inner/low", "/3/tags"])
        #expect(issues(sample).last == issue("/3/tags", tags))
        sample.isOpen = true
        #expect(issues(sample).map(\.pointer) == ["/3/label", "/3/inner/low"])
    }

    /// A field that could not be used has a default in its place, which says nothing about the others.
    @Test(arguments: ["/3/tags", "/3/open"])
    func rulesPassOverWhatIsReported(pointer: String) {
        var sample = SampleConfiguration.blank
        sample.tags = ["x"]
        #expect(issues(sample, reported: [pointer]).isEmpty)
    }

    /// As above, where the validator itself has just found it out of range.
    @Test func rulesPassOverWhatIsOutOfRange() {
        var sample = SampleConfiguration.blank
        sample.inner = .init(low: 11, high: 4)
        #expect(issues(sample).map(\.pointer) == ["/3/inner/low"])
        sample.inner = .init(low: 5, high: -1)
        #expect(issues(sample).map(\.pointer) == ["/3/inner/high"])
    }
}

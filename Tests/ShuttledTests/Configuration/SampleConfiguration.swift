// Owns a configuration object with a field of every kind, for tests of what the tables of fields can say: real objects
// have what they need, not one of each.

@testable import ShuttleEngine
@testable import shuttled

struct SampleConfiguration: StatisticsObject {
    enum Colour: String, CaseIterable {
        case red = "RED"
        case green = "GREEN"
        case blue = "BLUE"
    }

    struct Inner: ConfigurationObject {
        var low = 1
        var high = 9
        var label = "none"

        static let objectName = "nested object"
        static let fields: [ConfigurationField<Inner>] = [
            .init("low", .integer(\.low, 0...10), .always),
            .init("high", .integer(\.high, 0...10), .always),
            .init("label", .text(\.label, TextRule(lengths: 1...8))),
        ]
        static let rules = [
            ConfigurationRule<Inner>("low", "high") { inner in
                inner.low <= inner.high ? nil : "\"low\" is above \"high\"; exchange them"
            }
        ]
        static let blank = Inner()
    }

    var isOpen = false
    var colour = Colour.red
    var label = ""
    var tags: [String] = []
    var sources: [String] = []
    var inner = Inner()
    var other: Inner?

    static let objectName = "sample"
    static let statisticsNames: Set<String> = ["sent"]
    static let fields: [ConfigurationField<SampleConfiguration>] = [
        .init("open", .boolean(\.isOpen)),
        .init("colour", .choice(\.colour), .always),
        .init("label", .text(\.label, TextRule(lengths: 0...8))),
        .init("tags", .texts(\.tags, TextListRule(of: TextRule(lengths: 1...4), countMax: 3))),
        .init("sources", .texts(\.sources, TextListRule(of: source, countMax: 2, mayBeOneString: true))),
        .init("inner", .object(\.inner)),
        .init("other", .object(\.other)),
    ]
    static let rules = [
        ConfigurationRule<SampleConfiguration>("tags", "open") { sample in
            sample.tags.isEmpty || sample.isOpen ? nil : "\"tags\" need \"open\"; make it true, or leave out the tags"
        }
    ]
    static let blank = SampleConfiguration()

    private static let source = TextRule("a word of lower case letters") { text in
        !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
    }
}

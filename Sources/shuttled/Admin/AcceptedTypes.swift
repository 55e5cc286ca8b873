// Owns reading `Accept` (RFC 9110, 12.5.1), as far as it tells a browser from a client of the API.
// Leaves to others: what each is answered with.

import Hummingbird

/// Which media types a client would rather have.
struct AcceptedTypes: Equatable, Sendable {
    /// Whether HTML is preferred to JSON. What is asked for in no particular order is JSON: that is what was always there.
    let prefersHTML: Bool

    init(_ fields: HTTPFields) {
        let ranges = fields[values: .accept].flatMap { $0.split(separator: ",") }.map(AcceptedTypes.range)
        let html = AcceptedTypes.quality(of: "html", in: "text", ranges)
        prefersHTML = html > AcceptedTypes.quality(of: "json", in: "application", ranges)
    }

    private typealias Range = (type: String, quality: Int)

    /// A media range, in lower case and without parameters, and its quality in thousandths.
    private static func range(_ text: Substring) -> Range {
        let parts = text.split(separator: ";", omittingEmptySubsequences: false).map { trimmed($0).lowercased() }
        let weight = parts.dropFirst().first { $0.hasPrefix("q=") }
        return (parts.first ?? "", weight.map { quality($0.dropFirst(2)) } ?? 1000)
    }

    /// `0`, `0.25`, `1.0`; what is none counts as 0, for a range that cannot be understood asks for nothing.
    private static func quality(_ text: Substring) -> Int {
        guard let value = Double(text), (0...1).contains(value) else {
            return 0
        }
        return Int(value * 1000)
    }

    /// The most particular range decides.
    private static func quality(of subtype: String, in type: String, _ ranges: [Range]) -> Int {
        for wanted in ["\(type)/\(subtype)", "\(type)/*", "*/*"] {
            if let range = ranges.first(where: { $0.type == wanted }) {
                return range.quality
            }
        }
        return 0
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}

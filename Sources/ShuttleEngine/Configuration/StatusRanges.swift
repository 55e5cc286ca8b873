// Owns the ranges of HTTP status that a check takes for good: how they are written and what is in them.
// Leaves to others: asking (shuttled/Health).

/// Ranges of HTTP status, such as `200`, `200-299` or `200,204,300-399`.
public struct StatusRanges: Equatable, Hashable, Sendable, CustomStringConvertible {
    /// Ranges that a text may list.
    static let countMax = 32
    /// What a status can be.
    static let possible = 100...599

    /// In the order given.
    let ranges: [ClosedRange<Int>]
    /// As it was given.
    public let description: String

    /// Nil where the text is none; `fault(in:)` says why.
    public init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        guard parts.count <= StatusRanges.countMax else {
            return nil
        }
        var ranges: [ClosedRange<Int>] = []
        for part in parts {
            let ends = part.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
            guard let first = ends.first.flatMap(StatusRanges.status),
                let last = ends.last.flatMap(StatusRanges.status),
                ends.count <= 2, first <= last
            else {
                return nil
            }
            ranges.append(first...last)
        }
        self.ranges = ranges
        description = text
    }

    public func contains(_ status: Int) -> Bool {
        ranges.contains { $0.contains(status) }
    }

    /// What is wrong with a text, as the end of a sentence; nil where nothing is.
    static func fault(in text: String) -> String? {
        if StatusRanges(text) != nil {
            return nil
        }
        return "it must be status codes from \(possible.lowerBound) to \(possible.upperBound) or ranges of them, "
            + "\(countMax) at most, such as \"200\", \"200-299\" or \"200,204,300-399\""
    }

    private static func status(_ digits: Substring.UTF8View.SubSequence) -> Int? {
        guard digits.count == 3, let number = Int(Substring(digits)), possible.contains(number) else {
            return nil
        }
        return number
    }
}

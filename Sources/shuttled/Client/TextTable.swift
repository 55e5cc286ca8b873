// Owns printing rows in aligned columns, within the width of a terminal where there is one.
// Leaves to others: what is in them (StatisticsTables), whether colours are wanted (ClientOutput).

/// A piece of text and what colour would stress; the text must say it by itself.
struct TextCell: Equatable, Sendable, ExpressibleByStringLiteral {
    enum Emphasis: String, Sendable {
        case none = ""
        case heading = "1"
        case good = "32"
        case warning = "33"
        case bad = "31"
    }

    /// One line of printable characters.
    let text: String
    let emphasis: Emphasis

    init(_ text: String, _ emphasis: Emphasis = .none) {
        self.text = Printable.line(text)
        self.emphasis = emphasis
    }

    init(stringLiteral text: String) {
        self.init(text)
    }

    func printed(inColour: Bool) -> String {
        inColour && emphasis != .none ? "\u{1B}[\(emphasis.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// The same in at most so many columns; what is left out shows. `keepingEnd`: where the last part tells it from others.
    func cut(to width: Int, keepingEnd: Bool = false) -> TextCell {
        guard text.count > width else {
            return self
        }
        let room = max(0, width - 1)
        let end = keepingEnd ? room / 2 : 0
        return TextCell(width < 1 ? "" : text.prefix(room - end) + "…" + text.suffix(end), emphasis)
    }
}

/// Rows under a heading.
struct TextTable: Equatable, Sendable {
    struct Column: Equatable, Sendable {
        var title: String
        /// Numbers stand under each other's last digit.
        var isNumber = false
        /// What may be cut where the terminal is too narrow, the longest first.
        var isFlexible = false
        /// Such as the backend of `service/backend`: it is cut in the middle.
        var keepsEnd = false
        /// What is left out before anything is cut, the last first.
        var isDispensable = false
    }

    /// What a column that is cut keeps at least; with less it says nothing.
    var flexibleWidthMin = 24

    var columns: [Column]
    var rows: [[TextCell]] = []

    init(columns: [Column]) {
        self.columns = columns
    }

    /// The lines without newlines. `width` is that of a terminal, nil for no limit.
    func lines(width: Int?, inColour: Bool) -> [String] {
        let heading = columns.map { TextCell($0.title, .heading) }
        let (shown, widths) = layout(within: width)
        return ([heading] + rows).map { row in
            line(row, shown, widths, inColour: inColour)
        }
    }

    private func line(_ row: [TextCell], _ shown: [Int], _ widths: [Int], inColour: Bool) -> String {
        var line = ""
        var pending = 0
        for index in shown {
            let cell = row[index].cut(to: widths[index], keepingEnd: columns[index].keepsEnd)
            let space = widths[index] - cell.text.count
            if columns[index].isNumber {
                pending += space
            }
            // Spaces are written before what follows them, so that no line ends in some.
            if !cell.text.isEmpty {
                line += String(repeating: " ", count: pending) + cell.printed(inColour: inColour)
                pending = 0
            }
            pending += 2 + (columns[index].isNumber ? 0 : space)
        }
        return line
    }

    /// Which columns are shown, and how wide each column is. Where even that is too much, the terminal breaks the lines.
    private func layout(within limit: Int?) -> (shown: [Int], widths: [Int]) {
        var widths = columns.map(\.title.count)
        for row in rows {
            for (index, cell) in row.enumerated() {
                widths[index] = max(widths[index], cell.text.count)
            }
        }
        var shown = Array(columns.indices)
        guard let limit else {
            return (shown, widths)
        }
        var excess: Int { shown.reduce(2 * (shown.count - 1)) { $0 + widths[$1] } - limit }
        // Cutting to the least must be of no avail before a column goes.
        while cutting(shown, widths) < excess, let last = shown.lastIndex(where: { columns[$0].isDispensable }) {
            shown.remove(at: last)
        }
        while excess > 0 {
            let longest = shown.filter { columns[$0].isFlexible && widths[$0] > flexibleWidthMin }
                .max { widths[$0] < widths[$1] }
            guard let longest else {
                break
            }
            widths[longest] -= 1
        }
        return (shown, widths)
    }

    /// How much narrower the columns can become.
    private func cutting(_ shown: [Int], _ widths: [Int]) -> Int {
        shown.reduce(0) { $0 + (columns[$1].isFlexible ? max(0, widths[$1] - flexibleWidthMin) : 0) }
    }
}

/// Numbers as people read them. Programs get the exact ones (-output json).
enum Humanised {
    /// Bytes: `999`, `1.2K`, `345M`, in steps of 1024.
    static func bytes(_ count: Int) -> String {
        scaled(Double(count), step: 1024, units: ["", "K", "M", "G", "T", "P", "E"])
    }

    static func bytesPerSecond(_ rate: Double?) -> String {
        rate.map { scaled($0, step: 1024, units: ["B/s", "K/s", "M/s", "G/s", "T/s", "P/s", "E/s"]) } ?? "-"
    }

    /// Events a second, in steps of 1000.
    static func perSecond(_ rate: Double?) -> String {
        guard let rate else {
            return "-"
        }
        return rate > 0 && rate < 9.95 ? tenths(rate) : scaled(rate, step: 1000, units: ["", "k", "M", "G", "T"])
    }

    private static func scaled(_ value: Double, step: Double, units: [String]) -> String {
        var value = max(0, value)
        var unit = 0
        // 999.6 would be rounded to one more digit.
        while unit + 1 < units.count, value.rounded() >= (unit == 0 ? step : 1000) {
            value /= step
            unit += 1
        }
        return (unit > 0 && value < 9.95 ? tenths(value) : String(Int(value.rounded()))) + units[unit]
    }

    /// One digit after the point.
    private static func tenths(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}

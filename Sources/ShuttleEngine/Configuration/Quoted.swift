// Owns how a user's text is shown inside a message: quoted, on one line, of bounded length.
// Leaves to others: JSON escaping (shuttled/Configuration/JSONWriter.swift), which must keep every character.

/// A piece of the user's input, made safe to print in an error or a log line.
///
/// Input may hold newlines, terminal escapes or megabytes. A message shows enough to recognise it and no more.
public struct Quoted: CustomStringConvertible, Sendable {
    /// Characters shown before the rest is cut off.
    public static let lengthMax = 80

    public let description: String

    /// Quotes `text`; invisible characters are written as `\u{…}`, what exceeds `lengthMax` is cut off and counted.
    public init(_ text: some StringProtocol) {
        var shown = "\""
        var count = 0
        for scalar in text.unicodeScalars {
            guard count < Quoted.lengthMax else {
                break
            }
            count += 1
            switch scalar {
            case "\"": shown += "\\\""
            case "\\": shown += "\\\\"
            case "\n": shown += "\\n"
            case "\r": shown += "\\r"
            case "\t": shown += "\\t"
            case _ where Quoted.isVisible(scalar): shown.unicodeScalars.append(scalar)
            default: shown += "\\u{" + String(scalar.value, radix: 16) + "}"
            }
        }
        shown += "\""
        let bytes = text.utf8.count
        if bytes > Quoted.lengthMax, text.unicodeScalars.count > Quoted.lengthMax {
            shown += "… (\(bytes) bytes)"
        }
        description = shown
    }

    private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII {
            return scalar.value >= 0x20 && scalar.value != 0x7F
        }
        switch scalar.properties.generalCategory {
        // Format characters include the ones that turn the direction of text around.
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default:
            return true
        }
    }
}

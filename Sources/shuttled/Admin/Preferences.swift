// Owns reading `Prefer` (RFC 7240). Leaves to others: honouring it.

import Hummingbird

/// What a client would like, as far as it is known here; everything else in the header is ignored, as it asks to be.
struct Preferences: Equatable, Sendable {
    /// `return=minimal`: success needs no body.
    var wantsMinimalReturn = false

    init(_ fields: HTTPFields) {
        var isReturnSeen = false
        for value in fields[values: HTTPFields.Element.Name("Prefer")!] {
            for preference in Preferences.split(value, at: ",") {
                // Parameters after a semicolon belong to the preference; none are defined for this one.
                guard let token = Preferences.split(preference, at: ";").first else {
                    continue
                }
                let pair = token.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard pair.count == 2, Preferences.trim(pair[0]).lowercased() == "return", !isReturnSeen else {
                    continue
                }
                // Where a preference is given twice, the first one holds.
                isReturnSeen = true
                wantsMinimalReturn = Preferences.unquote(Preferences.trim(pair[1])).lowercased() == "minimal"
            }
        }
    }

    /// Splits outside quoted strings.
    private static func split(_ text: some StringProtocol, at separator: Character) -> [Substring] {
        var parts: [Substring] = []
        let text = Substring(text)
        var start = text.startIndex
        var isQuoted = false
        var isEscaped = false
        for index in text.indices {
            let character = text[index]
            if isEscaped {
                isEscaped = false
            } else if isQuoted, character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                isQuoted.toggle()
            } else if character == separator, !isQuoted {
                parts.append(text[start..<index])
                start = text.index(after: index)
            }
        }
        parts.append(text[start...])
        return parts
    }

    private static func trim(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }

    private static func unquote(_ text: Substring) -> Substring {
        text.count >= 2 && text.hasPrefix("\"") && text.hasSuffix("\"") ? text.dropFirst().dropLast() : text
    }
}

// Owns what can be wrong with an address in text, and the words that say so.
// Leaves to others: finding it (Endpoint.swift), and naming the field or flag the text came from.

/// Why a text is not an address. Each case carries the text.
public enum EndpointError: Error, Equatable, Sendable {
    /// Nothing is there.
    case empty
    /// Spaces or control characters, inside or around.
    case space(String)
    /// A URL.
    case scheme(String)
    /// A unix socket where only host and port may stand.
    case unixSocket(String)
    /// Meant as the address of a unix socket, and none.
    case unix(String, UnixAddressFault)
    /// No `:port` at the end.
    case portMissing(String)
    /// The port is not made of decimal digits, or starts with a needless 0.
    case portText(String)
    /// The port is not in 1…65535.
    case portRange(String)
    /// More than one colon outside brackets.
    case colons(String)
    /// A bracket is not closed, or something else than `:port` follows it.
    case brackets(String)
    /// What is in brackets is not an IPv6 address.
    case ipv6(String)
    /// It ends in a number as an IPv4 address does, but is none.
    case ipv4(String)
    /// A character that no host name has.
    case hostCharacter(String)
    /// Characters of a host name in a place or number that no host name has.
    case hostName(String)
    /// After `srv:` comes no name that SRV records can have.
    case serviceName(String)

    /// The text that is not an address.
    public var text: String {
        switch self {
        case .empty:
            return ""
        case .space(let text), .scheme(let text), .unixSocket(let text), .portMissing(let text), .portText(let text),
            .portRange(let text), .colons(let text), .brackets(let text), .ipv6(let text), .ipv4(let text),
            .hostCharacter(let text), .hostName(let text), .serviceName(let text), .unix(let text, _):
            return text
        }
    }

    /// What is wrong and what to write instead, without the text itself: the end of a sentence that has named it.
    public var explanation: String {
        switch self {
        case .empty:
            return "it is empty; write host:port or [v6]:port"
        case .space:
            return "it contains a space or a control character; remove it"
        case .scheme:
            return "it is a URL; write only its host:port"
        case .unixSocket:
            return "a unix socket cannot stand here; write host:port or [v6]:port"
        case .unix(_, let fault):
            return fault.explanation
        case .portMissing(let text):
            let isNumber = text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            let example = isNumber ? "127.0.0.1:\(text)" : text.hasSuffix(":") ? "\(text)8080" : "\(text):8080"
            return "it has no port; write host:port, such as \(Quoted(example))"
        case .portText:
            return "its port is not a number; write decimal digits without sign or leading zeros after the last colon"
        case .portRange:
            let range = ConfigurationRanges.port
            return "its port is out of range; choose one from \(range.lowerBound) to \(range.upperBound)"
        case .colons(let text):
            let example = AddressLiteral.canonicalIPv6(text[...]).map { "[\($0)]:8080" } ?? "[::1]:8080"
            return "it has more than one colon; write an IPv6 address in brackets, such as \(Quoted(example))"
        case .brackets:
            return "its brackets are not those of an IPv6 address with a port; write [v6]:port, such as \"[::1]:8080\""
        case .ipv6:
            return "what is in brackets is not an IPv6 address; write [v6]:port, such as \"[::1]:8080\", "
                + "and anything else without brackets"
        case .ipv4:
            return "its host ends in a number but is not an IPv4 address; write four numbers from 0 to 255 "
                + "without leading zeros, such as \"127.0.0.1:8080\""
        case .hostCharacter(let text):
            if text.hasPrefix("*:") {
                return "it has a star for its host; to listen on every address write \(Quoted(text.dropFirst()))"
            }
            return "its host has a character that is not a letter, a digit or one of - . _; "
                + "write a host name, an IPv4 address or an IPv6 address in brackets"
        case .hostName:
            return "its host is not a host name; write parts of 1 to 63 characters, 253 in all, between single dots, "
                + "with no - at their ends"
        case .serviceName:
            return
                "what follows srv: is not the name of SRV records; write a name without a port, which the records have, "
                + "such as \"srv:_redis._tcp.example.org\""
        }
    }
}

extension EndpointError: CustomStringConvertible {
    public var description: String {
        "\(Quoted(text)) is not a usable address: \(explanation)"
    }
}

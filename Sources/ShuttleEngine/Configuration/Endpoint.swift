// Owns the form of a TCP address in text: host and port, parsed strictly and printed in canonical form.
// Leaves to others: numeric literals (AddressLiteral.swift), what is wrong with a text (EndpointError.swift), looking
// up host names and making socket addresses.

/// A TCP address as configured: where to listen, or where to connect to.
public enum Endpoint: Equatable, Hashable, Sendable {
    /// A host name, an IPv4 address or an IPv6 address (without brackets), in canonical form.
    case host(String, port: Int)
    /// Every local address, written `:port`.
    case wildcard(port: Int)

    /// Reads `host:port`, `[v6]:port` or `:port`.
    ///
    /// Nothing is guessed and nothing skipped: no spaces, signs, service names or default ports. Port 0, "any free
    /// port", is of use to a listener that reports which one it got; hence only where `allowingPortZero` says so.
    public init(parsing text: String, allowingPortZero: Bool = false) throws(EndpointError) {
        if text.isEmpty {
            throw .empty
        }
        // Before anything else: a path may hold spaces and colons.
        if text.hasPrefix("/") || text.hasPrefix("unix:") {
            throw .unixSocket(text)
        }
        if text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) {
            throw .space(text)
        }

        // Positions are those of bytes: as a character, a bracket or colon would swallow a combining mark after it.
        let host: Substring
        let portText: Substring
        let bytes = text.utf8
        if bytes.first == UInt8(ascii: "[") {
            guard let close = bytes.firstIndex(of: UInt8(ascii: "]")) else {
                throw .brackets(text)
            }
            host = text[bytes.index(after: bytes.startIndex)..<close]
            let rest = text[bytes.index(after: close)...]
            if rest.isEmpty {
                throw .portMissing(text)
            }
            guard rest.utf8.first == UInt8(ascii: ":") else {
                throw .brackets(text)
            }
            portText = Substring(rest.utf8.dropFirst())
        } else {
            guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else {
                throw .portMissing(text)
            }
            host = text[..<colon]
            portText = text[bytes.index(after: colon)...]
            if portText.hasPrefix("//") {
                throw .scheme(text)
            }
            if portText.utf8.contains(UInt8(ascii: ":")) {
                throw .colons(text)
            }
        }

        let port = try Endpoint.port(portText, in: text, allowingZero: allowingPortZero)
        if bytes.first == UInt8(ascii: "[") {
            guard let literal = AddressLiteral.canonicalIPv6(host) else {
                throw .ipv6(text)
            }
            self = .host(literal, port: port)
        } else if host.isEmpty {
            self = .wildcard(port: port)
        } else {
            self = .host(try Endpoint.host(host, in: text), port: port)
        }
    }

    /// The port, 1…65535, or 0 where that was allowed.
    public var port: Int {
        switch self {
        case .host(_, let port), .wildcard(let port):
            return port
        }
    }

    private static func port(
        _ digits: Substring, in text: String, allowingZero: Bool
    ) throws(EndpointError) -> Int {
        if digits.isEmpty {
            throw .portMissing(text)
        }
        guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            digits == "0" || !digits.hasPrefix("0")
        else {
            throw .portText(text)
        }
        // Digits that overflow an Int are out of range as well.
        guard let port = Int(digits), port == 0 || ConfigurationRanges.port.contains(port) else {
            throw .portRange(text)
        }
        if port == 0, !allowingZero {
            throw .portRange(text)
        }
        return port
    }

    /// A host name or an IPv4 address.
    private static func host(_ host: Substring, in text: String) throws(EndpointError) -> String {
        if AddressLiteral.isIPv4(host) {
            return String(host)
        }
        if AddressLiteral.looksLikeIPv4(host) {
            throw .ipv4(text)
        }
        guard host.utf8.allSatisfy({ AddressLiteral.isLetterOrDigit($0) || "-_.".utf8.contains($0) }) else {
            throw .hostCharacter(text)
        }
        // The rules of DNS, and `_`, which container networks use in names. A dot at the end says: nothing to append.
        let name = host.hasSuffix(".") ? host.dropLast() : host
        let hyphen = UInt8(ascii: "-")
        for label in name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard (1...63).contains(label.count), label.first != hyphen, label.last != hyphen else {
                throw .hostName(text)
            }
        }
        guard name.utf8.count <= 253 else {
            throw .hostName(text)
        }
        // Names are compared without regard to case, and all characters are ASCII by now.
        return host.lowercased()
    }
}

extension Endpoint: CustomStringConvertible {
    /// Canonical form: what `init(parsing:)` reads back as an equal value.
    public var description: String {
        switch self {
        case .host(let host, let port):
            return host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .wildcard(let port):
            return ":\(port)"
        }
    }
}

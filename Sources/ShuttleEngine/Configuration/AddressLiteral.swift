// Owns the text forms of numeric addresses: strict IPv4, IPv6 in the canonical form of RFC 5952.
// Leaves to others: host names and ports (Endpoint.swift), and binary socket addresses.

/// Numeric addresses in text. The system's parser takes forms that mislead (`010.0.0.1` is octal, `127.1` is short for
/// `127.0.0.1`) and lives in a library this folder does without.
enum AddressLiteral {
    static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            return true
        default:
            return false
        }
    }

    /// Whether the last label is a number: such a text is an IPv4 address or a mistake, never a name.
    static func looksLikeIPv4(_ text: Substring) -> Bool {
        let withoutRoot = text.hasSuffix(".") ? text.dropLast() : text
        guard let last = withoutRoot.split(separator: ".", omittingEmptySubsequences: false).last, !last.isEmpty else {
            return false
        }
        if last.hasPrefix("0x") || last.hasPrefix("0X") {
            return last.dropFirst(2).utf8.allSatisfy { hexadecimal($0) != nil }
        }
        return last.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// Four numbers from 0 to 255, without leading zeros.
    static func isIPv4(_ text: Substring) -> Bool {
        ipv4(text.utf8) != nil
    }

    /// One address of one interface, without port, zone and brackets.
    static func isSource(_ text: String) -> Bool {
        if isIPv4(text[...]) { return text != "0.0.0.0" }
        guard !text.contains("%"), let canonical = canonicalIPv6(text[...]) else { return false }
        // IPv4 in the clothes of IPv6 reaches neither.
        return canonical != "::" && !canonical.hasPrefix("::ffff:")
    }

    /// `text` (without brackets, with an optional `%zone`) in the form of RFC 5952, or nil when it is no IPv6 address.
    static func canonicalIPv6(_ text: Substring) -> String? {
        let address: Substring
        let zone: Substring
        if let percent = text.utf8.firstIndex(of: UInt8(ascii: "%")) {
            address = text[..<percent]
            zone = text[percent...]
            guard isZone(zone.utf8.dropFirst()) else {
                return nil
            }
        } else {
            address = text
            zone = ""
        }
        guard let groups = ipv6(Array(address.utf8)) else {
            return nil
        }
        return canonical(groups) + zone
    }

    /// A network interface by name or number; the kernel allows 15 characters.
    private static func isZone(_ zone: some Collection<UInt8>) -> Bool {
        (1...15).contains(zone.count)
            && zone.allSatisfy { isLetterOrDigit($0) || "_.@-".utf8.contains($0) }
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt16? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return UInt16(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): return UInt16(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): return UInt16(byte - UInt8(ascii: "A") + 10)
        default: return nil
        }
    }

    /// The 32 bits of an IPv4 address.
    static func ipv4(_ text: some Sequence<UInt8>) -> UInt32? {
        var address: UInt32 = 0
        var octet: UInt32 = 0
        var digitCount = 0
        var dotCount = 0
        for byte in text {
            switch byte {
            case UInt8(ascii: "."):
                guard digitCount > 0, dotCount < 3 else {
                    return nil
                }
                address = address << 8 | octet
                octet = 0
                digitCount = 0
                dotCount += 1
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                // Nothing follows a leading zero.
                guard digitCount == 0 || octet != 0 else {
                    return nil
                }
                octet = octet * 10 + UInt32(byte - UInt8(ascii: "0"))
                digitCount += 1
                guard octet <= 255 else {
                    return nil
                }
            default:
                return nil
            }
        }
        return digitCount > 0 && dotCount == 3 ? address << 8 | octet : nil
    }

    /// The eight groups of an IPv6 address.
    static func ipv6(_ text: [UInt8]) -> [UInt16]? {
        let colon = UInt8(ascii: ":")
        var groups: [UInt16] = []
        var gap: Int?
        var index = 0
        if text.first == colon {
            guard text.count >= 2, text[1] == colon else {
                return nil
            }
            gap = 0
            index = 2
        }
        while index < text.count {
            let piece = text[index...].prefix { $0 != colon }
            index += piece.count
            if index == text.count, piece.contains(UInt8(ascii: ".")) {
                guard let address = ipv4(piece) else {
                    return nil
                }
                groups += [UInt16(address >> 16), UInt16(address & 0xFFFF)]
                break
            }
            guard (1...4).contains(piece.count) else {
                return nil
            }
            var group: UInt16 = 0
            for byte in piece {
                guard let digit = hexadecimal(byte) else {
                    return nil
                }
                group = group << 4 | digit
            }
            groups.append(group)
            guard groups.count <= 8 else {
                return nil
            }
            if index == text.count {
                break
            }
            index += 1
            if index == text.count {
                return nil
            }
            if text[index] == colon {
                guard gap == nil else {
                    return nil
                }
                gap = groups.count
                index += 1
            }
        }
        guard let gap else {
            return groups.count == 8 ? groups : nil
        }
        // `::` stands for one group at least.
        guard groups.count <= 7 else {
            return nil
        }
        groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
        return groups
    }

    /// Eight groups in the form of RFC 5952.
    static func canonical(_ groups: [UInt16]) -> String {
        if groups[0..<5].allSatisfy({ $0 == 0 }), groups[5] == 0xFFFF {
            return "::ffff:\(groups[6] >> 8).\(groups[6] & 0xFF).\(groups[7] >> 8).\(groups[7] & 0xFF)"
        }
        // The longest run of two or more zeros is left out, the first one of several.
        var longest = 0..<0
        var start = 0
        for index in 0...groups.count {
            if index < groups.count, groups[index] == 0 {
                continue
            }
            if index - start > longest.count, index - start >= 2 {
                longest = start..<index
            }
            start = index + 1
        }
        func joined(_ part: ArraySlice<UInt16>) -> String {
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        if longest.isEmpty {
            return joined(groups[...])
        }
        return joined(groups[..<longest.lowerBound]) + "::" + joined(groups[longest.upperBound...])
    }
}

// Owns networks in text: an address, or an address with the length of its prefix (CIDR: RFC 4632, and RFC 4291 section
// 2.3). Leaves to others: lists of them (AccessEntries), which clients are in them (Balancing/AccessRanges).

/// A network of one family; a single address is one whose prefix is as long as the address.
struct NetworkPrefix: Equatable, Hashable {
    enum Family: Hashable {
        case ipv4
        case ipv6

        /// Bits of an address.
        var bits: Int { self == .ipv4 ? 32 : 128 }
    }

    let family: Family
    /// The lowest address; the bits beyond the prefix are 0. IPv4 is in the low 32 bits.
    let first: UInt128
    /// Bits that the addresses of the network have in common.
    let length: Int

    /// The highest address.
    var last: UInt128 { first | NetworkPrefix.rest(length, of: family) }

    /// The bits beyond a prefix.
    private static func rest(_ length: Int, of family: Family) -> UInt128 {
        length == family.bits ? 0 : UInt128.max >> UInt128(128 - family.bits + length)
    }

    /// Reads `192.0.2.0/24`, `2001:db8::/32` or an address alone. IPv4 in the form that IPv6 has for it
    /// (`::ffff:192.0.2.0/120`) is IPv4, since that is what its clients are.
    init(parsing text: String) throws(NetworkPrefixError) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let (family, address) = NetworkPrefix.address(parts[0]) else { throw .syntax }
        let isMapped = family == .ipv6 && address >> 32 == 0xffff
        var length = family.bits
        if parts.count == 2 {
            guard let number = NetworkPrefix.length(parts[1], max: family.bits) else {
                throw .length(max: family.bits)
            }
            length = number
        }
        if isMapped {
            guard length >= 96 else { throw .mappedLength(address: NetworkPrefix.text(address & 0xffff_ffff, .ipv4)) }
            (self.family, self.length) = (.ipv4, length - 96)
            first = address & 0xffff_ffff
        } else {
            (self.family, self.length, first) = (family, length, address)
        }
        let beyond = NetworkPrefix.rest(self.length, of: self.family)
        guard first & beyond == 0 else {
            throw .bitsBeyond(
                length: length,
                network: "\(NetworkPrefix.text(first & ~beyond, self.family))/\(self.length)",
                address: NetworkPrefix.text(first, self.family)
            )
        }
    }

    private static func address(_ text: Substring) -> (Family, UInt128)? {
        if let number = AddressLiteral.ipv4(text.utf8) { return (.ipv4, UInt128(number)) }
        guard let groups = AddressLiteral.ipv6(Array(text.utf8)) else { return nil }
        return (.ipv6, groups.reduce(0) { $0 << 16 | UInt128($1) })
    }

    /// Digits without a leading zero.
    private static func length(_ digits: Substring, max: Int) -> Int? {
        guard (1...3).contains(digits.utf8.count),
            digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            digits == "0" || !digits.hasPrefix("0"), let number = Int(digits), number <= max
        else { return nil }
        return number
    }

    private static func text(_ address: UInt128, _ family: Family) -> String {
        if family == .ipv4 {
            return [24, 16, 8, 0].map { String((address >> $0) & 0xff) }.joined(separator: ".")
        }
        return AddressLiteral.canonical((0..<8).map { UInt16(truncatingIfNeeded: address >> (112 - 16 * $0)) })
    }
}

extension NetworkPrefix: CustomStringConvertible {
    /// Canonical: a single address stands alone.
    var description: String {
        let address = NetworkPrefix.text(first, family)
        return length == family.bits ? address : "\(address)/\(length)"
    }
}

/// Why a text is no network.
enum NetworkPrefixError: Error, Equatable {
    case syntax
    case length(max: Int)
    /// IPv4 in the form of IPv6, with a prefix that reaches beyond IPv4.
    case mappedLength(address: String)
    case bitsBeyond(length: Int, network: String, address: String)

    /// What is wrong and the remedy, as the end of a sentence that has named the text; nil where it is no network at all.
    var explanation: String? {
        switch self {
        case .syntax:
            nil
        case .length(let max):
            "after the slash comes the length of the prefix, a number from 0 to \(max)"
        case .mappedLength(let address):
            "this form of an IPv4 address takes a prefix from 96 to 128; better write \"\(address)\" and a prefix from "
                + "0 to 32"
        case .bitsBeyond(let length, let network, let address):
            "its address has bits beyond the prefix of \(length); write \"\(network)\" for the network, or "
                + "\"\(address)\" for the one address"
        }
    }
}

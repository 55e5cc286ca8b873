// Networks in text: what is read, what is refused with which remedy, and no crash on anything.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct NetworkPrefixTests {
    private static func parse(_ text: String) -> Result<NetworkPrefix, NetworkPrefixError> {
        Result { () throws(NetworkPrefixError) in try NetworkPrefix(parsing: text) }
    }

    @Test(
        arguments: [
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.128/25", "192.0.2.128/25"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("255.255.255.255", "255.255.255.255"),
            ("::/0", "::/0"),
            ("::1", "::1"),
            ("2001:DB8:0:0::/32", "2001:db8::/32"),
            ("2001:db8::1/128", "2001:db8::1"),
            ("fe80::/10", "fe80::/10"),
            // IPv4 among IPv6.
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::FFFF:c000:0200/120", "192.0.2.0/24"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            // Not mapped: compatible addresses are IPv6.
            ("::192.0.2.1", "::c000:201"),
            ("::fffe:192.0.2.1", "::fffe:c000:201"),
        ])
    func reads(text: String, canonical: String) throws {
        let network = try NetworkPrefix(parsing: text)
        #expect(network.description == canonical)
        #expect(try NetworkPrefix(parsing: canonical) == network)
    }

    @Test func beginsAndEnds() throws {
        let four = try NetworkPrefix(parsing: "192.0.2.128/25")
        #expect(four.family == .ipv4 && four.first == 0xc000_0280 && four.last == 0xc000_02ff)
        let all = try NetworkPrefix(parsing: "0.0.0.0/0")
        #expect(all.first == 0 && all.last == 0xffff_ffff)
        let one = try NetworkPrefix(parsing: "::1")
        #expect(one.family == .ipv6 && one.first == 1 && one.last == 1)
        #expect(try NetworkPrefix(parsing: "::/0").last == .max)
        let high = try NetworkPrefix(parsing: "8000::/1")
        #expect(high.first == 1 << 127 && high.last == .max)
    }

    @Test(
        arguments: [
            "", "/", "/8", "10.0.0.0.0/8", "10/8", "10.0.0/8", "010.0.0.0/8", "1.2.3.256", "localhost", "all",
            "10.0.0.0 ",
            " 10.0.0.0", "[::1]", "::1%lo", "::1:", ":::", "1::2::3", "10.0.0.0:80", "12345::", "::ffff:1.2.3", "unix:",
            "*",
            "10.0.0.1-10.0.0.9", "١.0.0.0/8",
        ])
    func isNoNetwork(text: String) {
        #expect(NetworkPrefixTests.parse(text) == .failure(.syntax))
        #expect(NetworkPrefixError.syntax.explanation == nil)
    }

    @Test(
        arguments: [
            ("10.0.0.0/", 32), ("10.0.0.0/33", 32), ("10.0.0.0/08", 32), ("10.0.0.0/-1", 32), ("10.0.0.0/+8", 32),
            ("10.0.0.0/8/8", 32), ("10.0.0.0/ 8", 32), ("10.0.0.0/255.0.0.0", 32), ("10.0.0.0/00", 32),
            ("10.0.0.0/99999999999999999999", 32), ("::/129", 128), ("::/x", 128), ("::1/", 128),
        ])
    func lengths(text: String, max: Int) {
        #expect(NetworkPrefixTests.parse(text) == .failure(.length(max: max)))
        #expect(NetworkPrefixError.length(max: max).explanation?.contains("from 0 to \(max)") == true)
    }

    @Test(
        arguments: [
            ("10.1.2.3/8", 8, "10.0.0.0/8", "10.1.2.3"),
            ("192.0.2.1/31", 31, "192.0.2.0/31", "192.0.2.1"),
            ("1.0.0.0/0", 0, "0.0.0.0/0", "1.0.0.0"),
            ("2001:db8::1/64", 64, "2001:db8::/64", "2001:db8::1"),
            ("::1/0", 0, "::/0", "::1"),
            ("::ffff:10.1.2.3/104", 104, "10.0.0.0/8", "10.1.2.3"),
        ])
    func bitsBeyondThePrefix(text: String, length: Int, network: String, address: String) {
        let error = NetworkPrefixError.bitsBeyond(length: length, network: network, address: address)
        #expect(NetworkPrefixTests.parse(text) == .failure(error))
        #expect(error.explanation?.contains("write \"\(network)\" for the network, or \"\(address)\" for") == true)
    }

    @Test func mappedAddressesReachNoFurtherThanIPv4() {
        for length in [0, 64, 80, 95] {
            let error = NetworkPrefixError.mappedLength(address: "10.0.0.0")
            #expect(NetworkPrefixTests.parse("::ffff:10.0.0.0/\(length)") == .failure(error))
            #expect(error.explanation?.contains("from 96 to 128; better write \"10.0.0.0\"") == true)
        }
    }

    // MARK: Against the system's parser, and anything

    /// What inet_pton(3) makes of an address; it takes no zones, brackets or short forms either.
    private static func reference(_ text: String) -> UInt128? {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return 0xffff_0000_0000 | UInt128(UInt32(bigEndian: four.s_addr)) }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        return withUnsafeBytes(of: six) { $0.reduce(0) { $0 << 8 | UInt128($1) } }
    }

    private static let seeds = [
        "192.0.2.0/24", "10.0.0.1", "2001:db8::/32", "::ffff:10.0.0.0/104", "fe80::1:2:3:4/128", "::", "0.0.0.0/0",
    ]
    private static let pieces =
        Array("0123456789abcdefF.:/%[]- x\u{0}é").map(String.init) + ["::", "ffff", "255", "/8"]

    private static func mutated(_ random: inout SplitMix) -> String {
        var text = Array(seeds[Int(random.next(through: UInt64(seeds.count - 1)))])
        for _ in 0...random.next(through: 3) {
            let position = Int(random.next(through: UInt64(text.count)))
            let end = min(text.count, position + Int(random.next(through: 3)))
            switch random.next(through: 2) {
            case 0: text.removeSubrange(position..<end)
            case 1: text.insert(contentsOf: pieces[Int(random.next(through: UInt64(pieces.count - 1)))], at: position)
            default: text.insert(contentsOf: Array(text[position..<end]), at: 0)
            }
        }
        return String(text)
    }

    /// Whatever comes in: no crash, an address is what the system says it is, and what is accepted reads back the same.
    @Test func fuzz() {
        var random = SplitMix(seed: 0x11a7)
        var accepted = 0
        for _ in 0..<50_000 {
            let text = NetworkPrefixTests.mutated(&random)
            guard case .success(let network) = NetworkPrefixTests.parse(text) else {
                // A text without a slash is refused for its address alone.
                if !text.contains("/"), !text.contains("\u{0}") {
                    #expect(NetworkPrefixTests.reference(text) == nil, "\(text.debugDescription) is an address")
                }
                continue
            }
            accepted += 1
            let address = text.split(separator: "/")[0]
            let words = network.family == .ipv4 ? 0xffff_0000_0000 | network.first : network.first
            #expect(NetworkPrefixTests.reference(String(address)) == words, "\(text.debugDescription)")
            #expect(NetworkPrefixTests.parse(network.description) == .success(network), "\(text.debugDescription)")
        }
        #expect(accepted > 5000, "\(accepted) were networks: the mutations are too wild to mean anything")
    }
}

// Owns which addresses lists let in: every edge of them, against what the lists say taken word by word; and the time
// that a look takes.

import Glibc
import Testing

@testable import ShuttleEngine

/// The lists taken word by word.
private struct Reference {
    let allow: [NetworkPrefix]
    let deny: [NetworkPrefix]

    init(allow: [String], deny: [String]) throws {
        self.allow = try allow.map { try NetworkPrefix(parsing: $0) }
        self.deny = try deny.map { try NetworkPrefix(parsing: $0) }
    }

    func admits(_ family: NetworkPrefix.Family, _ address: UInt128) -> Bool {
        func names(_ network: NetworkPrefix) -> Bool {
            network.family == family && network.first <= address && address <= network.last
        }
        if deny.contains(where: names) { return false }
        return allow.isEmpty || allow.contains(where: names)
    }
}

@Suite struct AccessRangesTests {
    /// Health changes often, the lists do not.
    @Test func listsAreCompiledOnceForAllSnapshotsBetweenTheirChanges() throws {
        let fixture = TableFixture(weights: [1, 1], deny: ["10.0.0.0/8"])
        let before = try #require(fixture.table.pointee.access)
        fixture.renew()
        #expect(fixture.table.pointee.access == before)
        #expect(TableFixture(weights: [1]).table.pointee.access == nil)
    }

    private static func client(_ family: NetworkPrefix.Family, _ address: UInt128) -> ClientAddress {
        let words = family == .ipv4 ? 0xffff_0000_0000 | address : address
        return ClientAddress(high: UInt64(truncatingIfNeeded: words >> 64), low: UInt64(truncatingIfNeeded: words))
    }

    private static func client(_ text: String) throws -> ClientAddress {
        let address = try NetworkPrefix(parsing: text)
        return client(address.family, address.first)
    }

    /// Whether each of the addresses comes in.
    private func admits(allow: [String] = [], deny: [String] = [], _ addresses: String...) throws -> [Bool] {
        let ranges = try #require(AccessRanges(allow: allow, deny: deny))
        defer { ranges.deallocate() }
        return try addresses.map { ranges.admits(try AccessRangesTests.client($0)) }
    }

    @Test func emptyListsAreNone() {
        #expect(AccessRanges(allow: [], deny: []) == nil)
    }

    @Test func onlyWhatIsAllowedComesIn() throws {
        let found = try admits(
            allow: ["10.0.0.0/8", "2001:db8::/32"], "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0",
            "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::")
        #expect(found == [true, true, false, false, true, true, false, false])
    }

    @Test func whatIsDeniedStaysOutWhateverIsAllowed() throws {
        let found = try admits(
            allow: ["10.0.0.0/8", "192.0.2.1"], deny: ["10.1.0.0/16", "192.0.2.0/24"], "10.0.255.255", "10.1.0.0",
            "10.1.255.255", "10.2.0.0", "192.0.2.1")
        #expect(found == [true, false, false, true, false])
        #expect(try admits(deny: ["10.1.0.0/16"], "10.1.2.3", "10.0.0.1", "::1") == [false, true, true])
    }

    /// A list of one family says nothing of the other but that nobody else comes in.
    @Test func familiesAreApart() throws {
        #expect(try admits(allow: ["0.0.0.0/0"], "1.2.3.4", "::1", "::") == [true, false, false])
        #expect(try admits(allow: ["::/0"], "1.2.3.4", "::1", "::1.2.3.4") == [false, true, true])
        #expect(try admits(deny: ["::/0"], "1.2.3.4", "::1") == [true, false])
        #expect(try admits(deny: ["0.0.0.0/0", "::/0"], "1.2.3.4", "::1") == [false, false])
    }

    @Test func anIPv4ClientOfAnIPv6ListenerIsAnIPv4Client() throws {
        let mapped = ClientAddress(high: 0, low: 0xffff_0a01_0203)
        let ranges = try #require(AccessRanges(allow: [], deny: ["10.0.0.0/8"]))
        #expect(!ranges.admits(mapped) && !ranges.admits(ClientAddress(.ipv4(0x0a01_0203, port: 9))))
        ranges.deallocate()
        #expect(try admits(deny: ["::ffff:10.0.0.0/104"], "10.1.2.3", "11.1.2.3") == [false, true])
    }

    /// Random networks, crowded at both ends of the address space and in between: every address at which anything could
    /// change, and its neighbours.
    @Test func agreesWithTheListsWordByWord() throws {
        var random = SplitMix(seed: 0xacce55)
        for _ in 0..<400 {
            let lists = (0..<2).map { _ in
                (0..<Int(random.next(through: 12))).map { _ in AccessRangesTests.network(&random) }
            }
            if lists[0].isEmpty && lists[1].isEmpty { continue }
            let reference = try Reference(allow: lists[0], deny: lists[1])
            let ranges = try #require(AccessRanges(allow: lists[0], deny: lists[1]))
            for network in reference.allow + reference.deny {
                let end: UInt128 = network.family == .ipv4 ? 0xffff_ffff : .max
                let places = [
                    network.first, network.last, network.first == 0 ? end : network.first - 1,
                    network.last == end ? 0 : network.last + 1, 0, end,
                    network.first + (network.last - network.first) / 3,
                ]
                for place in places {
                    for family in [network.family, .ipv4, .ipv6] where family == .ipv6 || place <= 0xffff_ffff {
                        // Of IPv6 these are no addresses: they stand for IPv4.
                        if family == .ipv6, place >> 32 == 0xffff { continue }
                        #expect(
                            ranges.admits(AccessRangesTests.client(family, place)) == reference.admits(family, place),
                            "\(family) \(place): allow \(lists[0]), deny \(lists[1])"
                        )
                    }
                }
            }
            ranges.deallocate()
        }
    }

    private static func network(_ random: inout SplitMix) -> String {
        let isFour = random.next(through: 1) == 0
        let bits: UInt64 = isFour ? 32 : 128
        let length = [0, 1, bits - 8, bits - 2, bits - 1, bits, random.next(through: bits)][
            Int(random.next(through: 6))]
        // Few different high bits, so that networks meet.
        let high = [0, 0x0a, 0xff][Int(random.next(through: 2))] as UInt128
        let low = UInt128(random.next(through: 255)) * (random.next(through: 1) == 0 ? 1 : 0x0101)
        var address = high << UInt128(bits - 8) | low
        let rest = length == bits ? 0 : UInt128.max >> UInt128(128 - bits + length)
        if high == 0xff, random.next(through: 1) == 0 { address = isFour ? 0xffff_ffff : .max }
        address &= ~rest
        let text =
            isFour
            ? [24, 16, 8, 0].map { String((address >> $0) & 0xff) }.joined(separator: ".")
            : (0..<8).map { String((address >> (112 - 16 * UInt128($0))) & 0xffff, radix: 16) }.joined(separator: ":")
        return "\(text)/\(length)"
    }

    /// Neighbours become one, and what is taken out of the middle leaves two.
    @Test func boundsAreAsFewAsCanBe() throws {
        func count(allow: [String] = [], deny: [String] = []) throws -> Int {
            let ranges = try #require(AccessRanges(allow: allow, deny: deny))
            defer { ranges.deallocate() }
            return ranges.boundCount
        }
        #expect(try count(allow: ["10.0.0.0/9", "10.128.0.0/9"]) == 2)
        // All of IPv6 begins at 0 and does not end.
        #expect(try count(deny: ["10.0.0.0/8"]) == 3 + 1)
        #expect(try count(deny: ["0.0.0.0/1", "128.0.0.0/1"]) == 0 + 1)
        #expect(try count(allow: ["10.0.0.0/8"], deny: ["10.1.0.0/16"]) == 4)
    }

    /// Ten thousand entries in each list, in a debug build; what a release build takes is said by
    /// `EngineBenchmark --access`.
    @Test func tenThousandEntries() throws {
        let allow = (0..<10_000).map { "10.\($0 / 256).\($0 % 256).0/24" }
        let deny = (0..<10_000).map { "10.\($0 / 256).\($0 % 256).7" }
        let ranges = try #require(AccessRanges(allow: allow, deny: deny))
        defer { ranges.deallocate() }
        #expect(ranges.boundCount == 20_002)
        var random = SplitMix(seed: 1)
        let looks: UInt64 = 100_000
        var admitted = 0
        let start = AccessRangesTests.threadNanoseconds()
        for _ in 0..<looks {
            let client = ClientAddress(high: 0, low: 0xffff_0a00_0000 | random.next(through: 0xff_ffff))
            if ranges.admits(client) { admitted += 1 }
        }
        let perLook = (AccessRangesTests.threadNanoseconds() - start) / looks
        // 10,000 of 65,536 networks, less one address of each.
        #expect((14_000...16_500).contains(admitted), "\(admitted)")
        #expect(perLook < 20_000, "\(perLook) ns a look")
    }

    private static func threadNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

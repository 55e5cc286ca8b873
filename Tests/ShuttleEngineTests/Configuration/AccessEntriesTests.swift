// The lists `allow` and `deny`: what each issue points to and which remedy it names.

import Testing

@testable import ShuttleEngine

@Suite struct AccessEntriesTests {
    private func issues(allow: [String] = [], deny: [String] = []) -> [ConfigurationIssue] {
        var service = ServiceConfiguration(name: "a", address: ":1")
        service.allow = allow
        service.deny = deny
        return ConfigurationValidator.issues(in: service)
    }

    private func issue(_ pointer: String, _ detail: String) -> ConfigurationIssue {
        ConfigurationIssue(pointer: pointer, detail: detail)
    }

    @Test func goodListsHaveNoIssues() {
        #expect(issues().isEmpty)
        let networks = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1", "11.0.0.0/8", "::ffff:12.0.0.0/104"]
        #expect(issues(allow: networks, deny: networks).isEmpty)
        // What one list says and the other takes back is how exceptions are made.
        #expect(issues(allow: ["10.0.0.0/8"], deny: ["10.1.0.0/16"]).isEmpty)
        #expect(issues(allow: ["10.1.0.0/16"], deny: ["10.0.0.0/8"]).isEmpty)
    }

    @Test func unixSocketsAreOneEntry() {
        #expect(issues(allow: ["unix", "10.0.0.0/8"], deny: ["unix"]).isEmpty)
        #expect(
            issues(deny: ["unix", "::/0", "unix"]) == [
                issue(
                    "/deny/2", "\"deny\" has \"unix\", which is the same as \"unix\" at /deny/0; leave one of them out"
                )
            ]
        )
        for (allow, deny, admits) in [
            ([], ["10.0.0.0/8"], true), ([], ["::/0"], true), (["::/0"], [], false), (["unix"], [], true),
            (["unix", "::/0"], ["unix"], false), ([], ["unix"], false),
        ] as [([String], [String], Bool)] {
            let ranges = AccessRanges(allow: allow, deny: deny)
            #expect(ranges?.admitsUnix == admits, "\(allow) \(deny)")
            ranges?.deallocate()
        }
    }

    @Test func eachBadEntryIsPointedTo() {
        #expect(
            issues(allow: ["10.0.0.0/8", "10.1.2.3/16"], deny: ["office", "::/129"]) == [
                issue(
                    "/allow/1",
                    "\"allow\" has \"10.1.2.3/16\"; its address has bits beyond the prefix of 16; write \"10.1.0.0/16\" "
                        + "for the network, or \"10.1.2.3\" for the one address"
                ),
                issue(
                    "/deny/0",
                    "\"deny\" has \"office\"; it must be a network such as \"192.0.2.0/24\" or \"2001:db8::/32\", or an "
                        + "address, or \"unix\" for clients on unix sockets"
                ),
                issue(
                    "/deny/1",
                    "\"deny\" has \"::/129\"; after the slash comes the length of the prefix, a number from 0 to 128"
                ),
            ]
        )
    }

    @Test func whatIsSaidTwiceIsPointedTo() {
        #expect(
            issues(deny: ["10.0.0.0/8", "::1", "10.0.0.0/8", "10.255.255.255", "::ffff:10.0.0.0/104", "9.0.0.0/8"]) == [
                issue(
                    "/deny/2",
                    "\"deny\" has \"10.0.0.0/8\", which is the same as \"10.0.0.0/8\" at /deny/0; leave one of them out"
                ),
                issue(
                    "/deny/3",
                    "\"deny\" has \"10.255.255.255\", which lies within \"10.0.0.0/8\" at /deny/0; leave one of them out"
                ),
                issue(
                    "/deny/4",
                    "\"deny\" has \"::ffff:10.0.0.0/104\", which is the same as \"10.0.0.0/8\" at /deny/0; leave one of "
                        + "them out"
                ),
            ]
        )
        // The wider one may come later; families have nothing to do with each other.
        #expect(issues(allow: ["10.1.0.0/16", "10.0.0.0/8"]).map(\.pointer) == ["/allow/0"])
        #expect(issues(allow: ["0.0.0.0/0", "::/0"]).isEmpty)
    }

    /// Every pair of networks of a small world, against what containing means.
    @Test func repetitionsAgreeWithAReference() throws {
        let networks = (0...3).flatMap { length in
            (0..<(1 << length)).map { "\(length == 0 ? 0 : $0 << (8 - length)).0.0.0/\(length)" }
        }
        var random = SplitMix(seed: 3)
        for _ in 0..<2000 {
            let list = (0...random.next(through: 5)).map { _ in
                networks[Int(random.next(through: UInt64(networks.count - 1)))]
            }
            let parsed = try list.map { try NetworkPrefix(parsing: $0) }
            let expected = parsed.indices.filter { index in
                parsed.indices.contains { other in
                    let isWithin =
                        parsed[other].first <= parsed[index].first && parsed[index].last <= parsed[other].last
                    return other != index && isWithin && (parsed[other] != parsed[index] || other < index)
                }
            }
            #expect(issues(deny: list).map(\.pointer) == expected.map { "/deny/\($0)" }, "\(list)")
        }
    }

    @Test func aListHasABound() {
        let many = (0..<10_001).map { "10.\($0 / 65_536).\($0 / 256 % 256).\($0 % 256)" }
        #expect(issues(deny: Array(many.dropLast())).isEmpty)
        let found = issues(deny: many)
        #expect(found.map(\.pointer) == ["/deny"])
        #expect(
            found[0].detail.hasPrefix("\"deny\" has 10001 entries; it must be a list of at most 10000, each a network"))
    }
}

// Owns which route a name and protocols lead to.

import Testing

@testable import ShuttleEngine

@Suite struct RouteTableTests {
    private static func route(_ rules: [RouteRule], _ name: String?, _ protocols: [String]? = nil) -> Int? {
        let storage = RouteStorage(rules)
        return ClientHelloBuilder(name: name, protocols: protocols).bytes.withUnsafeBytes { bytes in
            guard case .complete(let hello) = ClientHello.read(bytes, limit: 16_384) else {
                Issue.record("no ClientHello")
                return nil
            }
            return withExtendedLifetime(storage) { storage.table.route(of: hello) }
        }
    }

    private static func rule(_ names: [String], _ protocols: [String] = []) -> RouteRule {
        RouteRule(names: names, protocols: protocols)
    }

    @Test func theExactNameThenTheLongestWildcardThenAnyName() {
        let rules = [
            Self.rule([]), Self.rule(["*.example"]), Self.rule(["*.b.example", "c.example"]),
            Self.rule(["A.b.Example."]),
        ]
        for (name, expected) in [
            ("a.b.example", 3), ("A.B.EXAMPLE", 3), ("a.b.example.", 3), ("x.b.example", 2), ("x.y.b.example", 2),
            ("c.example", 2), ("b.example", 1), ("d.example", 1), ("x.c.example", 1), ("example", 0), ("other", 0),
            ("xb.example", 1), (".b.example", 1), ("x..b.example", 2),
        ] {
            #expect(Self.route(rules, name) == expected, "\(name)")
        }
        #expect(Self.route(rules, nil) == 0)
        #expect(Self.route([rules[1]], nil) == nil && Self.route([rules[1]], "example") == nil)
        #expect(Self.route([], "a") == nil)
    }

    @Test func aProtocolMustBeOffered() {
        let rules = [
            Self.rule(["a.example"], ["h2"]), Self.rule(["a.example"]), Self.rule(["b.example"], ["h2", "http/1.1"]),
            Self.rule(["*.example"], ["imap"]), Self.rule([], ["smtp"]),
        ]
        #expect(Self.route(rules, "a.example", ["http/1.1", "h2"]) == 0)
        #expect(Self.route(rules, "a.example", ["http/1.1"]) == 1, "the same name without a protocol")
        #expect(Self.route(rules, "a.example") == 1)
        #expect(Self.route(rules, "b.example", ["x", "http/1.1"]) == 2)
        #expect(Self.route(rules, "b.example", ["imap"]) == 3, "what the exact name does not take goes on")
        #expect(Self.route(rules, "b.example", ["smtp"]) == 4)
        #expect(Self.route(rules, "b.example", ["h"]) == nil)
        #expect(Self.route(rules, "b.example") == nil)
        // Whatever the client prefers: the configuration's order decides.
        let both = [Self.rule(["a"], ["http/1.1"]), Self.rule(["a"], ["h2"])]
        #expect(Self.route(both, "a", ["h2", "http/1.1"]) == 0)
    }

    /// Against the rules as words say them.
    @Test func asTheRulesSay() {
        var random = SeededGenerator(77)
        let labels = ["a", "b", "cc", "a-b"]
        let all = ["h2", "http/1.1", "x"]
        func name(_ random: inout SeededGenerator) -> String {
            (0..<Int.random(in: 1...4, using: &random)).map { _ in labels.randomElement(using: &random)! }.joined(
                separator: ".")
        }
        var found = 0
        for _ in 0..<2000 {
            let rules = (0..<Int.random(in: 0...8, using: &random)).map { _ in
                RouteRule(
                    names: (0..<Int.random(in: 0...3, using: &random)).map { _ in
                        (Bool.random(using: &random) ? "*." : "") + name(&random)
                    },
                    protocols: all.filter { _ in Int.random(in: 0..<4, using: &random) == 0 }
                )
            }
            let sent = Int.random(in: 0..<8, using: &random) == 0 ? nil : name(&random)
            let offered = all.filter { _ in Bool.random(using: &random) }
            let expected = Self.expected(rules, sent, offered)
            #expect(Self.route(rules, sent, offered.isEmpty ? nil : offered) == expected)
            if expected != nil { found += 1 }
        }
        #expect(found > 300)
    }

    private static func expected(_ rules: [RouteRule], _ name: String?, _ offered: [String]) -> Int? {
        /// How well a route fits, the best first; nil where it does not.
        func rank(_ rule: RouteRule) -> (Int, Int)? {
            guard rule.protocols.isEmpty || !Set(rule.protocols).isDisjoint(with: offered) else { return nil }
            let lengths = (rule.names.isEmpty ? ["*"] : rule.names).compactMap { pattern -> Int? in
                if pattern == "*" { return 0 }
                guard let name else { return nil }
                if pattern == name { return 1000 }
                return pattern.hasPrefix("*.") && name.hasSuffix(pattern.dropFirst()) ? pattern.count : nil
            }
            return lengths.max().map { ($0, rule.protocols.isEmpty ? 0 : 1) }
        }
        var best: (rank: (Int, Int), route: Int)?
        for (route, rule) in rules.enumerated() {
            guard let rank = rank(rule) else { continue }
            if best == nil || rank > best!.rank { best = (rank, route) }
        }
        return best?.route
    }
}

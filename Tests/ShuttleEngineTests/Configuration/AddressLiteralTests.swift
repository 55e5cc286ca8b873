// The parser of numeric addresses against the system's: on random texts both must accept the same ones and mean the same.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct AddressLiteralTests {
    /// The bytes of an address as the system reads it.
    private func system(_ text: String, family: Int32, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return inet_pton(family, text, &bytes) == 1 ? bytes : nil
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func ipv6MeansWhatTheSystemSays(seed: UInt64) throws {
        var random = ConfigurationFixtures.Random(seed: seed)
        var accepted = 0
        for _ in 0..<500 {
            let text = randomIPv6(using: &random)
            let expected = system(text, family: AF_INET6, count: 16)
            let canonical = AddressLiteral.canonicalIPv6(text[...])
            #expect((canonical == nil) == (expected == nil), "seed \(seed): \(text)")
            if let canonical {
                accepted += 1
                #expect(system(canonical, family: AF_INET6, count: 16) == expected, "seed \(seed): \(text)")
                #expect(AddressLiteral.canonicalIPv6(canonical[...]) == canonical, "seed \(seed): \(text)")
            }
        }
        #expect(accepted > 50, "the texts are too wild to prove anything")
        #expect(accepted < 450, "the texts are too tame to prove anything")
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func ipv4MeansWhatTheSystemSays(seed: UInt64) {
        var random = ConfigurationFixtures.Random(seed: seed)
        var accepted = 0
        for _ in 0..<500 {
            var parts: [String] = []
            for _ in 0..<(random.chance(1, in: 10) ? Int.random(in: 1...6, using: &random) : 4) {
                let part = Int.random(in: 0...(random.chance(1, in: 8) ? 999 : 255), using: &random)
                parts.append(random.chance(1, in: 20) ? "0\(part)" : random.chance(1, in: 30) ? "" : "\(part)")
            }
            let text = parts.joined(separator: ".")
            let isIPv4 = AddressLiteral.isIPv4(text[...])
            #expect(isIPv4 == (system(text, family: AF_INET, count: 4) != nil), "seed \(seed): \(text)")
            accepted += isIPv4 ? 1 : 0
        }
        #expect((50..<450).contains(accepted))
    }

    private func randomIPv6(using random: inout ConfigurationFixtures.Random) -> String {
        let usesGap = Bool.random(using: &random)
        let count = usesGap ? Int.random(in: 0...8, using: &random) : (random.chance(1, in: 6) ? 7 : 8)
        var groups: [String] = []
        for _ in 0..<count {
            // Zeros often, so that there are runs to shorten.
            let group = Bool.random(using: &random) ? 0 : UInt32.random(in: 0...0xFFFF, using: &random)
            var text = String(group, radix: 16, uppercase: Bool.random(using: &random))
            if random.chance(1, in: 10) {
                text = "0" + text
            }
            groups.append(text)
        }
        if count >= 2, random.chance(1, in: 4) {
            groups.removeLast(2)
            groups.append(random.chance(1, in: 5) ? "1.2.3" : "192.0.2.\(Int.random(in: 0...300, using: &random))")
        }
        var text = groups.joined(separator: ":")
        if usesGap {
            let position = Int.random(in: 0...groups.count, using: &random)
            text = groups[..<position].joined(separator: ":") + "::" + groups[position...].joined(separator: ":")
        }
        if random.chance(1, in: 6) {
            var characters = Array(text)
            if let index = characters.indices.randomElement(using: &random) {
                characters[index] = "0:.gF".randomElement(using: &random) ?? ":"
            }
            text = String(characters)
        }
        return text
    }
}

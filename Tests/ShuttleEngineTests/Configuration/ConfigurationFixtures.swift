// Owns what the tests of configurations share: a seeded source of randomness and configurations that are valid.

import ShuttleEngine

enum ConfigurationFixtures {
    /// SplitMix64: small, and the same on every machine, so that a seed in a failure can be run again.
    struct Random: RandomNumberGenerator {
        private var state: UInt64

        init(seed: UInt64) {
            state = seed
        }

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }

        mutating func chance(_ part: Int, in whole: Int) -> Bool {
            Int.random(in: 0..<whole, using: &self) < part
        }
    }

    static func service(
        _ name: String, _ address: String, backends: [BackendConfiguration] = []
    ) -> ServiceConfiguration {
        ServiceConfiguration(name: name, address: address, backends: backends)
    }

    static func backend(_ name: String) -> BackendConfiguration {
        BackendConfiguration(name: name, address: "10.0.0.1:80")
    }
}

// Owns what the tests of reading and writing configurations share: seeded randomness, random configurations that are
// valid, and texts.

import ShuttleEngine

@testable import shuttled

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
    }

    /// A configuration of up to `countMax` services, sorted as it would be printed.
    static func configuration(countMax: Int, using random: inout Random) -> [ServiceConfiguration] {
        let services = (0..<Int.random(in: 0...countMax, using: &random)).map { index in
            ServiceConfiguration(
                name: name(index, using: &random),
                address: ["127.0.0.1", "[::1]", "", "Host_\(index).example"].randomElement(using: &random).map {
                    "\($0):\(index + 1)"
                } ?? "",
                backends: (0..<Int.random(in: 0...4, using: &random)).map { backend($0, using: &random) },
                balance: BalanceAlgorithm.allCases.randomElement(using: &random) ?? .roundRobin,
                checkIntervalMilliseconds: value(ConfigurationRanges.checkIntervalMilliseconds, using: &random),
                fall: value(ConfigurationRanges.checksInARow, using: &random),
                rise: value(ConfigurationRanges.checksInARow, using: &random),
                clientTimeoutMilliseconds: value(ConfigurationRanges.timeoutMilliseconds, using: &random),
                serverTimeoutMilliseconds: value(ConfigurationRanges.timeoutMilliseconds, using: &random),
                connectTimeoutMilliseconds: value(ConfigurationRanges.connectTimeoutMilliseconds, using: &random),
                retries: value(ConfigurationRanges.retries, using: &random),
                retryTimeoutMilliseconds: value(ConfigurationRanges.retryTimeoutMilliseconds, using: &random),
                connectionsMax: max(1, value(ConfigurationRanges.connectionsMax, using: &random)),
                connectionsPerClientMax: value(ConfigurationRanges.connectionsMax, using: &random),
                // Without a queue there is no time to wait in it.
                queueLimit: max(1, value(ConfigurationRanges.queueLimit, using: &random)),
                queueTimeoutMilliseconds: value(ConfigurationRanges.timeoutMilliseconds, using: &random),
                isInMaintenance: .random(using: &random)
            )
        }
        return services.sorted { $0.name < $1.name }
    }

    static func backend(_ index: Int, using random: inout Random) -> BackendConfiguration {
        BackendConfiguration(
            name: name(index, using: &random),
            address: "10.0.0.\(index):\(Int.random(in: 1...65535, using: &random))",
            checkAddress: Bool.random(using: &random) ? "" : "[2001:DB8::\(index)]:80",
            weight: value(ConfigurationRanges.weight, using: &random),
            connectionsMax: value(ConfigurationRanges.connectionsMax, using: &random),
            isBackup: Bool.random(using: &random),
            state: BackendState.allCases.randomElement(using: &random) ?? .ready
        )
    }

    /// A name of any length and all characters that names may have; the index keeps it unique.
    private static func name(_ index: Int, using random: inout Random) -> String {
        let letters = "ABCXYZabcxyz0189_.:-"
        let count = Int.random(in: 0...100, using: &random)
        return String((0..<count).compactMap { _ in letters.randomElement(using: &random) }) + "_\(index)"
    }

    /// Often one of the ends of its range, where mistakes are.
    private static func value(_ range: ClosedRange<Int>, using random: inout Random) -> Int {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return range.lowerBound
        case 1: return range.upperBound
        default: return Int.random(in: range, using: &random)
        }
    }

    /// A configuration with every field, in the form in which it is printed.
    static let everyField = """
        [
          {
            "name": "mail",
            "address": ":25",
            "balance": "LC",
            "check_interval": 0,
            "fall": 3,
            "rise": 4,
            "client_timeout": 60000,
            "server_timeout": 70000,
            "connect_timeout": 1000,
            "retries": 7,
            "retry_timeout": 3000,
            "passive": {
              "failures": 0,
              "window": 10000,
              "down_time": 20000
            },
            "max_connections": 100,
            "max_connections_per_client": 3,
            "queue_limit": 50,
            "queue_timeout": 2000,
            "maintenance": true,
            "backends": []
          },
          {
            "name": "web",
            "address": "127.0.0.1:8080",
            "balance": "RR",
            "check_interval": 2000,
            "fall": 2,
            "rise": 2,
            "client_timeout": 0,
            "server_timeout": 0,
            "connect_timeout": 5000,
            "backends": [
              {
                "name": "b1",
                "address": "10.0.0.1:80",
                "check_address": "10.0.0.1:81",
                "weight": 5,
                "max_connections": 100,
                "backup": true,
                "state": "drain",
                "slow_start": 30000,
                "passive": {
                  "failures": 5,
                  "window": 10000,
                  "down_time": 10000
                }
              },
              {
                "name": "a2",
                "address": "[2001:DB8::1]:80",
                "check_address": "",
                "weight": 0
              }
            ]
          }
        ]

        """

    /// What `everyField` says.
    static let everyFieldServices = {
        var services = servicesWithoutPassive
        services[0].passive.failures = 0
        services[0].passive.downTimeMilliseconds = 20_000
        services[1].backends[0].slowStartMilliseconds = 30_000
        services[1].backends[0].passive = PassiveConfiguration()
        return services
    }()

    /// What it says, but for `passive`.
    private static let servicesWithoutPassive = [
        ServiceConfiguration(
            name: "mail", address: ":25", balance: .leastConnections, checkIntervalMilliseconds: 0, fall: 3, rise: 4,
            clientTimeoutMilliseconds: 60000, serverTimeoutMilliseconds: 70000, connectTimeoutMilliseconds: 1000,
            retries: 7, retryTimeoutMilliseconds: 3000,
            connectionsMax: 100, connectionsPerClientMax: 3, queueLimit: 50, queueTimeoutMilliseconds: 2000,
            isInMaintenance: true
        ),
        ServiceConfiguration(
            name: "web", address: "127.0.0.1:8080",
            backends: [
                BackendConfiguration(
                    name: "b1", address: "10.0.0.1:80", checkAddress: "10.0.0.1:81", weight: 5, connectionsMax: 100,
                    isBackup: true, state: .drain
                ),
                BackendConfiguration(name: "a2", address: "[2001:DB8::1]:80", weight: 0),
            ]
        ),
    ]
}

// The printed form of configurations: the exact text, and that it reads back as what was printed.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct ConfigurationEncoderTests {
    private func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes, as: UTF8.self)
    }

    @Test func everyFieldIsPrinted() {
        let services = Array(ConfigurationFixtures.everyFieldServices.reversed())
        #expect(text(ConfigurationEncoder.bytes(of: services)) == ConfigurationFixtures.everyField)
    }

    @Test func emptyConfiguration() {
        #expect(text(ConfigurationEncoder.bytes(of: [ServiceConfiguration]())) == "[]\n")
    }

    @Test func servicesAreSortedByName() throws {
        let names = ["b", "a10", "a2", "B", "_", "a.b", "a-b", "a:b", "aa", "a"]
        let services = names.enumerated().map { ServiceConfiguration(name: $1, address: ":\($0 + 1)") }
        let expected = ["B", "_", "a", "a-b", "a.b", "a10", "a2", "a:b", "aa", "b"]
        #expect(ConfigurationEncoder.sorted(services).map(\.name) == expected)
        let read = try ConfigurationDecoder.services(parsing: ConfigurationEncoder.bytes(of: services))
        #expect(read.map(\.name) == expected)
    }

    @Test func singleObjects() throws {
        let service = ConfigurationFixtures.everyFieldServices[1]
        let backend = service.backends[0]
        #expect(try ConfigurationDecoder.service(parsing: ConfigurationEncoder.bytes(of: service)) == service)
        #expect(try ConfigurationDecoder.backend(parsing: ConfigurationEncoder.bytes(of: backend)) == backend)
        #expect(
            text(ConfigurationEncoder.bytes(of: backend)) == """
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
                }

                """
        )
    }

    @Test(arguments: 1...25 as ClosedRange<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var random = ConfigurationFixtures.Random(seed: seed)
        let services = ConfigurationFixtures.configuration(countMax: 20, using: &random)
        let bytes = ConfigurationEncoder.bytes(of: services)
        let read = try ConfigurationDecoder.services(parsing: bytes)
        #expect(read == services, "seed \(seed)")
        #expect(ConfigurationEncoder.bytes(of: read) == bytes, "seed \(seed)")
        let wrapped = Array("{\"services\":".utf8) + bytes + Array("}".utf8)
        #expect(try ConfigurationDecoder.services(parsing: wrapped) == services, "seed \(seed)")
    }

    /// What prints statistics puts its fields between a service's own and its backends; all of it can be put back.
    @Test func statisticsCanBePutBack() throws {
        let services = ConfigurationFixtures.everyFieldServices
        var writer = JSONWriter()
        writer.list { writer in
            for service in services {
                writer.object { writer in
                    ConfigurationEncoder.writeFields(of: service, to: &writer)
                    for field in ServiceStatisticsField.allCases {
                        writer.member(field.rawValue, UInt64.max)
                    }
                    writer.list(ServiceConfiguration.backendsName) { writer in
                        for backend in service.backends {
                            writer.object { writer in
                                ConfigurationEncoder.writeFields(of: backend, to: &writer)
                                for field in BackendStatisticsField.allCases {
                                    writer.member(field.rawValue, field == .up)
                                }
                            }
                        }
                    }
                }
            }
        }
        #expect(try ConfigurationDecoder.services(parsing: writer.finish(trailingNewline: true)) == services)
    }
}

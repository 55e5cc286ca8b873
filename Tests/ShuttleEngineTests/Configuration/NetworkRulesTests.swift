// Which fields go with which network, what is said of the others, and whose addresses are whose.

import Testing

@testable import ShuttleEngine

@Suite struct NetworkRulesTests {
    private func issues(_ change: (inout ServiceConfiguration) -> Void) -> [ConfigurationIssue] {
        var service = ServiceConfiguration(name: "a", address: ":1")
        change(&service)
        return ConfigurationValidator.issues(in: service)
    }

    @Test func defaults() {
        let service = ServiceConfiguration(name: "a", address: ":1")
        #expect(service.network == .tcp && service.udpIdleTimeoutMilliseconds == 60_000)
        #expect(service.udpSessionsMax == 16_384 && service.udpResponses == 0 && service.udpRequests == 0)
        #expect(issues { $0.network = .udp }.isEmpty)
    }

    @Test func fieldsOfConnectionsAreRefusedWithUDP() {
        let found = issues {
            $0.network = .udp
            $0.clientTimeoutMilliseconds = 5
            $0.serverTimeoutMilliseconds = 5
            $0.retries = 1
            $0.connectionsMax = 9
            $0.halfClose = false
            $0.userTimeoutMilliseconds = 1
        }
        let pointers = ["client_timeout", "server_timeout", "retries", "max_connections", "half_close", "user_timeout"]
        #expect(found.map(\.pointer) == pointers.map { "/\($0)" })
        #expect(found.allSatisfy { $0.detail.contains("has no meaning where \"network\" is \"udp\"") })
        #expect(found[0].detail.contains("udp_idle_timeout") && found[3].detail.contains("udp_max_sessions"))
    }

    @Test func fieldsOfDatagramsAreRefusedWithTCP() {
        let found = issues {
            $0.udpIdleTimeoutMilliseconds = 1
            $0.udpSessionsMax = 1
            $0.udpResponses = 1
            $0.udpRequests = 1
        }
        let pointers = ["udp_idle_timeout", "udp_max_sessions", "udp_responses", "udp_requests"]
        #expect(found.map(\.pointer) == pointers.map { "/\($0)" })
        #expect(found.allSatisfy { $0.detail.contains("\"network\" is \"tcp\"") })
    }

    @Test func unixSocketsAreRefusedWithUDP() {
        for address in ["/run/a.sock", "unix:/run/a.sock", "unix:@a"] {
            let found = issues {
                $0.network = .udp
                $0.address = address
            }
            #expect(found.map(\.pointer) == ["/address"])
            #expect(found.first?.detail.contains("\"\(address)\", a unix socket, and \"network\" is \"udp\"") == true)
            let backends = issues {
                $0.network = .udp
                $0.backends = [
                    BackendConfiguration(name: "b", address: "10.0.0.1:53"),
                    BackendConfiguration(name: "c", address: address),
                ]
            }
            #expect(backends.map(\.pointer) == ["/backends"])
            #expect(backends.first?.detail.hasPrefix("\"address\" of backend \"c\" is \"\(address)\"") == true)
        }
        let permissions = issues {
            $0.network = .udp
            $0.socketGroup = "users"
        }
        #expect(permissions.map(\.pointer) == ["/socket_group"])
        #expect(permissions.first?.detail.contains("files of unix sockets") == true)
    }

    @Test func whatBothHaveGoesWithBoth() {
        let found = issues {
            $0.network = .udp
            $0.balance = .hash
            $0.isInMaintenance = true
            $0.maxLifetimeMilliseconds = 1000
            $0.maxLifetimeJitterPercent = 10
            $0.drainTimeoutMilliseconds = 1
            $0.sourceAddresses = ["127.0.0.1"]
            $0.passive.failures = 0
            $0.backends = [BackendConfiguration(name: "b", address: "10.0.0.1:53", connectionsMax: 5, isBackup: true)]
        }
        #expect(found.isEmpty)
    }

    @Test(
        arguments: [
            (\ServiceConfiguration.udpIdleTimeoutMilliseconds, "udp_idle_timeout", 0, 86_400_001),
            (\.udpSessionsMax, "udp_max_sessions", 0, 1_000_001), (\.udpResponses, "udp_responses", -1, 1_000_001),
            (\.udpRequests, "udp_requests", -1, 1_000_001),
        ] as [(ConfigurationField<ServiceConfiguration>.Path<Int>, String, Int, Int)])
    func ranges(path: ConfigurationField<ServiceConfiguration>.Path<Int>, name: String, below: Int, above: Int) {
        for (value, isRefused) in [(below, true), (below + 1, false), (above - 1, false), (above, true)] {
            let found = issues {
                $0.network = .udp
                $0[keyPath: path] = value
            }
            #expect(found.map(\.pointer) == (isRefused ? ["/\(name)"] : []), "\(name) \(value)")
        }
    }

    @Test func eachNetworkHasAddressesOfItsOwn() {
        var services = ["a", "b", "c"].map { ServiceConfiguration(name: $0, address: "127.0.0.1:53") }
        services[1].network = .udp
        let found = ConfigurationValidator.issues(in: services)
        #expect(found.map(\.pointer) == ["/0/address", "/2/address"])
        #expect(ConfigurationValidator.issues(in: Array(services[0...1])).isEmpty)
    }

    /// What a session copies of them.
    @Test func rulesOfASession() {
        var service = ServiceConfiguration(name: "a", address: ":1")
        #expect(!DatagramRules(service).isFull(requests: .max))
        #expect(!DatagramRules(service).isComplete(requests: 0, responses: .max))
        service.udpRequests = 2
        service.udpResponses = 3
        let rules = DatagramRules(service)
        #expect(!rules.isFull(requests: 1) && rules.isFull(requests: 2))
        #expect(!rules.isComplete(requests: 1, responses: 2) && rules.isComplete(requests: 1, responses: 3))
        #expect(!rules.isComplete(requests: 4, responses: 3), "the fourth is not answered yet")
        #expect(rules.isComplete(requests: 4, responses: 4))
    }

    @Test func whatDatagramsCannotDoIsRefusedAndTheRestIsNot() throws {
        var rate = RateLimitConfiguration()
        (rate.perSecond, rate.burst, rate.action) = (10, 5, .delay)
        let found = issues {
            $0.network = .udp
            $0.rateLimit = rate
            $0.proxyProtocolSend = .v1
        }
        #expect(found.map(\.pointer).sorted() == ["/proxy_protocol_send", "/rate_limit"])
        #expect(found.allSatisfy { $0.detail.contains("\"network\" is \"udp\"") })
        let ofBackend = issues {
            $0.network = .udp
            $0.backends = [BackendConfiguration(name: "a", address: "10.0.0.1:80")]
            $0.backends[0].proxyProtocolSend = .v1
        }
        #expect(ofBackend.first?.detail.contains("\"proxy_protocol_send\" of backend \"a\" is \"v1\"") == true)
        let accepted = issues {
            $0.network = .udp
            rate.action = .refuse
            $0.rateLimit = rate
            $0.bandwidth.uploadBytesPerSecond = 5000
            $0.serviceBandwidth.downloadBytesPerSecond = 5000
            $0.proxyProtocolSend = .v2
            $0.proxyProtocolAccept = true
        }
        #expect(accepted.isEmpty)
    }

    /// A header comes with its datagram: there is nothing to wait for, and no limit but the datagram's own.
    @Test func whatIsReadOfADatagramHasNoTimeAndNoLimit() {
        let found = issues {
            $0.network = .udp
            $0.proxyProtocolAccept = true
            $0.prereadTimeoutMilliseconds = 100
            $0.prereadLimitBytes = 1000
        }
        #expect(found.map(\.pointer) == ["/preread_timeout", "/preread_limit"])
        #expect(found.allSatisfy { $0.detail.contains("a header of the PROXY protocol") })
    }
}

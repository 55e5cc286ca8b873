// The fields about the ends of sessions: their ranges, and which of them go together.

import ShuttleEngine
import Testing

@Suite struct TimeFieldsTests {
    private func issues(_ change: (inout ServiceConfiguration) -> Void) -> [ConfigurationIssue] {
        var service = ServiceConfiguration(name: "a", address: ":1")
        change(&service)
        return ConfigurationValidator.issues(in: service)
    }

    @Test func defaultsAreTheBehaviourWithoutThem() {
        let service = ServiceConfiguration(name: "a", address: ":1")
        #expect(service.halfClose && service.halfCloseTimeoutMilliseconds == 0)
        #expect(service.maxLifetimeMilliseconds == 0 && service.maxLifetimeJitterPercent == 0)
        #expect(service.userTimeoutMilliseconds == 0 && service.drainTimeoutMilliseconds == 0)
        #expect(service.keepalive.idleMilliseconds == 60_000 && service.keepalive.intervalMilliseconds == 10_000)
        #expect(service.keepalive.count == 6)
    }

    @Test(
        arguments: [
            (\ServiceConfiguration.halfCloseTimeoutMilliseconds, "half_close_timeout", 86_400_000),
            (\.maxLifetimeMilliseconds, "max_lifetime", 2_592_000_000),
            (\.maxLifetimeJitterPercent, "max_lifetime_jitter", 100),
            (\.userTimeoutMilliseconds, "user_timeout", 86_400_000),
            (\.drainTimeoutMilliseconds, "drain_timeout", 86_400_000),
        ] as [(ConfigurationField<ServiceConfiguration>.Path<Int>, String, Int)])
    func ranges(path: ConfigurationField<ServiceConfiguration>.Path<Int>, name: String, largest: Int) {
        for value in [0, 1, largest] {
            let found = issues {
                $0.maxLifetimeMilliseconds = 1
                $0[keyPath: path] = value
            }
            #expect(found.isEmpty, "\(name) \(value): \(found)")
        }
        for value in [-1, largest + 1] {
            let found = issues {
                $0.maxLifetimeMilliseconds = 1
                $0[keyPath: path] = value
            }
            #expect(found.map(\.pointer) == ["/\(name)"])
        }
    }

    @Test func slowStartOfABackend() {
        func pointers(_ milliseconds: Int) -> [String] {
            issues {
                $0.backends = [ConfigurationFixtures.backend("b")]
                $0.backends[0].slowStartMilliseconds = milliseconds
            }.map(\.pointer)
        }
        for value in [0, 1, 86_400_000] { #expect(pointers(value).isEmpty) }
        for value in [-1, 86_400_001] { #expect(pointers(value) == ["/backends/0/slow_start"]) }
    }

    @Test func aTimeoutOfWhatThereIsNot() {
        let found = issues {
            $0.halfClose = false
            $0.halfCloseTimeoutMilliseconds = 5
        }
        #expect(found.map(\.pointer) == ["/half_close_timeout"])
        #expect(found[0].detail.contains("\"half_close\" is false"))
        #expect(issues { $0.halfClose = false }.isEmpty)
    }

    @Test func jitterOfNothing() {
        let found = issues { $0.maxLifetimeJitterPercent = 10 }
        #expect(found.map(\.pointer) == ["/max_lifetime_jitter"])
        #expect(found[0].detail.contains("without a \"max_lifetime\""))
    }

    @Test func keepaliveCountsSeconds() {
        #expect(issues { $0.keepalive.idleMilliseconds = 0 }.isEmpty)
        #expect(issues { $0.keepalive.idleMilliseconds = 32_767_000 }.isEmpty)
        let idle = issues { $0.keepalive.idleMilliseconds = 1500 }
        #expect(
            idle == [
                ConfigurationIssue(
                    pointer: "/keepalive/idle",
                    detail: "\"idle\" is 1500; the kernel counts whole seconds here, so it must be a multiple of 1000 "
                        + "(milliseconds), such as 1000 or 2000"
                )
            ]
        )
        let interval = issues { $0.keepalive.intervalMilliseconds = 1001 }
        #expect(interval.map(\.pointer) == ["/keepalive/interval"])
        #expect(issues { $0.keepalive.idleMilliseconds = 30 }[0].detail.hasSuffix("such as 1000"))
    }

    @Test func whatTheKernelWouldNotTake() {
        let found = issues {
            $0.keepalive.idleMilliseconds = 32_768_000
            $0.keepalive.intervalMilliseconds = 0
            $0.keepalive.count = 128
        }
        #expect(found.map(\.pointer) == ["/keepalive/idle", "/keepalive/interval", "/keepalive/count"])
    }

    // MARK: What is read first

    @Test func prereadBoundsNeedSomethingThatIsRead() {
        let found = issues {
            $0.prereadTimeoutMilliseconds = 100
            $0.prereadLimitBytes = 1000
        }
        #expect(found.map(\.pointer) == ["/preread_timeout", "/preread_limit"])
        #expect(found.allSatisfy { $0.detail.contains("proxy_protocol_accept") })
        #expect(
            issues {
                $0.prereadTimeoutMilliseconds = 100
                $0.prereadLimitBytes = 256
                $0.proxyProtocolAccept = true
            }.isEmpty)
        let outOfRange = issues {
            $0.prereadTimeoutMilliseconds = 0
            $0.prereadLimitBytes = 16_385
            $0.proxyProtocolAccept = true
        }
        #expect(outOfRange.map(\.pointer) == ["/preread_timeout", "/preread_limit"])
    }

    // MARK: Source addresses

    @Test(arguments: ["192.0.2.1", "127.0.0.1", "2001:db8::1", "::1", "FE80::1"])
    func sourceAddresses(text: String) {
        #expect(issues { $0.sourceAddresses = [text] }.isEmpty)
    }

    @Test(arguments: [
        "", "0.0.0.0", "::", "0:0:0:0:0:0:0:0", "::ffff:10.0.0.1", "192.0.2.1:80", "[::1]", "fe80::1%eth0", "host",
        "127.1",
        " 127.0.0.1",
    ])
    func noSourceAddresses(text: String) {
        let found = issues { $0.sourceAddresses = ["127.0.0.1", text] }
        #expect(found.count == 1 && found[0].pointer.hasPrefix("/source_address"), "\(found)")
        #expect(found.first?.detail.contains("a numeric address of this machine without a port") == true, "\(found)")
    }

    @Test func tooManySourceAddresses() {
        #expect(issues { $0.sourceAddresses = (1...64).map { "127.0.0.\($0)" } }.isEmpty)
        #expect(issues { $0.sourceAddresses = (1...65).map { "127.0.0.\($0)" } }.count == 1)
    }
}

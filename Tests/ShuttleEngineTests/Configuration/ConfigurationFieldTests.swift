// The field tables against the contract: names, order, which are required, and what is said of their values.

import ShuttleEngine
import Testing

@Suite struct ConfigurationFieldTests {
    @Test func serviceFields() {
        #expect(
            ServiceConfiguration.fields.map(\.name) == [
                "name", "address", "network", "balance", "check_interval", "fall", "rise", "client_timeout",
                "server_timeout",
                "connect_timeout", "retries", "retry_timeout", "resolve_interval", "passive", "max_connections",
                "max_connections_per_client", "queue_limit", "queue_timeout", "allow", "deny", "rate_limit",
                "bandwidth_limit", "service_bandwidth_limit", "maintenance", "half_close",
                "half_close_timeout",
                "max_lifetime", "max_lifetime_jitter", "keepalive", "user_timeout", "source_address",
                "proxy_protocol_accept", "proxy_protocol_send", "preread_timeout", "preread_limit", "routes",
                "socket_mode", "socket_owner", "socket_group", "drain_timeout",
                "udp_idle_timeout", "udp_max_sessions", "udp_responses", "udp_requests", "access_log", "check",
                "backends",
            ]
        )
        #expect(ServiceConfiguration.fields.filter(\.isRequired).map(\.name) == ["name", "address"])
        #expect(ServiceConfiguration.fields.last?.name == ServiceConfiguration.backendsName)
    }

    @Test func backendFields() {
        #expect(
            BackendConfiguration.fields.map(\.name) == [
                "name", "address", "check_address", "weight", "max_connections", "backup", "state", "slow_start",
                "passive", "proxy_protocol_send",
            ]
        )
        #expect(BackendConfiguration.fields.filter(\.isRequired).map(\.name) == ["name", "address"])
    }

    /// Every field of the table is a property of its own: no two lines of it name the same one.
    @Test func integerFieldsAreDistinct() {
        var service = ServiceConfiguration(name: "", address: "")
        var value = 1000
        for field in ServiceConfiguration.fields {
            switch field.kind {
            case .integer(let path, _), .milliseconds(let path, _):
                service[keyPath: path] = value
                value += 1
            default:
                break
            }
        }
        let values = [
            service.checkIntervalMilliseconds, service.fall, service.rise, service.clientTimeoutMilliseconds,
            service.serverTimeoutMilliseconds, service.connectTimeoutMilliseconds, service.retries,
            service.retryTimeoutMilliseconds, service.resolveIntervalMilliseconds, service.connectionsMax,
            service.connectionsPerClientMax, service.queueLimit, service.queueTimeoutMilliseconds,
            service.halfCloseTimeoutMilliseconds, service.maxLifetimeMilliseconds, service.maxLifetimeJitterPercent,
            service.userTimeoutMilliseconds, service.prereadTimeoutMilliseconds, service.prereadLimitBytes,
            service.drainTimeoutMilliseconds,
        ]
        #expect(values == Array(1000..<1020))
    }

    @Test func defaultsAreInRange() {
        let service = ServiceConfiguration(name: "a", address: ":1", backends: [ConfigurationFixtures.backend("b")])
        #expect(ConfigurationValidator.issues(in: service).isEmpty)
        #expect(service.checkIntervalMilliseconds == 2000)
        #expect(service.fall == 2 && service.rise == 2)
        #expect(service.clientTimeoutMilliseconds == 0 && service.serverTimeoutMilliseconds == 0)
        #expect(service.connectTimeoutMilliseconds == 5000)
        #expect(service.balance == .roundRobin)
        #expect(service.retries == 2 && service.retryTimeoutMilliseconds == 0)
        let backend = service.backends[0]
        #expect(backend.weight == 1 && backend.connectionsMax == 0 && !backend.isBackup && backend.state == .ready)
    }

    @Test func requirements() {
        let service = Dictionary(uniqueKeysWithValues: ServiceConfiguration.fields.map { ($0.name, $0.requirement) })
        #expect(service["fall"] == "an integer from 1 to 1000")
        #expect(service["connect_timeout"] == "an integer from 1 to 3600000 (milliseconds)")
        #expect(service["passive"] == "an object with the fields failures, window and down_time")
        #expect(service["balance"] == "\"RR\", \"LC\", \"P2C\", \"RANDOM\" or \"HASH\"")
        #expect(service["backends"] == "a list of backends")
        #expect(service["name"] == "a string of 1 to 128 characters out of A-Z a-z 0-9 _ . : -")
        #expect(service["address"]?.contains("\":8080\"") == true)
        let backend = Dictionary(uniqueKeysWithValues: BackendConfiguration.fields.map { ($0.name, $0.requirement) })
        #expect(service["retries"] == "an integer from 0 to 7")
        #expect(backend["max_connections"] == "an integer from 0 to 1000000000")
        #expect(backend["backup"] == "true or false")
        #expect(backend["state"] == "\"ready\", \"drain\" or \"maintenance\"")
        #expect(backend["weight"] == "an integer from 0 to 256")
        #expect(backend["address"]?.contains("\":8080\"") == false)
        #expect(backend["check_address"]?.hasSuffix("or \"\" for none") == true)
    }
}

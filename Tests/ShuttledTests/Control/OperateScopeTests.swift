// What the role `operate` reaches: of every field there is, and of everything else that a change can do.

import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct OperateScopeTests {
    private static let one = BackendConfiguration(name: "one", address: "10.0.0.1:80")
    private static let two = BackendConfiguration(name: "two", address: "10.0.0.2:80")
    private static let web = ServiceConfiguration(name: "web", address: ":80", backends: [one, two])
    private static let db = ServiceConfiguration(name: "db", address: ":5432", backends: [one])

    private static func excess(to new: [ServiceConfiguration]) -> String? {
        OperateScope.excess(from: [db, web], to: new)
    }

    private static func changed(_ change: (inout ServiceConfiguration) -> Void) -> [ServiceConfiguration] {
        var service = web
        change(&service)
        return [db, service]
    }

    /// Another value of every field. A field that is new has to be added here, and is not reached meanwhile.
    private static let otherService = {
        var other = ServiceConfiguration(
            name: "www", address: ":81", backends: [two], balance: .leastConnections, checkIntervalMilliseconds: 1,
            fall: 9, rise: 9, clientTimeoutMilliseconds: 9, serverTimeoutMilliseconds: 9, connectTimeoutMilliseconds: 9,
            retries: 1, retryTimeoutMilliseconds: 9, connectionsMax: 9, connectionsPerClientMax: 9, queueLimit: 9,
            queueTimeoutMilliseconds: 9, isInMaintenance: true
        )
        other.resolveIntervalMilliseconds = 5000
        other.passive.failures = 0
        (other.halfClose, other.halfCloseTimeoutMilliseconds) = (false, 9)
        (other.maxLifetimeMilliseconds, other.maxLifetimeJitterPercent) = (9, 9)
        other.keepalive.count = 1
        (other.userTimeoutMilliseconds, other.drainTimeoutMilliseconds) = (9, 9)
        (other.sourceAddresses, other.allow, other.deny) = (["127.0.0.1"], ["10.0.0.0/8"], ["10.0.0.0/8"])
        other.rateLimit = RateLimitConfiguration()
        other.accessLog = AccessLogConfiguration()
        other.bandwidth.uploadBytesPerSecond = 1024
        other.serviceBandwidth.uploadBytesPerSecond = 1024
        other.network = .udp
        (other.udpIdleTimeoutMilliseconds, other.udpSessionsMax, other.udpResponses, other.udpRequests) = (9, 9, 9, 9)
        (other.proxyProtocolAccept, other.proxyProtocolSend) = (true, .v2)
        other.routes = [RouteConfiguration()]
        (other.prereadTimeoutMilliseconds, other.prereadLimitBytes) = (9, 999)
        (other.socketMode, other.socketOwner, other.socketGroup) = ("0600", "a", "b")
        other.check.timeoutMilliseconds = 9
        return other
    }()

    private static let otherBackend = {
        var other = BackendConfiguration(
            name: "uno", address: "10.0.0.9:80", checkAddress: "10.0.0.9:80", weight: 9, connectionsMax: 9,
            isBackup: true, state: .drain
        )
        other.passive = PassiveConfiguration()
        other.slowStartMilliseconds = 9
        other.proxyProtocolSend = .v1
        return other
    }()

    private static let ownFields = ServiceConfiguration.fields.indices.filter {
        ServiceConfiguration.fields[$0].name != ServiceConfiguration.backendsName
    }

    @Test(arguments: ownFields)
    func ofAServiceItsMaintenance(_ index: Int) {
        let field = ServiceConfiguration.fields[index]
        #expect(field.differs(Self.web, Self.otherService), "\(field.name) is not among the other values")
        let new = Self.changed { field.copy(from: Self.otherService, to: &$0) }
        #expect((Self.excess(to: new) == nil) == (field.name == "maintenance"), "\(field.name)")
    }

    @Test(arguments: BackendConfiguration.fields.indices)
    func ofABackendItsWeightAndItsState(_ index: Int) {
        let field = BackendConfiguration.fields[index]
        #expect(field.differs(Self.one, Self.otherBackend), "\(field.name) is not among the other values")
        let new = Self.changed { field.copy(from: Self.otherBackend, to: &$0.backends[0]) }
        #expect((Self.excess(to: new) == nil) == ["weight", "state"].contains(field.name), "\(field.name)")
    }

    @Test func severalOfThemAtOnce() {
        let new = Self.changed { service in
            service.isInMaintenance = true
            service.backends[0].weight = 0
            service.backends[1].state = .maintenance
        }
        #expect(Self.excess(to: new) == nil)
        #expect(Self.excess(to: [Self.db, Self.web]) == nil, "nothing is within every role")
    }

    @Test func nothingComesOrGoesOrMoves() {
        let other = ServiceConfiguration(name: "x", address: ":1")
        #expect(Self.excess(to: [Self.db]) == "- service web (on :80, backends: 2)")
        #expect(Self.excess(to: [Self.db, Self.web, other])?.hasPrefix("+ service x") == true)
        #expect(Self.excess(to: [])?.hasPrefix("- service") == true)
        #expect(Self.excess(to: Self.changed { $0.backends.removeLast() })?.hasPrefix("- backend web/two") == true)
        #expect(Self.excess(to: Self.changed { $0.backends.append(Self.otherBackend) })?.hasPrefix("+ backend") == true)
        #expect(Self.excess(to: Self.changed { $0.backends.reverse() })?.contains("another order") == true)
    }

    /// What is told is what goes beyond, and not what would be allowed.
    @Test func theExcessIsTold() {
        let new = Self.changed { service in
            service.isInMaintenance = true
            service.backends[0].weight = 0
            service.backends[0].address = "10.0.0.7:80"
        }
        #expect(
            Self.excess(to: new) == #"~ backend web/one: address: "10.0.0.1:80" -> "10.0.0.7:80""#,
            "\(Self.excess(to: new) ?? "nothing")"
        )
    }

    @Test func rolesReachAsFarAsTheySay() {
        let within = Self.changed { $0.backends[0].weight = 0 }
        let beyond = Self.changed { $0.fall = 9 }
        func needed(_ role: AccessRole, _ new: [ServiceConfiguration]) -> AccessRole? {
            do throws(ChangeRefusal) {
                try Caller(name: "a", role: role).checkPermission(from: [Self.db, Self.web], to: new)
                return nil
            } catch {
                if case .notPermitted(_, let needed, _) = error { return needed }
                return .read
            }
        }
        #expect(needed(.read, within) == .operate && needed(.read, beyond) == .write)
        #expect(needed(.operate, within) == nil && needed(.operate, beyond) == .write)
        #expect(needed(.write, within) == nil && needed(.write, beyond) == nil)
    }
}

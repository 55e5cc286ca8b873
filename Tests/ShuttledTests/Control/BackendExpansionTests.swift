// What a written backend comes to: names, addresses, shares.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct BackendExpansionTests {
    private static let name = NameQuestion.service("_db._tcp.test")

    private func target(
        _ host: String, _ address: String, port: UInt16 = 5432, priority: Int = 0, weight: Int = 1
    ) -> ResolvedTarget {
        ResolvedTarget(
            host: host, port: port, priority: priority, weight: weight, address: NumericHost.address(address)!
        )
    }

    private func expand(
        _ targets: [ResolvedTarget], weight: Int = 1, checkedAt checkTarget: BackendTarget? = nil
    ) -> BackendExpansion {
        var backend = BackendConfiguration(name: "db", address: "srv:_db._tcp.test", weight: weight)
        backend.connectionsMax = 7
        return BackendExpansion(of: backend, at: .service(Self.name.name), checkedAt: checkTarget) { question in
            question == Self.name ? targets : []
        }
    }

    @Test func eachTargetIsABackendWithWhatWasWritten() {
        let expansion = expand([target("a.test", "10.0.0.1"), target("b.test", "2001:db8::1", port: 5433)])
        #expect(expansion.names == [Self.name])
        #expect(expansion.members.map(\.configuration.name) == ["db@a.test:5432", "db@b.test:5433"])
        #expect(expansion.members.map(\.configuration.address) == ["a.test:5432", "b.test:5433"])
        #expect(expansion.members.map(\.address.description) == ["10.0.0.1:5432", "[2001:db8::1]:5433"])
        #expect(expansion.members.allSatisfy { $0.configuration.connectionsMax == 7 && $0.checkAddress == nil })
        #expect(expand([]).members.isEmpty)
    }

    @Test func eachTargetIsCheckedByItself() {
        let targets = [target("a.test", "10.0.0.1"), target("b.test", "10.0.0.2", port: 5433)]
        let same = expand(targets, checkedAt: .service(Self.name.name))
        #expect(same.members.map { $0.checkAddress?.description } == ["10.0.0.1:5432", "10.0.0.2:5433"])
        let port = expand(targets, checkedAt: .targets(port: 8008))
        #expect(port.members.map { $0.checkAddress?.description } == ["10.0.0.1:8008", "10.0.0.2:8008"])
    }

    @Test func lowerPrioritiesFirst() {
        let targets = [
            target("a.test", "10.0.0.1", priority: 10), target("b.test", "10.0.0.2", priority: 20),
            target("c.test", "10.0.0.3", priority: 10), target("d.test", "10.0.0.4", priority: 30),
        ]
        #expect(expand(targets).members.map(\.configuration.isBackup) == [false, true, false, true])
    }

    @Test(arguments: [
        ([1, 2, 3], 1, [1, 2, 3]), ([0, 0], 1, [1, 1]), ([0, 10], 1, [1, 10]), ([1, 2], 5, [5, 10]),
        ([5, 5], 0, [0, 0]),
        ([60000, 30000, 1, 0], 1, [256, 128, 1, 1]), ([100, 50], 10, [256, 128]), ([65535], 256, [256]),
    ])
    func weights(_ records: [Int], _ factor: Int, _ weights: [Int]) {
        let targets = records.enumerated().map { target("h\($0.offset).test", "10.0.0.1", weight: $0.element) }
        #expect(expand(targets, weight: factor).members.map(\.configuration.weight) == weights)
    }

    /// Weights are of one priority: what a backup has does not press those that serve.
    @Test func weightsAreScaledWithinAPriority() {
        let targets = [
            target("a.test", "10.0.0.1", weight: 2), target("b.test", "10.0.0.2", priority: 1, weight: 60_000),
        ]
        #expect(expand(targets).members.map(\.configuration.weight) == [2, 256])
    }
}

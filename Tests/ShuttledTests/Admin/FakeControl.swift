// A control plane that only remembers: what the admin API is tested against.

import NIOCore
import Synchronization

@testable import ShuttleEngine
@testable import shuttled

/// Keeps a configuration, applies changes to it without a data plane, and can be told to refuse.
final class FakeControl: AdminControl {
    private struct State {
        var services: [ServiceConfiguration]
        var refusal: ChangeRefusal?
        var readiness = shuttled.Readiness(checks: [("configuration", true, "applied")])
        var changes: [(change: ConfigurationChange, origin: ChangeOrigin)] = []
        /// Changes that have been asked for, also those that wait.
        var changesAsked = 0
        /// While there is one, changes wait for it.
        var gate: EventLoopFuture<Void>?
        var wereCallsOnLoop = true
    }
    private let state: Mutex<State>
    private let loop: any EventLoop

    init(_ services: [ServiceConfiguration] = [], loop: any EventLoop) {
        state = Mutex(State(services: services))
        self.loop = loop
    }

    // What tests set and ask.

    func refuse(with refusal: ChangeRefusal?) { state.withLock { $0.refusal = refusal } }
    func setReadiness(_ readiness: shuttled.Readiness) { state.withLock { $0.readiness = readiness } }
    func setGate(_ gate: EventLoopFuture<Void>?) { state.withLock { $0.gate = gate } }
    var services: [ServiceConfiguration] { state.withLock { $0.services } }
    var origins: [ChangeOrigin] { state.withLock { $0.changes.map(\.origin) } }
    var changesAsked: Int { state.withLock { $0.changesAsked } }
    var wereCallsOnLoop: Bool { state.withLock { $0.wereCallsOnLoop } }

    // AdminControl

    func configuration() async -> [ServiceConfiguration] {
        noteThread()
        return services
    }

    func apply(_ change: ConfigurationChange, origin: ChangeOrigin) async throws(ChangeRefusal)
        -> [ServiceConfiguration]
    {
        noteThread()
        state.withLock { $0.changesAsked += 1 }
        if let gate = state.withLock({ $0.gate }) {
            try? await gate.get()
        }
        let result = state.withLock { state -> Result<[ServiceConfiguration], ChangeRefusal> in
            if let refusal = state.refusal {
                return .failure(refusal)
            }
            do throws(ChangeRefusal) {
                state.services = try FakeControl.applying(change, to: state.services)
            } catch {
                return .failure(error)
            }
            state.changes.append((change, origin))
            return .success(state.services)
        }
        return try result.get()
    }

    func statistics() async -> [ServiceReport] {
        noteThread()
        return services.map(Self.statistics)
    }

    func ringStatistics() async -> [RingStatistics] {
        noteThread()
        return FakeControl.rings
    }

    func readiness() async -> shuttled.Readiness { state.withLock { $0.readiness } }

    private func noteThread() {
        let isOnLoop = loop.inEventLoop
        state.withLock { $0.wereCallsOnLoop = $0.wereCallsOnLoop && isOnLoop }
    }

    private static func applying(
        _ change: ConfigurationChange, to services: [ServiceConfiguration]
    ) throws(ChangeRefusal) -> [ServiceConfiguration] {
        var services = services
        func index(of name: String) throws(ChangeRefusal) -> Int {
            guard let index = services.firstIndex(where: { $0.name == name }) else {
                throw .unknownService(name)
            }
            return index
        }
        switch change {
        case .replaceAll(let all):
            services = all
        case .putService(let service):
            services.removeAll { $0.name == service.name }
            services.append(service)
        case .deleteService(let name):
            services.remove(at: try index(of: name))
        case .putBackend(let service, let backend):
            let index = try index(of: service)
            services[index].backends.removeAll { $0.name == backend.name }
            services[index].backends.append(backend)
        case .deleteBackend(let service, let name):
            let index = try index(of: service)
            guard let backend = services[index].backends.firstIndex(where: { $0.name == name }) else {
                throw .unknownBackend(service: service, name: name)
            }
            services[index].backends.remove(at: backend)
        }
        return services.sorted { $0.name < $1.name }
    }

    /// Statistics in which every number is another one.
    static func statistics(of service: ServiceConfiguration) -> ServiceReport {
        ServiceReport(
            ServiceStatistics(
                configuration: service, sentBytes: 11, receivedBytes: 12, errors: 13, connections: 14, active: 15,
                panics: 29,
                queued: 16, refused: 17, refusedPerClient: 18, queueTimeouts: 19, queueOverflows: 20,
                draining: 31, ended: SessionEnds(idle: 16, halfClose: 17, lifetime: 18, drain: 19),
                backends: service.backends.map {
                    BackendStatistics(
                        configuration: $0, isUp: true, sentBytes: 21, receivedBytes: 22, errors: 23, connections: 24,
                        active: 25, checkSuccesses: 26, checkFailures: 27,
                        isEjected: true, ejections: 28, lastFailure: .timedOut,
                        draining: 34, ended: SessionEnds(idle: 28, halfClose: 29, lifetime: 30, drain: 32),
                        lastCheck: CheckResult(
                            status: .fail, reason: #"expected "+PONG", got "-LOADING""#, durationMicroseconds: 28,
                            endedAtMilliseconds: 1_764_115_200_029
                        )
                    )
                }
            )
        )
    }

    /// Rings in which every number is another one.
    static let rings = [10, 20].map { first in
        RingStatistics(
            index: first / 10 - 1, sessions: first + 1, starvations: UInt64(first + 2), acceptPauses: UInt64(first + 3),
            staleCompletions: UInt64(first + 4), splicedBytes: UInt64(first + 5), adoptions: UInt64(first + 6),
            adoptionMicrosecondsP999: UInt64(first + 7), adoptionMicrosecondsMax: UInt64(first + 8)
        )
    }

    static let web = ServiceConfiguration(
        name: "web", address: "127.0.0.1:8080",
        backends: [BackendConfiguration(name: "one", address: "10.0.0.1:80", checkAddress: "10.0.0.1:81", weight: 3)]
    )
}

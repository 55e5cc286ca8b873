// Owns a control plane over a fake engine, on a loop of its own.

import NIOCore
import ShuttleEngine

@testable import shuttled

/// A control plane over a fake engine, on a loop of its own.
struct ControlPlaneStage: Sendable {
    static let origin = ChangeOrigin(peer: "127.0.0.1:4000", request: "PUT /web")
    static let web = ControlTesting.service("web", "127.0.0.1:80", backends: ["10.0.0.1:80"])
    static let db = ControlTesting.service("db", "127.0.0.1:5432")

    /// A state file, and calls that may fail.
    struct State: Sendable {
        var path: String
        var calls = FileCalls.system
        var historyCalls = FileCalls.system
    }

    let loop: any EventLoop
    let plane: ControlPlane
    let engine: FakeDataPlane
    let log: LogCollector
    let faults: LogCollector.Texts

    static func run(
        state: State? = nil, adoptionLimit: TimeAmount = .seconds(5),
        lookup: @escaping NameLookup = ControlTesting.lookup([:]), refresh: NameLookup? = nil,
        _ body: @escaping @Sendable (ControlPlaneStage) async throws -> Void
    ) async throws {
        try await ControlTesting.onLoop { loop in
            let engine = FakeDataPlane()
            let log = LogCollector()
            let faults = LogCollector.Texts()
            let parts = ControlPlane.Parts(
                store: try state.map {
                    StateStore(
                        file: try StateFile(opening: $0.path, calls: $0.calls), thread: FileThread(loop: loop)
                    )
                },
                lookup: lookup,
                refresh: refresh ?? lookup,
                // Names are asked for all the time: nobody has to wait for one to move.
                refreshDelay: { _, _ in .milliseconds(2) },
                check: { _ in loop.makeSucceededFuture(.succeeded) },
                historyCalls: state?.historyCalls ?? .system,
                adoptionLimit: adoptionLimit,
                fault: { faults.add($0) }
            )
            let plane = ControlPlane(loop: loop, dataPlane: engine, parts: parts, logger: log.logger())
            let stage = ControlPlaneStage(loop: loop, plane: plane, engine: engine, log: log, faults: faults)
            do {
                try await body(stage)
            } catch {
                await plane.stop()
                throw error
            }
            await plane.stop()
        }
    }

    func apply(_ change: ConfigurationChange) async throws(ChangeRefusal) -> [ServiceConfiguration] {
        try await plane.apply(change, origin: ControlPlaneStage.origin).services
    }
}

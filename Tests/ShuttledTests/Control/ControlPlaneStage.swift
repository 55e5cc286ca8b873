// Owns a control plane over a fake engine, on a loop of its own.

import Glibc
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
            var store: StateStore?
            if let state { store = StateStore(file: try await open(state), thread: FileThread(loop: loop)) }
            let engine = FakeDataPlane()
            let log = LogCollector()
            let faults = LogCollector.Texts()
            let parts = ControlPlane.Parts(
                store: store,
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

    /// What ran with the same file before has stopped, but the thread that wrote it may hold it for another moment.
    private static func open(_ state: State) async throws -> StateFile {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            do throws(FileFailure) {
                return try StateFile(opening: state.path, calls: state.calls)
            } catch {
                guard error.code == EWOULDBLOCK, ContinuousClock.now < deadline else { throw error }
            }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    func apply(_ change: ConfigurationChange) async throws(ChangeRefusal) -> [ServiceConfiguration] {
        try await plane.apply(change, origin: ControlPlaneStage.origin).services
    }
}

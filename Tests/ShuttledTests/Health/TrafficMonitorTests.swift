// That traffic is looked at again and again, when, and what the log says of what came of it.

import NIOCore
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct TrafficMonitorTests {
    private func change(_ isEjected: Bool, _ failure: TrafficFailure?) -> EjectionChange {
        EjectionChange(service: "web", backend: "b0", isEjected: isEjected, lastFailure: failure)
    }

    /// From the start on, with a time that goes on, until everything is stopped.
    @Test func looksUntilItIsStopped() async throws {
        try await ControlPlaneStage.run { stage in
            #expect(stage.engine.state.withLock { $0.judgements }.isEmpty)
            try await stage.plane.start(
                with: [ControlPlaneStage.web], isFromState: false, origin: ControlPlaneStage.origin)
            try await ControlTesting.eventually("traffic is judged again and again") {
                stage.engine.state.withLock { $0.judgements.count } >= 4
            }
            await stage.plane.stop()
            let times = stage.engine.state.withLock { $0.judgements }
            let gaps = zip(times.dropFirst(), times).map { $0 - $1 }
            #expect(gaps.allSatisfy { $0 >= 49 }, "milliseconds between looks: \(gaps)")
            try await stage.loop.scheduleTask(in: TrafficMonitor.interval * 3) {}.futureResult.get()
            #expect(stage.engine.state.withLock { $0.judgements.count } == times.count, "and not after the stop")
        }
    }

    @Test func changesAreLogged() async throws {
        try await ControlPlaneStage.run { stage in
            let changes = [change(true, .refused), change(false, .refused), change(true, nil)]
            stage.engine.state.withLock { $0.ejectionChanges = changes }
            try await stage.plane.start(
                with: [ControlPlaneStage.web], isFromState: false, origin: ControlPlaneStage.origin)
            let lines = stage.log.lines.filter { $0.contains("backend is") }
            #expect(lines.count == 3)
            #expect(lines.first?.contains("warning") == true && lines.first?.contains("ejected") == true)
            #expect(lines.first?.contains("connection refused") == true && lines.first?.contains("b0") == true)
            #expect(lines.dropFirst().first?.contains("let back") == true)
            #expect(lines.last?.contains("none") == true)
        }
    }
}

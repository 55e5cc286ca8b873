// Owns the proof by exhaustion that a session is right in every order of events of a small world.

import Testing

@testable import ShuttleEngine

@Suite struct SessionExplorationTests {
    /// Bytes that client and backend have to say.
    @Test(arguments: [(0, 0), (1, 1), (2, 0), (0, 2)])
    func everyOrderOfEvents(clientBytes: Int, backendBytes: Int) {
        explore(clientBytes, backendBytes, .never)
    }

    /// What comes after the first send is spliced; with `toAndFro` it is copied again after every step.
    @Test(arguments: [(2, 0), (0, 2), (2, 1), (3, 0)], [SplicePolicy.atOnce, .toAndFro])
    func everyOrderOfEventsWithSplicing(bytes: (client: Int, backend: Int), policy: SplicePolicy) {
        let met = explore(bytes.client, bytes.backend, policy)
        #expect(met.contains { if case .waitSeen(_, .everything) = $0 { true } else { false } })
        #expect(met.contains { if case .waitSeen(_, .sinkIsFull) = $0 { true } else { false } })
        guard max(bytes.client, bytes.backend) > 2 else { return }
        #expect(met.contains { if case .waitSeen(_, .resetInBetween) = $0 { true } else { false } })
    }

    /// The first end closes both sides.
    @Test(arguments: [(0, 0), (1, 1), (2, 0), (0, 2)], [SplicePolicy.never, .atOnce])
    func everyOrderOfEventsWithoutHalfClose(bytes: (client: Int, backend: Int), policy: SplicePolicy) {
        let met = explore(bytes.client, bytes.backend, policy, closesAtFirstEnd: true)
        #expect(met.contains(.flushed) && met.contains(.stalled))
    }

    /// The events that were met.
    @discardableResult
    private func explore(
        _ clientBytes: Int,
        _ backendBytes: Int,
        _ policy: SplicePolicy,
        closesAtFirstEnd: Bool = false
    ) -> Set<SessionWorld.Event> {
        var met: Set<SessionWorld.Event> = []
        var seen: Set<SessionWorld.Key> = []
        let start = SessionWorld(
            clientBytes: clientBytes,
            backendBytes: backendBytes,
            policy: policy,
            closesAtFirstEnd: closesAtFirstEnd
        )
        // Worlds to go on from, with how they came about.
        var open: [(world: SessionWorld, path: [SessionWorld.Event])] = [(start, [])]
        seen.insert(start.key)
        var closings: Set<String> = []
        while let (world, path) = open.popLast() {
            if let objection = world.objection {
                Issue.record("\(objection), after \(path)")
                return met
            }
            if world.isStuck {
                Issue.record("stuck after \(path)")
                return met
            }
            if let closing = world.closing { closings.insert("\(closing)") }
            for event in world.events {
                var next = world
                next.happen(event)
                met.insert(event)
                if seen.insert(next.key).inserted { open.append((next, path + [event])) }
            }
        }
        #expect(closings.count >= 3, "clean, and by a reset of either side")
        #expect(seen.count > 200, "\(seen.count) situations")
        return met
    }
}

extension SplicePolicy {
    /// Whatever has been sent once is bulk, and stays so.
    static let atOnce = SplicePolicy(
        isEnabled: true,
        windowBytes: 0,
        bytesPerSendToSplice: 0,
        windowSteps: .max,
        bytesPerStepToCopy: 0,
        bytesToStepAgain: 1
    )
    /// Changes with every send and every step.
    static let toAndFro = SplicePolicy(
        isEnabled: true,
        windowBytes: 0,
        bytesPerSendToSplice: 0,
        windowSteps: 1,
        bytesPerStepToCopy: .max,
        bytesToStepAgain: 1
    )
}

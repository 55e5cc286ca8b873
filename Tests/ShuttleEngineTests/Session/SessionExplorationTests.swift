// Owns the proof by exhaustion that a session is right in every order of events of a small world.

import Testing

@testable import ShuttleEngine

@Suite struct SessionExplorationTests {
    /// Bytes that client and backend have to say.
    @Test(arguments: [(0, 0), (1, 1), (2, 0), (0, 2)])
    func everyOrderOfEvents(clientBytes: Int, backendBytes: Int) {
        var seen: Set<SessionWorld.Key> = []
        let start = SessionWorld(clientBytes: clientBytes, backendBytes: backendBytes)
        // Worlds to go on from, with how they came about.
        var open: [(world: SessionWorld, path: [SessionWorld.Event])] = [(start, [])]
        seen.insert(start.key)
        var closings: Set<String> = []
        while let (world, path) = open.popLast() {
            if let objection = world.objection {
                Issue.record("\(objection), after \(path)")
                return
            }
            if world.isStuck {
                Issue.record("stuck after \(path)")
                return
            }
            if let closing = world.closing { closings.insert("\(closing)") }
            for event in world.events {
                var next = world
                next.happen(event)
                if seen.insert(next.key).inserted { open.append((next, path + [event])) }
            }
        }
        #expect(closings.count >= 3, "clean, and by a reset of either side")
        #expect(seen.count > 200, "\(seen.count) situations")
    }
}

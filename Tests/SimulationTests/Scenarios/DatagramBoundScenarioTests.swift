// Owns the scenarios of how many sessions and sockets UDP has: the bounds hold whatever ends at once, who gives way, and
// sweeps that find every session.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct DatagramBoundScenarioTests {
    /// A session that has ended has its socket until its receive has been taken back. However many end at once, there are
    /// never more sockets than descriptors were set aside for; the simulated kernel counts.
    @Test(arguments: [1, 3], [1, 4])
    func socketsOfEndedSessionsCount(rings: Int, beyond: Int) {
        var plan = DatagramSimulation.Plan.patient("descriptors, \(rings) rings, \(beyond) beyond")
        plan.rings = rings
        plan.clients = 40
        plan.datagrams = 600
        plan.service.udpSessionsMax = 6
        plan.service.udpRequests = 2
        plan.service.udpResponses = 1
        plan.answers = 1...1
        plan.kernel.descriptorsMax = 6 + beyond
        var (most, turnedAway) = (0, 0)
        expectClean(plan) { simulation in
            most = max(most, simulation.datagrams.connectedMax)
            turnedAway += Int(simulation.turnedAway)
            // Who found none was dropped and counted; all others got through.
            #expect(simulation.dropped == simulation.turnedAway)
            #expect(simulation.deliveredToBackends + Int(simulation.dropped) == plan.datagrams)
            #expect(simulation.deliveredToBackends > plan.datagrams / 3)
        }
        #expect(most == plan.kernel.descriptorsMax, "the bound was reached")
        #expect(turnedAway > 0)
    }

    /// A whole backend's sessions end at once, by an end of the service and by a drain, and new ones begin at the same time.
    @Test func descriptorsOfManyThatEndAtOnce() {
        var plan = DatagramSimulation.Plan.patient("many that end at once")
        plan.rings = 2
        plan.clients = 200
        plan.datagrams = 1200
        plan.sessionsPerRing = 100
        plan.ports = [8001]
        plan.service.udpSessionsMax = 100
        plan.kernel.descriptorsMax = 103
        plan.changes = (1...8).map { number in
            (
                number * 100,
                { simulation in
                    // Ended at their clients' next datagrams, and by the sweep.
                    simulation.passToAnotherService(ports: [UInt16(8001 + number)]) { $0.drainTimeoutMilliseconds = 1 }
                }
            )
        }
        var most = 0
        expectClean(plan, seeds: 1...20) { simulation in
            most = max(most, simulation.datagrams.connectedMax)
            #expect(simulation.deliveredToBackends + Int(simulation.dropped) == plan.datagrams)
        }
        #expect(most == 103)
    }

    /// Where this machine has no descriptor left, one session ends for the client that got none, not one for each that asks
    /// while the first one's socket is still to be closed.
    @Test func oneEndsForAWantOfDescriptors() {
        var plan = DatagramSimulation.Plan.patient("a want of descriptors")
        plan.clients = 30
        plan.datagrams = 300
        plan.kernel.shortages = 100
        plan.kernel.shortagesFrom = 10
        plan.kernel.batches = 0
        var (most, least) = (0, Int.max)
        plan.afterTurn = { simulation in
            most = max(most, simulation.liveCount)
            if most == 10, simulation.sent < plan.datagrams { least = min(least, simulation.liveCount) }
        }
        expectClean(plan) { simulation in
            #expect(most == 10 && least == 9, "\(most) and \(least) sessions")
            #expect(simulation.evicted > 0)
            #expect(simulation.errors == UInt64(simulation.datagrams.shortagesMet))
            (most, least) = (0, Int.max)
        }
    }

    /// The address has passed to another service, which is at its limit: sessions of the one before give way first, by age,
    /// and give back that one's places.
    @Test func sessionsOfTheServiceBeforeMakeRoom() {
        var plan = DatagramSimulation.Plan.patient("another service's sessions")
        plan.clients = 40
        plan.datagrams = 600
        plan.empty = 0
        plan.service.udpSessionsMax = 30
        plan.kernel.shortages = 0
        plan.changes = [
            (
                300,
                { simulation in
                    simulation.passToAnotherService(ports: [8003, 8004]) { $0.udpSessionsMax = 2 }
                }
            ),
            (
                450,
                { simulation in
                    // By now every session of before has ended or given way, and their places are back.
                    #expect(simulation.records[0].pointee.occupied.load(ordering: .relaxed) == 0)
                    #expect(simulation.records[0].pointee.counters.active == 0)
                }
            ),
        ]
        var evictedOfBefore: UInt64 = 0
        expectClean(plan) { simulation in
            #expect(simulation.occupiedMaxOfPresent <= 2)
            let before = simulation.records[0].pointee.datagrams.sum { $0.evicted.load(ordering: .relaxed) }
            evictedOfBefore += before
            #expect(simulation.byPort[8003, default: 0] + simulation.byPort[8004, default: 0] >= 300)
            #expect(simulation.dropped == 0)
        }
        #expect(evictedOfBefore > 40 * 5, "\(evictedOfBefore)")
    }

    /// A ring that is full ends a session of the same listener whosever it is.
    @Test func aFullRingEndsTheOldestWhosever() {
        var plan = DatagramSimulation.Plan.patient("a full ring and another service")
        plan.clients = 40
        plan.sessionsPerRing = 8
        plan.datagrams = 400
        plan.changes = [(200, { $0.passToAnotherService(ports: [8003]) })]
        expectClean(plan) { simulation in
            #expect(simulation.dropped == 0 && simulation.datagrams.connectedMax >= 8)
            #expect(
                simulation.records.allSatisfy { $0.pointee.datagrams.sum { $0.evicted.load(ordering: .relaxed) } > 0 })
        }
    }

    /// A sweep takes several turns, in which sessions begin in slots that it has passed, in some that it is yet to come to
    /// and in new ones, and drains begin and stop. Nobody outlives the drain of its backend.
    @Test func slotsThatAreTakenDuringASweep() {
        var plan = DatagramSimulation.Plan.patient("slots taken during a sweep")
        plan.clients = 250
        plan.sessionsPerRing = 600
        plan.datagrams = 1500
        plan.empty = 0
        plan.answers = 0...0
        plan.pauseMax = 2
        plan.ports = [8001, 8002, 8003]
        // A new session with every second datagram: slots are taken all the time.
        plan.service.udpRequests = 2
        plan.service.drainTimeoutMilliseconds = 40
        let states: [(first: BackendState, second: BackendState)] = [
            (.drain, .ready), (.ready, .drain), (.drain, .drain), (.ready, .ready), (.drain, .drain),
        ]
        // When the last drain must have ended everybody.
        var drainEnd = UInt64.max
        plan.changes = states.enumerated().map { number, state in
            (
                900 + number,
                { simulation in
                    if number == states.count - 1 { drainEnd = simulation.network.now + 40 }
                    simulation.publish {
                        $0.backends[0].state = state.first
                        $0.backends[1].state = state.second
                    }
                }
            )
        }
        plan.afterTurn = { simulation in
            // Each turn looks through some of the slots; time stands still while there is something to do.
            guard drainEnd != .max, simulation.network.now > drainEnd + 100 else { return }
            for port in [UInt16(8001), 8002]
            where simulation.backends[port]!.pointee.active.load(ordering: .relaxed) > 0 {
                simulation.network.violate(.stuck, "sessions of \(port) outlive its drain")
            }
        }
        expectClean(plan, seeds: 1...20) { simulation in
            drainEnd = .max
            for port in [UInt16(8001), 8002] {
                let counters = simulation.backends[port]!
                let begun = counters.pointee.counters.sum { $0.connections.load(ordering: .relaxed) }
                let drained = counters.pointee.counters.sum { $0.drainEnds.load(ordering: .relaxed) }
                #expect(begun > 150 && drained == begun, "\(drained) of \(begun) sessions of \(port) were drained")
            }
        }
    }

    /// The address goes while hundreds of sessions are there: the sweep ends all of them, over several turns.
    @Test func aListenersEndFindsEverySession() {
        var plan = DatagramSimulation.Plan.patient("an end of many sessions")
        plan.clients = 250
        plan.sessionsPerRing = 600
        plan.datagrams = 600
        plan.service.udpRequests = 1
        plan.answers = 0...0
        plan.changes = [(600, { $0.close() })]
        expectClean(plan, seeds: 1...10) { simulation in
            // Long before any of them would have been idle for too long.
            #expect(simulation.record.pointee.counters.sum { $0.idleEnds.load(ordering: .relaxed) } == 0)
            #expect(simulation.network.now < 30_000, "\(simulation.network.now)")
        }
    }
}

// Owns the scenarios of backends whose traffic fails: what counts against them, that they get nothing while they are
// out, and that they are back after their time.

import Glibc
import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct PassiveScenarioTests {
    /// Two backends, and a control thread that looks every 50 ms.
    private static func plan(_ name: String, rings: Int = 1) -> SimulationPlan {
        var plan = SimulationPlan.oneService(name, backends: 2, rings: rings)
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd, .send(10), .finish]) }
        plan.changes = (1...60).map {
            .init(at: $0 * 50, action: { control, _ in control.judgeTraffic() }, needsSettled: false)
        }
        return plan
    }

    private func failures(_ simulation: Simulation, _ port: UInt16) -> UInt64 {
        simulation.control.backend(at: port)?.record.pointee.failures.count ?? 0
    }

    private func ejections(_ simulation: Simulation, _ port: UInt16) -> UInt64 {
        simulation.control.backend(at: port)?.record.pointee.passive.ejections ?? 0
    }

    /// One that cannot be connected to is out after five failures, or however many there are until control looks; while
    /// it is out no client meets it, and none notices anything at any time.
    @Test(arguments: [ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT], [1, 3])
    func failedConnectsTakeItOut(code: Int32, rings: Int) {
        var plan = Self.plan("failed connects", rings: rings)
        plan.arrive(200, every: 10, PeerScript(steps: [.send(10), .finish]))
        plan.fateOfConnect = { _, port in (port == 1001 ? .fail(code) : .accept, 0) }
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            let failed = UInt64(simulation.network.ledger.failedConnects[1001] ?? 0)
            #expect(failed == failures(simulation, 1001) && failures(simulation, 1002) == 0)
            #expect((5...15).contains(failed), "\(failed) of 200 clients met it")
            #expect(ejections(simulation, 1001) == 1 && ejections(simulation, 1002) == 0)
            #expect(simulation.control.backend(at: 1002)?.counters[2] == 200)
        }
    }

    /// After its time it gets clients again, and is out again as soon as it fails again.
    @Test func itIsBackAfterItsTime() {
        var plan = Self.plan("down time")
        plan.services[0].passive.downTimeMilliseconds = 500
        plan.arrive(250, every: 10, PeerScript(steps: [.send(10), .finish]))
        plan.fateOfConnect = { _, port in (port == 1001 ? .fail(ECONNREFUSED) : .accept, 0) }
        expectClean(plan, seeds: 1...5) { simulation in
            let failed = failures(simulation, 1001)
            let ejections = ejections(simulation, 1001)
            #expect((3...5).contains(ejections), "\(ejections) times out in 2.5 s")
            #expect((5 * ejections...15 * (ejections + 1)).contains(failed), "\(failed) failures")
        }
    }

    /// A reset before the first byte counts, one that comes after it does not.
    @Test(arguments: [true, false])
    func resetsCountBeforeTheFirstByte(isBefore: Bool) {
        var plan = Self.plan("resets")
        plan.arrive(100, every: 10, PeerScript(steps: [.send(10), .awaitEnd]))
        plan.backendScript = { _, port in
            let reset: [PeerScript.Step] = isBefore ? [.awaitBytes(10), .reset] : [.awaitBytes(10), .send(1), .reset]
            return PeerScript(steps: port == 1001 ? reset : [.awaitBytes(10), .send(10), .finish])
        }
        expectClean(plan, seeds: 1...5) { simulation in
            let resets = failures(simulation, 1001)
            if isBefore {
                #expect((5...15).contains(resets) && ejections(simulation, 1001) == 1)
                #expect(simulation.control.backend(at: 1001)?.record.pointee.failures.last == .reset)
            } else {
                #expect(resets == 0 && ejections(simulation, 1001) == 0)
                #expect((simulation.control.backend(at: 1001)?.errors ?? 0) > 40)
            }
        }
    }

    /// One that takes an upload, says nothing and ends it by a reset: how much it took decides, to the byte.
    @Test(arguments: [-1, 0])
    func whoTookMuchHasServed(more: Int) {
        var plan = Self.plan("uploads")
        plan.services[0].backends.removeLast()
        let bytes = Int(TrafficFailure.servedBytes) + more
        plan.arrive(2, every: 1, .bulk([.send(bytes), .awaitEnd], chunk: 1 << 16))
        plan.backendScript = { _, _ in .bulk([.awaitBytes(bytes), .reset], chunk: 1 << 16) }
        plan.network.kernelQueueBytes = 65_536...65_536
        plan.rings[0].pipeBytes = 65_536...65_536
        plan.rings[0].bufferSize = 16_384
        plan.stepsMax = 2_000_000
        expectClean(plan, seeds: 1...2) { simulation in
            #expect(simulation.control.backend(at: 1001)?.errors == 2, "errors they are")
            #expect(failures(simulation, 1001) == (more < 0 ? 2 : 0))
        }
    }

    /// Want of ports of our own says nothing about a backend, nor does a client that leaves.
    @Test func ownFaultsDoNotCount() {
        var plan = Self.plan("own faults")
        plan.services[0].connectTimeout = 5000
        plan.arrive(50, every: 10, PeerScript(steps: [.send(10), .finish]))
        plan.arrive(50, every: 10, from: 500, PeerScript(steps: [.send(10), .reset]))
        plan.network.portShortages = 50
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(failures(simulation, 1001) == 0 && failures(simulation, 1002) == 0)
        }
    }

    /// Both fail: one stays, so that clients go on being tried there.
    @Test func oneOfTwoStays() {
        var plan = Self.plan("both fail")
        plan.arrive(100, every: 10, PeerScript(steps: [.send(10), .finish]))
        plan.fateOfConnect = { _, _ in (.fail(ECONNREFUSED), 0) }
        expectClean(plan, seeds: 1...5) { simulation in
            let out = (1001...1002).filter {
                simulation.control.backend(at: $0)?.record.pointee.passive.isEjected == true
            }
            #expect(out.count == 1)
            #expect(simulation.control.serviceRecords[0].record.pointee.panics >= 1)
            #expect(failures(simulation, 1001) + failures(simulation, 1002) > 100)
        }
    }

    /// A lone one may be out, and then nobody is connected to.
    @Test func aLoneOneMayBeOut() {
        var plan = Self.plan("a lone backend")
        plan.services[0].backends.removeLast()
        plan.arrive(100, every: 10, PeerScript(steps: [.send(10), .finish]))
        plan.fateOfConnect = { _, _ in (.fail(ECONNREFUSED), 0) }
        expectClean(plan, seeds: 1...5) { simulation in
            #expect((5...15).contains(failures(simulation, 1001)) && ejections(simulation, 1001) == 1)
            #expect(simulation.control.serviceRecords[0].record.pointee.panics == 0)
        }
    }
}

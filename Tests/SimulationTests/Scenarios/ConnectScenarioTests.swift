// Owns the scenarios of backends that cannot be reached, and of our own want of descriptors and ports.

import Glibc
import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct ConnectScenarioTests {
    private func errors(_ simulation: Simulation, _ port: UInt16) -> UInt64 {
        simulation.control.backend(at: port)?.errors ?? 0
    }

    /// Case 16: a refused connect goes to the next backend, unseen by the client.
    @Test(arguments: [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT])
    func refusedGoesToTheNext(code: Int32) {
        var plan = SimulationPlan.oneService("refused", backends: 2)
        plan.arrive(4, every: 10, PeerScript(steps: [.send(300), .awaitBytes(200), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(200), .awaitEnd]) }
        plan.fateOfConnect = { random, port in (port == 1001 ? .fail(code) : .accept, random.below(5)) }
        plan.isCalm = true
        expectClean(plan) { simulation in
            let refusals = UInt64(simulation.network.ledger.failedConnects[1001] ?? 0)
            #expect(refusals == 2, "every other client meets the dead backend first")
            #expect(errors(simulation, 1001) == refusals && errors(simulation, 1002) == 0)
            let counters = simulation.counters(of: "a")
            #expect(counters.connections == 4 && counters.errors == refusals)
            #expect(simulation.control.backend(at: 1002)?.counters[2] == 4)
            let retried = simulation.control.serviceRecords[0].record.pointee.counters
                .sum { $0.retried.load(ordering: .relaxed) }
            #expect(retried == refusals && simulation.control.backend(at: 1002)?.retried == refusals)
            #expect(simulation.control.backend(at: 1001)?.retried == 0)
        }
    }

    /// Case 17: nobody answers; after the timeout the next backend is tried, and what the client said meanwhile gets
    /// there.
    @Test func silenceTimesOut() {
        var plan = SimulationPlan.oneService("silence", backends: 2)
        plan.services[0].connectTimeout = 300
        plan.arrive(1, PeerScript(steps: [.send(2000), .pause(100), .send(2000), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd, .send(100)]) }
        plan.fateOfConnect = { _, port in (port == 1001 ? .silence : .accept, 0) }
        plan.isCalm = true
        expectClean(plan) { simulation in
            guard let session = simulation.network.ledger.sessions.first, session.connectTimes.count == 2 else {
                Issue.record("two connects expected")
                return
            }
            let waited = session.connectTimes[1] - session.connectTimes[0]
            #expect((300...350).contains(waited), "the second connect began after \(waited) ms")
            #expect(session.upstream?.readByPeer == 4000)
            #expect(errors(simulation, 1001) == 1)
        }
    }

    /// Case 18: every backend refuses, or keeps silent: a clean close within timeout times tries.
    @Test(arguments: [ConnectFate.fail(ECONNREFUSED), .silence])
    func allBackendsFail(fate: ConnectFate) {
        var plan = SimulationPlan.oneService("all fail", backends: 5)
        plan.services[0].connectTimeout = 200
        plan.arrive(1, PeerScript(steps: [.send(100)]))
        plan.fateOfConnect = { _, _ in (fate, 10) }
        expectClean(plan) { simulation in
            guard let client = simulation.clients[0] else { return }
            #expect(client.peer?.sawEnd == true && client.readByPeer == 0)
            #expect((client.peer?.endSeenAt ?? .max) - client.createdAt <= 3 * 200 + 50)
            // A first try and two further ones, each at another backend, and one client without a backend.
            #expect(simulation.network.ledger.sessions.first?.triedPorts.count == 3)
            #expect((1001...1005).reduce(0) { $0 + errors(simulation, $1) } == 3)
            #expect(simulation.counters(of: "a").errors == 4)
        }
    }

    /// As many further tries as the service says, and a silent backend holds them up no longer than it says.
    @Test(arguments: [0, 1, 4, 7])
    func retriesAreCounted(retries: Int) {
        var plan = SimulationPlan.oneService("retries", backends: 9)
        plan.services[0].retries = retries
        plan.arrive(1, PeerScript(steps: [.send(100)]))
        plan.fateOfConnect = { _, _ in (.fail(ECONNREFUSED), 1) }
        expectClean(plan) { simulation in
            #expect(simulation.network.ledger.sessions.first?.triedPorts.count == retries + 1)
        }
    }

    /// The last try ends when the time for all is over, and no further one begins.
    @Test func retriesEndInTime() {
        var plan = SimulationPlan.oneService("retry timeout", backends: 8)
        plan.services[0].connectTimeout = 300
        plan.services[0].retries = 7
        plan.services[0].retryTimeout = 700
        plan.arrive(1, PeerScript(steps: [.send(100)]))
        plan.fateOfConnect = { _, _ in (.silence, 0) }
        expectClean(plan) { simulation in
            guard let client = simulation.clients[0] else { return }
            #expect(client.peer?.sawEnd == true)
            let waited = (client.peer?.endSeenAt ?? .max) - client.createdAt
            #expect((700...800).contains(waited), "the client waited for \(waited) ms")
            #expect(simulation.network.ledger.sessions.first?.triedPorts.count == 3)
        }
    }

    /// Down, drained by weight, or none at all: the client is closed at once, also when it is the only one.
    @Test(arguments: [0, 1, 2])
    func noUsableBackend(kind: Int) {
        var plan = SimulationPlan.oneService("no usable backend", backends: kind == 0 ? 0 : 1)
        if kind == 1 { plan.services[0].backends[0].weight = 0 }
        if kind == 2 {
            plan.changes = [
                .init(at: 0, action: { control, _ in control.setHealth(control.present[0], isUp: false) })
            ]
        }
        plan.arrive(3, from: 50, PeerScript())
        expectClean(plan) { simulation in
            for client in simulation.clients {
                #expect(client?.peer?.sawEnd == true)
                #expect((client?.peer?.endSeenAt ?? .max) <= (client?.createdAt ?? 0) + 200)
            }
            let counters = simulation.counters(of: "a")
            #expect(counters.connections == 3 && counters.errors == 3)
            #expect(!simulation.network.connections.contains { !$0.isClient }, "nobody was connected to")
        }
    }

    /// Case 19: without ports of our own left no backend is blamed, and service resumes by itself.
    @Test func ownPortsExhausted() {
        var plan = SimulationPlan.oneService("own ports exhausted", backends: 2)
        plan.arrive(10, every: 10, PeerScript(steps: [.send(100), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd]) }
        plan.network.portShortages = 50
        expectClean(plan) { simulation in
            #expect(errors(simulation, 1001) == 0 && errors(simulation, 1002) == 0)
            let served = simulation.network.ledger.established.values.reduce(0, +)
            #expect(simulation.counters(of: "a").errors == UInt64(10 - served))
        }
    }

    /// Case 20, on this level: with descriptors for three sessions thirty clients are served one after the other, and
    /// the worker sleeps while it can do nothing.
    @Test(arguments: [true, false])
    func descriptorsRunOut(hasReceiveLimit: Bool) {
        var ring = RingSettings.roomy
        ring.hasReceiveLimit = hasReceiveLimit
        var plan = SimulationPlan.oneService("descriptors run out", ring: ring)
        // One more than pairs need: an accept that leaves none for the backend turns its client away.
        plan.network.descriptorLimit = 1 + 6
        plan.sessionCapacity = 3
        plan.arrive(30, PeerScript(steps: [.send(500), .pause(500), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(500), .awaitEnd]) }
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.counters(of: "a").connections == 30)
            // Ten rounds of 500 ms and a try every 100 ms, not one for every turn.
            let pauses = simulation.links[0].pointee.acceptPauses.load(ordering: .relaxed)
            #expect(pauses > 0 && pauses < 200)
        }
    }

    /// The same without the capacity that keeps within the limit: the kernel says EMFILE.
    @Test func descriptorsRunOutUnexpectedly() {
        var plan = SimulationPlan.oneService("EMFILE")
        plan.network.descriptorLimit = 8
        plan.arrive(30, every: 20, PeerScript(steps: [.send(500), .pause(100), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(500), .awaitEnd]) }
        expectClean(plan) { simulation in
            let counters = simulation.counters(of: "a")
            #expect(counters.connections == 30, "every client was accepted in the end")
            #expect(errors(simulation, 1001) == 0)
        }
    }
}

// Owns the scenarios in which a service ends sessions by its configuration: half-close, the first end, age.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct EndingScenarioTests {
    private func ends(_ simulation: Simulation, _ value: (borrowing CounterBlock) -> UInt64) -> UInt64 {
        simulation.control.serviceRecords.reduce(0) { $0 + $1.record.pointee.counters.sum(value) }
    }

    // MARK: Half-close

    private func halfClosed(_ name: String, client: PeerScript, backend: PeerScript) -> SimulationPlan {
        var plan = SimulationPlan.onePair(name, client: client, backend: backend)
        plan.services[0].halfCloseTimeout = 1000
        return plan
    }

    /// One side has ended and the other rests: both are closed when the time since the forwarded end is over.
    @Test(arguments: [true, false])
    func theRestRests(isClientFirst: Bool) {
        let first = PeerScript(steps: [.send(50), .pause(300), .finish])
        let other = PeerScript(steps: [.send(100), .pause(50_000)])
        let plan = halfClosed(
            "half-closed and silent",
            client: isClientFirst ? first : other,
            backend: isClientFirst ? other : first
        )
        expectClean(plan) { simulation in
            guard let (client, upstream) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            let told = (isClientFirst ? upstream : client).proxyFinishedAt
            let ended = (isClientFirst ? client : upstream).peer?.endSeenAt ?? 0
            #expect(told >= 1300 && ended >= told + 1000 && ended <= told + 1250 + 50, "told \(told), ended \(ended)")
            #expect((isClientFirst ? client : upstream).peer?.sawEnd == true, "nothing was owed: a clean end")
            #expect(ends(simulation) { $0.halfCloseEnds.load(ordering: .relaxed) } == 1)
            #expect(ends(simulation) { $0.idleEnds.load(ordering: .relaxed) } == 0)
        }
    }

    /// What remains goes on for as long as something comes.
    @Test(arguments: [true, false])
    func theRestGoesOn(isClientFirst: Bool) {
        let first = PeerScript(steps: [.finish])
        let trickle: [PeerScript.Step] = (0..<10).flatMap { _ in [.send(5), .pause(700)] }
        var plan = halfClosed(
            "half-closed and talking",
            client: isClientFirst ? first : PeerScript(steps: trickle + [.finish]),
            backend: isClientFirst ? PeerScript(steps: trickle + [.finish]) : first
        )
        plan.isCalm = true
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(ends(simulation) { $0.halfCloseEnds.load(ordering: .relaxed) } == 0)
        }
    }

    /// A reader that takes nothing of what remains is reset: it was promised more.
    @Test func theRestIsNotTaken() {
        let client = PeerScript(steps: [.finish], readPauses: [(500, 1_000_000)])
        let plan = halfClosed("half-closed and stalled", client: client, backend: .bulk([.send(100_000), .awaitEnd]))
        expectClean(plan) { simulation in
            guard let (client, _) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            #expect(client.hasProxyReset)
            #expect(ends(simulation) { $0.halfCloseEnds.load(ordering: .relaxed) } == 1)
        }
    }

    /// Before an end that timeout means nothing.
    @Test func whoeverDoesNotEndIsLeftAlone() {
        let pause = PeerScript(steps: [.send(10), .pause(20_000), .send(10), .finish])
        var plan = halfClosed("not half-closed", client: pause, backend: pause)
        plan.isCalm = true
        expectClean(plan, seeds: 1...5)
    }

    // MARK: The first end

    /// The one that ended gets what had come for it, the other everything; then both are closed.
    @Test(arguments: [true, false])
    func theFirstEndClosesBoth(isClientFirst: Bool) {
        let first = PeerScript(steps: [.awaitBytes(100), .send(3000), .finish])
        let other = PeerScript(steps: [.send(100), .pause(50_000)])
        var plan = SimulationPlan.onePair(
            "the first end",
            client: isClientFirst ? first : other,
            backend: isClientFirst ? other : first
        )
        plan.services[0].halfClose = false
        plan.network.kernelQueueBytes = 50...2000
        expectClean(plan) { simulation in
            guard let (client, upstream) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            let (source, sink) = isClientFirst ? (client, upstream) : (upstream, client)
            #expect(sink.acknowledged == 3000 && source.acknowledged == 100)
            #expect(source.peer?.sawEnd == true && !source.hasProxyReset)
            #expect(simulation.network.now >= 51_000, "the peers end by their own script")
            #expect((source.peer?.endSeenAt ?? .max) < 5000, "it did not wait for the other")
        }
    }

    /// The other side never stops talking: it is not read any more, and its reset must not overtake its last bytes.
    @Test(arguments: [true, false])
    func theFirstEndCutsTheOtherShort(isClientFirst: Bool) {
        let first = PeerScript.bulk([.send(5000), .pause(50), .finish], chunk: 500)
        let talking: [PeerScript.Step] = (0..<400).flatMap { _ in [.send(500), .pause(1)] }
        var plan = SimulationPlan.onePair(
            "the first end of two",
            client: isClientFirst ? first : .bulk(talking),
            backend: isClientFirst ? .bulk(talking) : first
        )
        plan.services[0].halfClose = false
        expectClean(plan) { simulation in
            guard let (client, upstream) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            #expect((isClientFirst ? upstream : client).acknowledged == 5000)
            #expect(simulation.network.now < 1000 + 10_000)
        }
    }

    /// Both end almost at once, and the first one is slow to take what it is owed.
    @Test(arguments: [true, false])
    func theFirstEndDeliversBehindTheSecond(isClientFirst: Bool) {
        let first = PeerScript(steps: [.send(10), .finish], readPauses: [(100, 500), (400, 500)])
        let other = PeerScript(steps: [.send(1000), .awaitEnd, .finish])
        var plan = SimulationPlan.onePair(
            "two ends",
            client: isClientFirst ? first : other,
            backend: isClientFirst ? other : first
        )
        plan.services[0].halfClose = false
        plan.network.kernelQueueBytes = 50...200
        expectClean(plan) { simulation in
            guard let (client, upstream) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            let (slow, other) = isClientFirst ? (client, upstream) : (upstream, client)
            #expect(slow.peer?.sawEnd == true && !slow.hasProxyReset)
            #expect(slow.acknowledged == other.readByProxy)
        }
    }

    /// A side that takes nothing of what is owed to it does not hold the session for ever.
    @Test func theFirstEndDoesNotWaitForEver() {
        let stalled = PeerScript(steps: [.pause(100_000)], readPauses: [(100, 1_000_000)])
        var plan = SimulationPlan.onePair(
            "a stalled first end", client: .bulk([.send(1000), .finish]), backend: stalled)
        plan.services[0].halfClose = false
        // What it does not take fits into our buffers, so that the end is received.
        plan.network.kernelQueueBytes = 200...300
        expectClean(plan, seeds: 1...10, splicing: [.never]) { simulation in
            guard let (client, upstream) = simulation.pair(of: 0) else {
                Issue.record("no session")
                return
            }
            let stalledFor = (client.peer?.endSeenAt ?? 0) - upstream.lastAcknowledgement
            #expect((10_000...10_200).contains(stalledFor), "\(stalledFor)")
            #expect(upstream.hasProxyReset)
        }
    }

    // MARK: Age

    /// However busy it is; not before its time, and within its jitter.
    @Test(arguments: [0, 50])
    func sessionsEndAtTheirAge(jitter: Int) {
        var plan = SimulationPlan.oneService("age", backends: 2, rings: 2)
        plan.services[0].maxLifetime = 2000
        plan.services[0].maxLifetimeJitter = jitter
        let steps: [PeerScript.Step] = (0..<200).flatMap { _ in [.send(5), .pause(100)] }
        plan.arrive(20, PeerScript(steps: steps))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd]) }
        expectClean(plan, seeds: 1...5) { simulation in
            var lives: [UInt64] = []
            for client in simulation.clients.compactMap({ $0 }) {
                guard let peer = client.peer, let ended = peer.endSeenAt else {
                    Issue.record("it lives on")
                    continue
                }
                lives.append(ended - client.acceptedAt)
            }
            let longest = UInt64(2000 + 20 * jitter + 50)
            #expect(lives.allSatisfy { $0 >= 2000 && $0 <= longest }, "\(lives)")
            if jitter > 0 { #expect(Set(lives).count > 10 && (lives.max() ?? 0) - (lives.min() ?? 0) > 400) }
            #expect(ends(simulation) { $0.lifetimeEnds.load(ordering: .relaxed) } == 20)
            let backends = simulation.control.backends.map(\.record)
            #expect(
                backends.reduce(0) { $0 + $1.pointee.counters.sum { $0.lifetimeEnds.load(ordering: .relaxed) } } == 20)
        }
    }

    /// A change of the limit is for those that come after it.
    @Test func theLimitIsTakenAtTheBeginning() {
        var plan = SimulationPlan.oneService("a new age", backends: 1)
        let quiet = PeerScript(steps: [.pause(10_000), .finish])
        plan.arrive(1, quiet)
        plan.arrive(1, from: 500, quiet)
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd]) }
        plan.changes = [
            .init(at: 200) { control, _ in
                var plans = control.plans
                plans[0].maxLifetime = 1000
                _ = control.commit(plans)
            }
        ]
        expectClean(plan, seeds: 1...10) { simulation in
            let ended = simulation.clients.map { $0?.peer?.endSeenAt ?? 0 }
            #expect(ended[0] >= 11_000)
            #expect((2500...2600).contains(ended[1]), "\(ended)")
        }
    }
}

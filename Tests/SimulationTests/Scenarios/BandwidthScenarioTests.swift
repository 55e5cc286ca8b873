// Owns the scenarios of services with limits of bandwidth: how long bytes take, who gets how many of them, what ends
// while they are held back, and what changes.

import Testing

@testable import ShuttleEngine

@Suite struct BandwidthScenarioTests {
    private static func limit(_ upload: Int, _ download: Int) -> BandwidthConfiguration {
        var limit = BandwidthConfiguration()
        (limit.uploadBytesPerSecond, limit.downloadBytesPerSecond) = (upload, download)
        return limit
    }

    private static let bulk = 40_000

    /// Clients that send much, and backends that answer with as much.
    private static func plan(
        _ name: String, session: BandwidthConfiguration = .blank, service: BandwidthConfiguration = .blank,
        rings: Int = 1, clients: Int = 1
    ) -> SimulationPlan {
        var ring = RingSettings.roomy
        ring.bufferSize = 256
        var plan = SimulationPlan.oneService(name, ring: ring, rings: rings)
        plan.services[0].bandwidth = session
        plan.services[0].serviceBandwidth = service
        plan.arrive(clients, PeerScript.bulk([.send(bulk), .finish]))
        plan.backendScript = { _, _ in PeerScript.bulk([.send(bulk), .awaitEnd]) }
        plan.isCalm = true
        plan.stepsMax = 2_000_000
        return plan
    }

    private static func change(at time: Int, _ body: @escaping (inout ServicePlan) -> Void) -> SimulationPlan.Change {
        .init(
            at: time,
            action: { control, _ in
                var plans = control.plans
                body(&plans[0])
                #expect(control.commit(plans))
            })
    }

    /// When a stream was over for its reader, counted from the session's begin.
    private func took(_ simulation: Simulation, _ client: Int, _ side: Side) -> Double {
        guard let pair = simulation.pair(of: client),
            let start = simulation.clients[client]?.session?.connectTimes.first
        else { return -1 }
        let end = side == .downstream ? pair.upstream.peer?.endSeenAt : pair.client.peer?.endSeenAt
        return Double(end ?? 0) - Double(start)
    }

    /// Each direction goes at its own rate over a long run: never faster than what a window and a buffer allow, and not
    /// much slower.
    @Test(arguments: [(4000, 8000), (8000, 4000), (2000, 2000), (50_000, 10_000)])
    func aSessionGoesAtItsRate(upload: Int, download: Int) {
        let plan = BandwidthScenarioTests.plan("rate", session: BandwidthScenarioTests.limit(upload, download))
        expectClean(plan, seeds: 1...5) { simulation in
            // The client is told of the end when its own has been passed on as well.
            let expectedUp = Double(BandwidthScenarioTests.bulk) / Double(upload) * 1000
            let expectedDown = Double(BandwidthScenarioTests.bulk) / Double(download) * 1000
            let up = took(simulation, 0, .downstream)
            #expect(up >= expectedUp * 0.85 && up <= expectedUp * 1.05 + 300, "\(up) ms, not \(expectedUp)")
            let down = took(simulation, 0, .upstream)
            let slower = max(expectedUp, expectedDown)
            #expect(down >= slower * 0.85 && down <= slower * 1.05 + 300, "\(down) ms, not \(slower)")
        }
    }

    /// Without a limit in one direction nothing is held there.
    @Test func theOtherDirectionIsFree() {
        let plan = BandwidthScenarioTests.plan("one direction", session: BandwidthScenarioTests.limit(2000, 0))
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(took(simulation, 0, .downstream) >= 17_000)
        }
    }

    /// Sessions on several rings share the service's rate: together they take as long as they should, and none is far
    /// behind the others.
    @Test(arguments: [1, 3])
    func theServicesRateIsShared(rings: Int) {
        var plan = BandwidthScenarioTests.plan(
            "shared", service: BandwidthScenarioTests.limit(20_000, 0), rings: rings, clients: 6)
        plan.backendScript = { _, _ in PeerScript.bulk([.awaitEnd, .send(10)]) }
        expectClean(plan, seeds: 1...5) { simulation in
            let times = (0..<6).map { took(simulation, $0, .downstream) }.sorted()
            let expected = Double(6 * BandwidthScenarioTests.bulk) / 20_000 * 1000
            #expect(times[5] >= expected * 0.85 && times[5] <= expected * 1.05 + 500, "\(times) of \(expected)")
            #expect(
                times[0] >= expected * 0.75,
                "the first was done at \(times[0]) of \(expected): it had more than its share")
        }
    }

    /// What is held back does not pile up here: the sender is held back.
    @Test func memoryIsBounded() {
        var plan = BandwidthScenarioTests.plan("memory", session: BandwidthScenarioTests.limit(4000, 4000), clients: 4)
        plan.network.kernelQueueBytes = 2000...4096
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(simulation.buffersHeldMax <= 32)
        }
    }

    /// A session that is held back longer than its timeouts is not idle.
    @Test func whoIsHeldBackIsNotIdle() {
        var plan = BandwidthScenarioTests.plan("not idle", service: BandwidthScenarioTests.limit(2000, 0), clients: 8)
        plan.services[0].clientTimeout = 400
        plan.services[0].serverTimeout = 400
        plan.services[0].halfCloseTimeout = 400
        plan.arrivals = []
        plan.arrive(8, PeerScript.bulk([.send(6000), .finish]))
        plan.backendScript = { _, _ in PeerScript.bulk([.awaitEnd, .send(10)]) }
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(simulation.clients.allSatisfy { $0?.readByPeer == 10 })
        }
    }

    /// And one that is not held back any more is idle when it has said nothing for long enough.
    @Test func whoIsNotHeldBackIsIdleInTime() {
        var plan = BandwidthScenarioTests.plan("idle after all", session: BandwidthScenarioTests.limit(4000, 0))
        plan.services[0].clientTimeout = 1000
        plan.arrivals = []
        plan.arrive(1, PeerScript.bulk([.send(8000)]))
        plan.backendScript = { _, _ in PeerScript.bulk([.awaitEnd]) }
        plan.isCalm = false
        plan.endsWithin = 10_000
        expectClean(plan, seeds: 1...5)
    }

    /// A reset travels behind the bytes that came before it, however long they are held back.
    @Test(arguments: [PeerScript.Step.reset, .close])
    func anEndTravelsBehindItsBytes(way: PeerScript.Step) {
        var plan = BandwidthScenarioTests.plan("end", session: BandwidthScenarioTests.limit(1024, 0))
        plan.isCalm = false
        plan.arrivals = []
        plan.arrive(1, PeerScript.bulk([.send(15_000), .pause(100), way]))
        plan.backendScript = { _, _ in PeerScript.bulk([.awaitEnd]) }
        expectClean(plan, seeds: 1...10)
    }

    // MARK: Changes

    /// A limit that is set, lifted or changed is for sessions that are there as well, and at once.
    @Test func aChangeIsForSessionsThatAreThere() {
        var plan = BandwidthScenarioTests.plan("changed", session: BandwidthScenarioTests.limit(2000, 2000))
        plan.changes = [BandwidthScenarioTests.change(at: 5000) { $0.bandwidth = .blank }]
        expectClean(plan, seeds: 1...5) { simulation in
            let time = took(simulation, 0, .downstream)
            #expect(time >= 3900 && time <= 5500, "it took \(time) ms")
        }
        plan = BandwidthScenarioTests.plan("set")
        plan.arrivals = []
        plan.arrive(1, PeerScript.bulk([.send(10), .pause(1000), .send(16_000), .finish]))
        plan.backendScript = { _, _ in PeerScript.bulk([.awaitEnd, .send(10)]) }
        plan.changes = [BandwidthScenarioTests.change(at: 500) { $0.bandwidth = BandwidthScenarioTests.limit(2000, 0) }]
        expectClean(plan, seeds: 1...5) { simulation in
            let time = took(simulation, 0, .downstream)
            #expect(time >= 6500 && time <= 10_500, "it took \(time) ms")
        }
    }

    /// Who waits for a turn that is far away does not wait on when the rate is raised.
    @Test func aRaisedRateLetsThoseGoWhoAreHeldBack() {
        var plan = BandwidthScenarioTests.plan("raised", service: BandwidthScenarioTests.limit(1024, 0), clients: 10)
        plan.backendScript = { _, _ in PeerScript.bulk([.awaitEnd, .send(10)]) }
        plan.changes = [
            BandwidthScenarioTests.change(at: 3000) { $0.serviceBandwidth = BandwidthScenarioTests.limit(1_000_000, 0) }
        ]
        expectClean(plan, seeds: 1...5) { simulation in
            #expect((0..<10).allSatisfy { took(simulation, $0, .downstream) < 6000 })
        }
    }

    /// A flow that is spliced when a limit is set is copied from then on, and paced.
    @Test func aSplicedFlowIsCopiedWhenItIsLimited() {
        var plan = BandwidthScenarioTests.plan("spliced")
        plan.splicePolicies = [
            SplicePolicy(
                isEnabled: true, windowBytes: 1000, bytesPerSendToSplice: 1, windowSteps: .max, bytesPerStepToCopy: 0,
                bytesToStepAgain: 64)
        ]
        plan.arrivals = []
        let pieces = (0..<100).flatMap { _ in [PeerScript.Step.send(400), .pause(20)] }
        plan.arrive(1, PeerScript.bulk(pieces + [.finish]))
        plan.backendScript = { _, _ in PeerScript.bulk([.awaitEnd, .send(10)]) }
        plan.changes = [BandwidthScenarioTests.change(at: 500) { $0.bandwidth = BandwidthScenarioTests.limit(2000, 0) }]
        expectClean(plan, seeds: 1...5) { simulation in
            let time = took(simulation, 0, .downstream)
            #expect(time >= 10_000 && time <= 22_000, "it took \(time) ms")
        }
    }
}

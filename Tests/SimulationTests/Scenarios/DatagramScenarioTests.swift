// Owns the scenarios of UDP over the real worker: whose datagrams go where, what ends sessions, what a change leaves alone,
// and that nothing is left at the end, whatever the order of events.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct DatagramScenarioTests {
    /// Nothing fails and nobody is idle for long: a session for each client, and every datagram arrives.
    @Test func aClientKeepsItsSession() {
        var plan = DatagramSimulation.Plan.patient("a calm day")
        plan.rings = 2
        plan.answers = 1...1
        expectClean(plan) { simulation in
            #expect(simulation.connections == UInt64(simulation.clients.count { $0.sent > 0 }))
            #expect(simulation.clients.allSatisfy { $0.sockets.count <= 1 && $0.answersTaken == $0.sent })
            #expect(simulation.deliveredToBackends == plan.datagrams && simulation.dropped == 0)
        }
    }

    @Test func fewBuffersAndBrokenReceivesLoseNothing() {
        var plan = DatagramSimulation.Plan.patient("few buffers")
        plan.kernel.buffers = 2
        plan.kernel.brokenReceives = 50
        plan.answers = 1...3
        var starvations = 0
        expectClean(plan) { simulation in
            #expect(simulation.deliveredToBackends == plan.datagrams && simulation.dropped == 0)
            starvations += simulation.datagrams.starvationsMet
        }
        #expect(starvations > 0, "the seeds met it")
    }

    @Test func fullSocketsDropAndCount() {
        var plan = DatagramSimulation.Plan.patient("full sockets")
        plan.kernel.fullSends = 30
        expectClean(plan) { simulation in
            #expect(simulation.dropped == UInt64(simulation.datagrams.sendsFailed))
            #expect(simulation.refused == 0 && simulation.errors == 0)
        }
    }

    @Test func whatThisMachineLacksIsNoBackendsFault() {
        var plan = DatagramSimulation.Plan.patient("no sockets")
        plan.kernel.shortages = 40
        plan.service.udpIdleTimeoutMilliseconds = 20
        plan.pauseMax = 40
        expectClean(plan) { simulation in
            #expect(simulation.errors == UInt64(simulation.datagrams.shortagesMet))
            for record in simulation.backends.values {
                #expect(
                    record.pointee.failures.count == 0
                        && record.pointee.counters.sum { $0.errors.load(ordering: .relaxed) } == 0)
            }
        }
    }

    /// A limit is never passed, however many rings there are; who has been idle for longest makes room.
    @Test func theLimitHolds() {
        var plan = DatagramSimulation.Plan.patient("a limit")
        plan.rings = 3
        plan.clients = 20
        plan.service.udpSessionsMax = 6
        var evictions: UInt64 = 0
        expectClean(plan) { simulation in
            #expect(simulation.occupiedMax <= 6)
            evictions += simulation.evicted
        }
        #expect(evictions > 100)
    }

    @Test func aRingThatIsFullMakesRoom() {
        var plan = DatagramSimulation.Plan.patient("a full ring")
        plan.clients = 20
        plan.sessionsPerRing = 4
        expectClean(plan) { simulation in
            #expect(simulation.occupiedMax <= 4 && simulation.evicted > 0)
            #expect(simulation.deliveredToBackends == plan.datagrams)
        }
    }

    /// It ends nobody by itself; two go for each that comes, so that it is reached.
    @Test func aLoweredLimitIsReached() {
        var plan = DatagramSimulation.Plan.patient("a lower limit")
        plan.datagrams = 400
        // Each is a session of its own.
        plan.service.udpRequests = 1
        plan.service.udpSessionsMax = 40
        var occupied: [Int] = []
        plan.changes = [
            (200, { simulation in simulation.publish { $0.udpSessionsMax = 3 } }),
            (200, { occupied.append($0.record.pointee.occupied.load(ordering: .relaxed)) }),
            (390, { occupied.append($0.record.pointee.occupied.load(ordering: .relaxed)) }),
        ]
        expectClean(plan) { _ in
            #expect(occupied[0] > 20 && occupied[1] <= 3)
            occupied.removeAll()
        }
    }

    @Test func idleSessionsEnd() {
        var plan = DatagramSimulation.Plan.patient("idle sessions")
        plan.service.udpIdleTimeoutMilliseconds = 10
        plan.pauseMax = 30
        expectClean(plan) { simulation in
            #expect(simulation.connections > 5)
            #expect(
                simulation.record.pointee.counters.sum { $0.idleEnds.load(ordering: .relaxed) }
                    == simulation.connections)
        }
    }

    @Test func sessionsEndWithTheirAnswers() {
        var plan = DatagramSimulation.Plan.patient("expected answers")
        plan.service.udpResponses = 1
        plan.answers = 1...1
        expectClean(plan) { simulation in
            #expect(simulation.clients.allSatisfy { $0.answersTaken == $0.sent }, "nobody's answer is cut off")
            #expect(simulation.record.pointee.counters.sum { $0.idleEnds.load(ordering: .relaxed) } == 0)
        }
    }

    @Test func aSessionTakesSoManyDatagrams() {
        var plan = DatagramSimulation.Plan.patient("counted datagrams")
        plan.service.udpRequests = 3
        plan.answers = 1...1
        expectClean(plan) { simulation in
            #expect(simulation.connections == UInt64(simulation.clients.reduce(0) { $0 + ($1.sent + 2) / 3 }))
            #expect(simulation.clients.allSatisfy { $0.answersTaken == $0.sent }, "late answers are passed on")
        }
    }

    @Test func sessionsLiveForSoLong() {
        var plan = DatagramSimulation.Plan.patient("a lifetime")
        plan.service.maxLifetimeMilliseconds = 50
        plan.pauseMax = 20
        expectClean(plan) { simulation in
            #expect(
                simulation.record.pointee.counters.sum { $0.lifetimeEnds.load(ordering: .relaxed) }
                    == simulation.connections)
        }
    }

    @Test func aRefusalEndsTheSessionAndNothingElse() {
        var plan = DatagramSimulation.Plan.patient("refusals")
        plan.rings = 2
        plan.refusals = 20
        expectClean(plan) { simulation in
            #expect(simulation.refused > 0 && simulation.errors == simulation.refused)
            let failures = simulation.backends.values.reduce(0) { $0 + $1.pointee.failures.count }
            #expect(failures == simulation.refused)
            #expect(
                simulation.deliveredToBackends == plan.datagrams, "one that was not sent goes into the next session")
        }
    }

    /// A removed backend's sessions move with their next datagram, those of others stay where they are.
    @Test func sessionsOfARemovedBackendMove() {
        var plan = DatagramSimulation.Plan.patient("a backend less")
        plan.rings = 2
        plan.datagrams = 400
        plan.ports = [8001, 8002, 8003]
        var kept: Set<Int32> = []
        plan.changes = [
            (
                200,
                { simulation in
                    kept = Set(simulation.datagrams.sockets.values.filter { $0.backendPort > 8001 }.map(\.descriptor))
                    simulation.publish(ports: [8002, 8003])
                }
            )
        ]
        expectClean(plan) { simulation in
            for client in simulation.clients where client.sockets.count > 1 {
                #expect(client.sockets.count == 2 && !kept.contains(client.sockets[0]))
            }
            #expect(simulation.dropped == 0)
        }
    }

    @Test func changesThatLeaveTheBackendLeaveTheSession() {
        var plan = DatagramSimulation.Plan.patient("many changes")
        plan.rings = 2
        plan.datagrams = 500
        let changes: [(inout ServiceConfiguration) -> Void] = [
            { $0.balance = .leastConnections }, { $0.backends[0].weight = 0 }, { $0.backends[1].state = .drain },
            { $0.udpIdleTimeoutMilliseconds = 50_000 }, { $0.isInMaintenance = false }, { $0.udpSessionsMax = 99 },
            { $0.backends.swapAt(0, 0) },
        ]
        plan.changes = changes.enumerated().map { number, change in
            (50 + number * 50, { simulation in simulation.publish(change) })
        }
        expectClean(plan) { simulation in
            #expect(simulation.clients.allSatisfy { $0.sockets.count <= 1 })
            #expect(simulation.dropped == 0)
        }
    }

    @Test func sessionsLeaveABackendThatIsDown() {
        var plan = DatagramSimulation.Plan.patient("a backend that is down")
        plan.datagrams = 300
        var before = 0
        plan.changes = [
            (100, { $0.setHealth(8001, isUp: false) }),
            (150, { before = $0.byPort[8001] ?? 0 }),
            (299, { #expect($0.byPort[8001] ?? 0 <= before + 30) }),
        ]
        expectClean(plan) { simulation in
            #expect(simulation.dropped == 0)
            #expect(simulation.byPort[8002, default: 0] > 150)
        }
    }

    @Test func aDrainEndsSessionsInTime() {
        var plan = DatagramSimulation.Plan.patient("a drain")
        plan.datagrams = 300
        plan.pauseMax = 20
        plan.service.drainTimeoutMilliseconds = 100
        plan.changes = [(100, { simulation in simulation.publish { $0.backends[0].state = .drain } })]
        expectClean(plan) { simulation in
            #expect(simulation.backends[8001]!.pointee.active.load(ordering: .relaxed) == 0)
            let drained = simulation.record.pointee.counters.sum { $0.drainEnds.load(ordering: .relaxed) }
            #expect(drained > 0 || simulation.connections <= 5)
        }
    }

    @Test func noBackendCostsTheDatagramAndNoMore() {
        var plan = DatagramSimulation.Plan.patient("no backends")
        plan.ports = []
        plan.changes = [(100, { $0.publish(ports: [8001]) })]
        expectClean(plan) { simulation in
            #expect(simulation.errors == simulation.dropped)
            #expect(simulation.deliveredToBackends + Int(simulation.dropped) == plan.datagrams)
        }
    }

    /// All of it together.
    @Test func whateverHappens() {
        var plan = DatagramSimulation.Plan.patient("everything")
        plan.rings = 3
        plan.clients = 30
        plan.datagrams = 500
        plan.ports = [8001, 8002, 8003, 8004]
        plan.kernel = .init(buffers: 4, brokenReceives: 30, fullSends: 10, shortages: 10)
        plan.refusals = 5
        plan.pauseMax = 30
        plan.service.udpIdleTimeoutMilliseconds = 100
        plan.service.udpSessionsMax = 12
        plan.service.udpRequests = 4
        plan.service.udpResponses = 2
        plan.service.maxLifetimeMilliseconds = 400
        plan.service.drainTimeoutMilliseconds = 50
        plan.changes = [
            (50, { $0.publish(ports: [8002, 8003, 8004]) }), (100, { $0.setHealth(8003, isUp: false) }),
            (150, { simulation in simulation.publish({ $0.backends[0].state = .drain }, ports: [8002, 8001]) }),
            (200, { simulation in simulation.publish { $0.backends[0].connectionsMax = 2 } }),
            (250, { simulation in simulation.publish { $0.isInMaintenance = true } }),
            (300, { simulation in simulation.publish({ $0.isInMaintenance = false }, ports: [8003, 8001]) }),
            (350, { $0.setHealth(8003, isUp: true) }),
        ]
        expectClean(plan, seeds: 1...150)
    }

    /// No more passes than the rate and what may be ahead, on all rings together; what does not is dropped and counted.
    @Test(arguments: [true, false], [true, false])
    func bandwidthHolds(isUpload: Bool, isOfService: Bool) {
        var plan = DatagramSimulation.Plan.patient("bandwidth")
        plan.rings = 2
        plan.datagrams = 1500
        plan.answers = 1...1
        var limit = BandwidthConfiguration()
        if isUpload { limit.uploadBytesPerSecond = 1500 } else { limit.downloadBytesPerSecond = 1500 }
        if isOfService { plan.service.serviceBandwidth = limit } else { plan.service.bandwidth = limit }
        // The backend that goes takes its sessions along, which begin anew.
        expectClean(plan, seeds: 1...20) { simulation in
            let seconds = Double(simulation.network.now) / 1000
            let flows = isOfService ? 1 : Double(plan.clients)
            let most = flows * (seconds * 1500 + 16_384 + 203)
            let passed = isUpload ? simulation.bytesToBackends : simulation.bytesToClients
            #expect(Double(passed) <= most, "\(passed) bytes in \(seconds) s")
            #expect(simulation.dropped == simulation.limited)
            if isOfService { #expect(passed > 16_384 && simulation.limited > 100) }
        }
    }

    /// A new limit is for sessions that are there, and so is none.
    @Test func bandwidthChangesForThoseWhoAreThere() {
        var plan = DatagramSimulation.Plan.patient("bandwidth changes")
        plan.datagrams = 900
        plan.service.serviceBandwidth.uploadBytesPerSecond = 1024
        var limited: [UInt64] = []
        plan.changes = [
            (500, { simulation in simulation.publish { $0.serviceBandwidth = .blank } }),
            (520, { limited.append($0.limited) }),
            (700, { limited.append($0.limited) }),
        ]
        expectClean(plan, seeds: 1...20) { simulation in
            #expect(limited[0] > 0 && limited[1] == limited[0], "\(limited)")
            #expect(simulation.connections <= UInt64(plan.clients))
            limited.removeAll()
        }
    }

    /// The rate is that of new sessions; those that are there go on.
    @Test func aRateIsForNewSessions() {
        var plan = DatagramSimulation.Plan.patient("a rate")
        plan.rings = 2
        plan.clients = 30
        var rate = RateLimitConfiguration()
        (rate.perSecond, rate.burst) = (2, 5)
        plan.service.rateLimit = rate
        expectClean(plan, seeds: 1...20) { simulation in
            let seconds = Double(simulation.network.now) / 1000
            #expect(Double(simulation.connections) <= 5 + 2 * seconds)
            #expect(simulation.dropped == UInt64(simulation.record.pointee.refusedByRate.load(ordering: .relaxed)))
            #expect(simulation.dropped > 0 && simulation.deliveredToBackends > 0)
        }
    }

    /// Every datagram is told whose it is, from the moment the service says so and until it does not.
    @Test func headersGoBeforeEachDatagram() {
        var plan = DatagramSimulation.Plan.patient("headers")
        plan.rings = 2
        plan.datagrams = 600
        plan.service.proxyProtocolSend = .v2
        plan.changes = [
            (200, { simulation in simulation.publish { $0.proxyProtocolSend = nil } }),
            (400, { simulation in simulation.publish { $0.proxyProtocolSend = .v2 } }),
        ]
        expectClean(plan) { simulation in
            #expect(simulation.deliveredToBackends == plan.datagrams && simulation.dropped == 0)
            #expect(simulation.headersSeen > 100 && simulation.headersSeen < plan.datagrams)
        }
    }

    /// Datagrams that come joined go on as what they were, in their order, also where a part of them finds no room.
    @Test(arguments: [0, 30])
    func batchesAreWhatTheirDatagramsWere(partSends: Int) {
        var plan = DatagramSimulation.Plan.patient("batches")
        plan.clients = 2
        plan.datagrams = 400
        plan.answers = 1...3
        plan.kernel.batches = 90
        plan.kernel.partSends = partSends
        plan.kernel.fullSends = partSends / 3
        var batches = 0
        expectClean(plan) { simulation in
            #expect(simulation.dropped == UInt64(simulation.datagrams.sendsFailed + simulation.datagrams.leftOver))
            #expect(simulation.connections == UInt64(simulation.clients.count { $0.sent > 0 }))
            batches += simulation.datagrams.batchesSent
        }
        #expect(batches > 500, "\(batches)")
    }

    /// Where something is asked of each datagram a batch is taken apart.
    @Test func batchesAreTakenApartWhereDatagramsCount() {
        for (name, change) in [
            ("udp_requests", { $0.udpRequests = 3 }),
            ("udp_responses", { $0.udpResponses = 2 }),
            ("headers", { $0.proxyProtocolSend = .v2 }),
            ("bandwidth", { $0.bandwidth.uploadBytesPerSecond = 100_000_000 }),
        ] as [(String, (inout ServiceConfiguration) -> Void)] {
            var plan = DatagramSimulation.Plan.patient("batches, \(name)")
            plan.clients = 2
            plan.datagrams = 300
            plan.answers = 1...1
            plan.kernel.batches = 90
            change(&plan.service)
            var batches = 0
            expectClean(plan, seeds: 1...20) { simulation in
                #expect(simulation.datagrams.batchesSent == 0)
                #expect(simulation.deliveredToBackends == plan.datagrams)
                batches += simulation.datagrams.batchesMet
            }
            #expect(batches > 50, "\(name): \(batches)")
        }
    }
}

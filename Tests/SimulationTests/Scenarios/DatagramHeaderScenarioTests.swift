// Owns the scenarios of clients behind proxies that put a header before each datagram: whose session a datagram belongs to,
// by whom it is judged, what is told on, and what becomes of those without a header.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct DatagramHeaderScenarioTests {
    /// Three senders with four clients each, one of whom they say nothing about.
    private func plan(_ name: String) -> DatagramSimulation.Plan {
        var plan = DatagramSimulation.Plan.patient(name)
        plan.rings = 2
        plan.clients = 12
        plan.clientsPerSender = 4
        plan.datagrams = 400
        plan.service.proxyProtocolAccept = true
        return plan
    }

    /// Clients behind one sender have a session each, and their answers go to it.
    @Test func eachConveyedClientHasASession() {
        var plan = plan("conveyed clients")
        plan.answers = 1...1
        expectClean(plan) { simulation in
            #expect(simulation.deliveredToBackends == plan.datagrams && simulation.dropped == 0)
            #expect(simulation.connections == UInt64(simulation.clients.count { $0.sent > 0 }))
            #expect(simulation.clients.allSatisfy { $0.sockets.count <= 1 })
            #expect(simulation.deliveredToClients == plan.datagrams)
            #expect(simulation.withoutHeader == 0 && simulation.headersSeen == 0)
        }
    }

    /// What the kernel joins is taken apart: each datagram has its own header.
    @Test func batchesOfDatagramsBehindHeaders() {
        var plan = plan("batches behind headers")
        plan.kernel.batches = 95
        plan.clients = 4
        plan.empty = 0
        plan.answers = 1...3
        var batches = 0
        expectClean(plan) { simulation in
            #expect(simulation.deliveredToBackends == plan.datagrams && simulation.dropped == 0)
            #expect(simulation.connections == UInt64(simulation.clients.count { $0.sent > 0 }))
            batches += simulation.datagrams.batchesMet
        }
        #expect(batches > 100, "\(batches)")
    }

    /// They are dropped and counted, each once, and cost nobody anything.
    @Test func withoutAHeaderADatagramIsDropped() {
        var plan = plan("bad headers")
        plan.badHeaders = 40
        plan.answers = 1...1
        expectClean(plan) { simulation in
            #expect(simulation.badSent > 50)
            #expect(simulation.withoutHeader == UInt64(simulation.badSent))
            #expect(simulation.dropped == UInt64(simulation.badSent))
            #expect(simulation.deliveredToBackends == plan.datagrams - simulation.badSent)
            #expect(simulation.errors == 0)
        }
    }

    /// The conveyed addresses are told on, both of them; of LOCAL the ends of the datagram's own way.
    @Test func whatWasConveyedIsToldOn() {
        var plan = plan("conveyed and told on")
        plan.service.proxyProtocolSend = .v2
        plan.changes = [
            (150, { simulation in simulation.publish { $0.proxyProtocolSend = nil } }),
            (250, { simulation in simulation.publish { $0.proxyProtocolSend = .v2 } }),
        ]
        expectClean(plan) { simulation in
            #expect(simulation.deliveredToBackends == plan.datagrams && simulation.dropped == 0)
            #expect(simulation.headersSeen > 100 && simulation.headersSeen < plan.datagrams)
        }
    }

    /// Of each sender one client has an address that may not come in.
    @Test func listsJudgeTheConveyedAddress() {
        var plan = plan("lists and conveyed clients")
        plan.clientsPerSender = 3
        // The second of a sender's clients is 198.51.100.0, the third 198.51.100.1.
        plan.service.deny = ["198.51.100.1"]
        expectClean(plan) { simulation in
            let denied = simulation.clients.enumerated().filter { $0.offset % 3 == 2 }.reduce(0) {
                $0 + $1.element.sent
            }
            #expect(denied > 50 && simulation.denied == UInt64(denied) && simulation.dropped == UInt64(denied))
            #expect(simulation.deliveredToBackends == plan.datagrams - denied)
        }
    }

    /// One host behind several senders is one client to the hash, and to a rate of each client.
    @Test func theHashAndRatesGoByTheConveyedAddress() {
        var plan = plan("hash and conveyed clients")
        plan.clientsPerSender = 3
        plan.service.balance = .hash
        plan.ports = [8001, 8002, 8003, 8004]
        plan.service.deny = ["10.0.0.0/8", "198.51.100.0"]
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.byPort.count == 1, "\(simulation.byPort)")
        }
        plan = self.plan("a rate and conveyed clients")
        plan.clients = 40
        plan.clientsPerSender = 2
        var rate = RateLimitConfiguration()
        (rate.perSecond, rate.burst, rate.scope) = (1, 3, .client)
        plan.service.rateLimit = rate
        plan.service.deny = ["10.0.0.0/8"]
        expectClean(plan, seeds: 1...10) { simulation in
            // All that may come in have one address.
            let seconds = Double(simulation.network.now - 1000) / 1000
            #expect(simulation.connections >= 3 && Double(simulation.connections) <= 3 + seconds + 1)
        }
    }

    /// Turned on and off while clients talk: from the answer on datagrams are read so, and nothing mixes.
    @Test func headersAreTakenFromAChangeOn() {
        var plan = plan("headers from now on")
        plan.rings = 1
        plan.service.proxyProtocolAccept = false
        plan.clientsPerSender = 1
        plan.clients = 5
        plan.answers = 1...1
        plan.changes = [
            (100, { simulation in simulation.publish { $0.proxyProtocolAccept = true } }),
            (300, { simulation in simulation.publish { $0.proxyProtocolAccept = false } }),
        ]
        plan.mayPassHeaders = true
        var passedOn = 0
        expectClean(plan) { simulation in
            // What was under way when a change came is of the other kind.
            passedOn += simulation.headersPassedOn
            #expect(simulation.dropped == simulation.withoutHeader)
            #expect(simulation.deliveredToBackends + Int(simulation.dropped) == plan.datagrams)
        }
        #expect(passedOn > 0)
    }

    /// All of it together.
    @Test func whateverHappens() {
        var plan = plan("everything behind headers")
        plan.rings = 3
        plan.clients = 30
        plan.datagrams = 500
        plan.badHeaders = 10
        plan.ports = [8001, 8002, 8003]
        plan.kernel = .init(buffers: 4, brokenReceives: 30, fullSends: 10, shortages: 10, descriptorsMax: 20)
        plan.refusals = 5
        plan.pauseMax = 30
        plan.service.proxyProtocolSend = .v2
        plan.service.udpIdleTimeoutMilliseconds = 100
        plan.service.udpSessionsMax = 15
        plan.service.udpRequests = 4
        plan.service.udpResponses = 2
        plan.service.maxLifetimeMilliseconds = 400
        plan.changes = [
            (50, { $0.publish(ports: [8002, 8003]) }), (100, { $0.setHealth(8003, isUp: false) }),
            (200, { simulation in simulation.publish { $0.backends[0].connectionsMax = 2 } }),
            (350, { $0.setHealth(8003, isUp: true) }),
        ]
        expectClean(plan, seeds: 1...100)
    }
}

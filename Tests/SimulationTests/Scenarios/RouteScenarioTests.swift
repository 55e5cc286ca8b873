// Owns the scenarios of clients that routes lead to other services.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct RouteScenarioTests {
    /// A ClientHello with this name and nothing else, in records of `length` bytes.
    private static func hello(_ name: String, length: Int = 16_384) -> [UInt8] {
        func sized(_ bytes: [UInt8], by count: Int) -> [UInt8] {
            (0..<count).reversed().map { UInt8(bytes.count >> (8 * $0) & 0xFF) } + bytes
        }
        let names = sized([0] + sized(Array(name.utf8), by: 2), by: 2)
        let extensions = sized([0, 0] + sized(names, by: 2), by: 2)
        let body: [UInt8] = [3, 3] + Array(repeating: 5, count: 32) + [0] + [0, 2, 0x13, 1] + [1, 0] + extensions
        let message = [1] + sized(body, by: 3)
        return stride(from: 0, to: message.count, by: length).flatMap { start in
            [0x16, 3, 1] + sized(Array(message[start..<min(start + length, message.count)]), by: 2)
        }
    }

    private static func route(_ name: String, _ service: String) -> RouteConfiguration {
        var route = RouteConfiguration()
        route.serverNames = [name]
        route.service = service
        return route
    }

    /// A gate with a backend of its own at 1001 and two pools with theirs at 1101 and 1201.
    private func plan(_ name: String) -> SimulationPlan {
        let ring = RingSettings(bufferCount: 600, bufferSize: 1024, providedMax: 64)
        var plan = SimulationPlan.oneService(name, ring: ring)
        plan.services[0].routes = [Self.route("b.example", "b"), Self.route("*.c.example", "c")]
        plan.services[0].prereadTimeout = 1000
        for (index, name) in ["b", "c"].enumerated() {
            var pool = ServicePlan(
                name: name, port: UInt16(60_001 + index), backends: [.init(name: "s", port: UInt16(1101 + 100 * index))]
            )
            pool.isPool = true
            plan.services.append(pool)
        }
        plan.backendScript = { _, _ in PeerScript(steps: [.send(30), .finish, .awaitEnd]) }
        return plan
    }

    private func counts(_ simulation: Simulation, _ service: String) -> (routed: UInt64, failed: UInt64, late: UInt64) {
        let counters = simulation.control.serviceRecords.first { $0.name == service }!.record
        return (
            counters.pointee.counters.sum { $0.routed.load(ordering: .relaxed) },
            counters.pointee.counters.sum { $0.prereadFailures.load(ordering: .relaxed) },
            counters.pointee.counters.sum { $0.prereadTimeouts.load(ordering: .relaxed) }
        )
    }

    private func client(_ name: String, length: Int = 16_384, _ steps: [PeerScript.Step]? = nil) -> PeerScript {
        let hello = Self.hello(name, length: length)
        let usual: [PeerScript.Step] = [
            .sendPreface(20), .pause(20), .sendPreface(hello.count - 20), .send(700), .finish,
        ]
        return PeerScript(preface: hello, isPrefaceForwarded: true, steps: steps ?? usual)
    }

    /// Every byte of what was read is passed on, whatever pieces it came in.
    @Test func aNameLeadsToItsPool() {
        for length in [16_384, 13, 1] {
            var plan = plan("routes, records of \(length)")
            plan.isCalm = true
            let size = Self.hello("b.example", length: length).count
            plan.arrive(10, every: 5, client("b.example", length: length))
            plan.arrive(10, every: 5, from: 500, client("x.c.example", length: length))
            plan.arrive(10, every: 5, from: 1000, client("c.example", length: length))
            plan.arrivals.sort { $0.at < $1.at }
            expectClean(plan, seeds: 1...10) { simulation in
                #expect(simulation.network.ledger.established == [1001: 10, 1101: 10, 1201: 10])
                #expect(counts(simulation, "a") == (20, 0, 0))
                #expect(simulation.counters(of: "a").connections == 30)
                #expect(simulation.counters(of: "a").sent == UInt64(10 * (size + 700)))
                #expect(simulation.counters(of: "b").connections == 10)
                #expect(simulation.counters(of: "b").sent == UInt64(10 * (size + 700)))
            }
        }
    }

    /// Pools change and go while clients are read, and hold places and queues of their own.
    @Test func poolsChangeMeanwhile() {
        var plan = plan("pools that change")
        plan.services[1].connectionsMax = 2
        plan.services[1].queueLimit = 50
        plan.arrive(40, every: 5, client("b.example"))
        plan.changes = [
            .init(at: 60) { control, _ in
                var plans = control.plans
                plans[1].connectionsMax = 1
                plans[1].backends[0].port = 1102
                _ = control.commit(plans)
            },
            .init(at: 120) { control, _ in
                var plans = control.plans
                plans[0].routes = [Self.route("b.example", "c")]
                plans.remove(at: 1)
                _ = control.commit(plans)
            },
            .init(at: 160) { control, _ in _ = control.commit([]) },
        ]
        expectClean(plan, seeds: 1...20) { _ in }
    }

    @Test func whatIsNoHelloIsClosed() {
        var plan = plan("hellos that are none")
        let hello = Self.hello("b.example")
        var wrong = client("b.example", [.sendPreface(hello.count), .awaitEnd])
        wrong.preface[43] = 1
        plan.arrive(10, every: 5, wrong)
        plan.arrive(10, every: 5, from: 500, client("b.example", [.sendPreface(30), .awaitEnd]))
        plan.arrive(10, every: 5, from: 1000, client("b.example", [.sendPreface(30), .reset]))
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(counts(simulation, "a").failed == 10 && counts(simulation, "a").late == 10)
            #expect(simulation.network.ledger.established.isEmpty)
        }
    }

    @Test func whoSaysNothingOrSomethingElseStays() {
        var plan = plan("no routes")
        plan.isCalm = true
        plan.arrive(10, every: 5, PeerScript(steps: [.awaitBytes(30), .send(100), .finish]))
        let other = PeerScript(
            preface: Array("GET / HTTP/1.1\r\n\r\n".utf8), isPrefaceForwarded: true,
            steps: [.sendPreface(18), .send(100), .finish])
        plan.arrive(10, every: 5, from: 500, other)
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.network.ledger.established == [1001: 20])
            #expect(counts(simulation, "a") == (0, 0, 0))
        }
    }

    /// Who has only sent its PROXY header holds no buffer, and is left its time to say something.
    @Test func aHeaderBeforeTheHelloIsWaitedFor() {
        var plan = plan("headers before hellos")
        plan.rings = [RingSettings(bufferCount: 64, bufferSize: 1024, providedMax: 16)]
        plan.services[0].proxyProtocolAccept = true
        plan.services[0].proxyProtocolSend = .v2
        plan.isCalm = true
        let header = Array("PROXY TCP4 192.0.2.1 203.0.113.7 56324 443\r\n".utf8)
        let conveyed = ConveyedAddresses(
            source: .ipv4(0xC000_0201, port: 56324), destination: .ipv4(0xCB00_7107, port: 443))
        plan.arrive(
            30, every: 40,
            PeerScript(
                preface: header, conveyed: conveyed,
                steps: [.sendPreface(20), .pause(10), .sendPreface(header.count - 20), .awaitBytes(30), .finish]))
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.network.ledger.established == [1001: 30])
            #expect(counts(simulation, "a") == (0, 0, 0))
            for client in simulation.clients.compactMap(\.self) {
                let first = client.session?.connectTimes.first ?? 0
                #expect(first - client.createdAt >= 1000, "it was given a backend before its time was over")
            }
        }
    }

    /// The pool's limits of bandwidth hold for whom it is led to, the listener's do not.
    @Test(arguments: [true, false])
    func thePoolsBandwidthHolds(isPoolLimited: Bool) {
        var plan = plan("the bandwidth of pools")
        plan.isCalm = true
        plan.stepsMax = 2_000_000
        let size = Self.hello("b.example").count
        plan.services[isPoolLimited ? 1 : 0].bandwidth.uploadBytesPerSecond = 4000
        plan.arrive(1, client("b.example", [.sendPreface(size), .send(30_000), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd, .send(10), .finish]) }
        expectClean(plan, seeds: 1...5) { simulation in
            let took = (simulation.clients[0]?.peer?.endSeenAt ?? 0) - (simulation.clients[0]?.createdAt ?? 0)
            #expect(isPoolLimited ? (5600...8500).contains(took) : took < 4000, "it took \(took) ms")
        }
    }
}

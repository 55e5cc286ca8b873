// Owns the scenarios of clients whose first bytes decide what becomes of them: a header of the PROXY protocol.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct PrereadScenarioTests {
    private static let header = Array("PROXY TCP4 192.0.2.1 203.0.113.7 56324 443\r\n".utf8)
    private static let conveyed = ConveyedAddresses(
        source: .ipv4(0xC000_0201, port: 56324), destination: .ipv4(0xCB00_7107, port: 443))

    private func plan(_ name: String) -> SimulationPlan {
        var plan = SimulationPlan.oneService(name, backends: 2)
        plan.services[0].proxyProtocolAccept = true
        // What is told is told on, and compared there.
        plan.services[0].proxyProtocolSend = .v2
        plan.backendScript = { _, _ in PeerScript(steps: [.send(30), .finish, .awaitEnd]) }
        return plan
    }

    private func script(_ steps: [PeerScript.Step], preface: [UInt8] = header) -> PeerScript {
        PeerScript(preface: preface, conveyed: Self.conveyed, steps: steps)
    }

    private func failures(_ simulation: Simulation) -> (failed: UInt64, late: UInt64) {
        let counters = simulation.control.serviceRecords[0].record
        return (
            counters.pointee.counters.sum { $0.prereadFailures.load(ordering: .relaxed) },
            counters.pointee.counters.sum { $0.prereadTimeouts.load(ordering: .relaxed) }
        )
    }

    /// In whatever pieces, beside the first bytes of the stream or long before them.
    @Test func aHeaderIsTakenOffAndToldOn() {
        let count = Self.header.count
        for (name, steps) in [
            ("at once", [.sendPreface(count), .send(700), .finish]),
            ("in two", [.sendPreface(7), .pause(50), .sendPreface(count - 7), .send(700), .finish]),
            ("and then waits", [.sendPreface(count), .awaitBytes(30), .send(700), .finish]),
            ("and nothing else", [.sendPreface(count), .finish]),
        ] as [(String, [PeerScript.Step])] {
            var plan = plan("a header \(name)")
            plan.isCalm = true
            plan.arrive(30, every: 5, script(steps))
            expectClean(plan, seeds: 1...10) { simulation in
                #expect(simulation.network.ledger.headersSent.values.reduce(0, +) == 30)
                #expect(simulation.counters(of: "a").sent == (name == "and nothing else" ? 0 : 30 * 700))
                #expect(failures(simulation) == (0, 0))
            }
        }
    }

    @Test func whoSendsNoneIsClosed() {
        var plan = plan("no header")
        plan.arrive(
            10, every: 5, script([.sendPreface(20), .awaitEnd], preface: Array("GET / HTTP/1.1\r\n\r\n..".utf8)))
        // Late, cut off, silent, and nobody at all.
        plan.arrive(10, every: 5, from: 1000, script([.sendPreface(20), .awaitEnd]))
        plan.arrive(10, every: 5, from: 2000, script([.sendPreface(20), .finish, .awaitEnd]))
        plan.arrive(10, every: 5, from: 3000, script([.awaitEnd]))
        plan.arrive(10, every: 5, from: 4000, script([.close]))
        plan.services[0].prereadTimeout = 300
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(failures(simulation) == (20, 20))
            #expect(simulation.network.ledger.established.isEmpty)
            for client in simulation.clients.compactMap(\.self) where client.peer?.sawEnd == true {
                #expect(client.peer!.endSeenAt! <= client.createdAt + 500)
            }
        }
    }

    @Test func resetsBeforeAndBehindIt() {
        var plan = plan("resets")
        let count = Self.header.count
        plan.arrive(20, every: 5, script([.sendPreface(20), .pause(10), .reset]))
        plan.arrive(20, every: 5, script([.sendPreface(count), .reset]))
        plan.arrive(20, every: 5, script([.sendPreface(count), .send(300), .reset]))
        plan.arrivals.sort { $0.at < $1.at }
        expectClean(plan, seeds: 1...20) { _ in }
    }

    /// Who waits holds one buffer however small its pieces are, and not all of them at a time.
    @Test func slowOnesHoldFewBuffers() {
        var plan = plan("slow headers")
        let buffers = 64
        plan.rings = [RingSettings(bufferCount: buffers, bufferSize: 256, providedMax: 16)]
        plan.services[0].prereadLimit = 256
        plan.services[0].prereadTimeout = 60_000
        let slow = (0..<12).flatMap { _ in [PeerScript.Step.sendPreface(1), .pause(100)] }
        plan.arrive(40, every: 1, script(slow + [.awaitEnd]))
        // Others come to their end all the same.
        plan.arrive(20, every: 50, from: 200, script([.sendPreface(Self.header.count), .send(2000), .finish]))
        expectClean(plan, seeds: 1...10) { simulation in
            let served = simulation.network.ledger.established.values.reduce(0, +)
            #expect(served == 20)
            #expect(failures(simulation) == (0, 40))
            let stayed = simulation.clients.compactMap(\.self).count { client in
                (client.peer?.endSeenAt).map { $0 - client.createdAt > 50_000 } ?? false
            }
            #expect((1...buffers / 8).contains(stayed), "\(stayed) of the slow ones stayed for their time")
        }
    }

    /// The conveyed address is the client's for limits and for the hash.
    @Test func theConveyedAddressCounts() {
        var plan = plan("a limit by address")
        plan.services[0].connectionsPerClientMax = 3
        plan.services[0].balance = .hash
        plan.arrive(20, every: 1, script([.sendPreface(Self.header.count), .pause(5000), .finish]))
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.network.ledger.established.count == 1, "one address, one backend")
            #expect(simulation.network.ledger.established.values.reduce(0, +) == 3)
        }
    }

    /// A header longer than what the limit of bandwidth lets in at once is read as it comes.
    @Test(arguments: [true, false])
    func bandwidthIsForWhoIsIn(isOfService: Bool) {
        let padding = 5000
        let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
        let addresses: [UInt8] = [192, 0, 2, 1, 203, 0, 113, 7, 0xDC, 0x04, 0x01, 0xBB]
        let length = addresses.count + 3 + padding
        let sizes: [UInt8] = [UInt8(length >> 8), UInt8(length & 0xFF)]
        let noop: [UInt8] = [4, UInt8(padding >> 8), UInt8(padding & 0xFF)] + Array(repeating: 0, count: padding)
        let header = signature + [0x21, 0x11] + sizes + addresses + noop
        var plan = plan("a long header, bandwidth")
        plan.rings = [RingSettings(bufferCount: 600, bufferSize: 8192, providedMax: 64)]
        var limit = BandwidthConfiguration()
        limit.uploadBytesPerSecond = 1024
        if isOfService {
            plan.services[0].serviceBandwidth = limit
        } else {
            plan.services[0].bandwidth = limit
        }
        plan.services[0].prereadLimit = 6000
        plan.services[0].prereadTimeout = 10_000
        let pieces = Array(repeating: [PeerScript.Step.sendPreface(100), .pause(2)], count: header.count / 100)
        let steps = pieces.flatMap { $0 } + [.sendPreface(header.count % 100), .send(100), .finish]
        plan.arrive(8, every: 1, script(steps, preface: header))
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(failures(simulation) == (0, 0))
            #expect(simulation.network.ledger.established.values.reduce(0, +) == 8)
        }
    }

    @Test func itsServiceMayHaveAQueue() {
        var plan = plan("a queue behind headers")
        plan.services[0].connectionsMax = 2
        plan.services[0].queueLimit = 100
        plan.isCalm = true
        plan.arrive(30, every: 3, script([.sendPreface(Self.header.count), .send(700), .pause(20), .finish]))
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(simulation.network.ledger.established.values.reduce(0, +) == 30)
        }
    }

    /// Backends may go, and the service, while headers are on their way.
    @Test func changesMeanwhile() {
        var plan = plan("changes while headers come")
        let count = Self.header.count
        plan.arrive(30, every: 5, script([.sendPreface(9), .pause(60), .sendPreface(count - 9), .send(100), .finish]))
        plan.changes = [
            .init(at: 60) { control, _ in
                var plans = control.plans
                plans[0].backends.removeFirst()
                _ = control.commit(plans)
            },
            .init(at: 110) { control, _ in _ = control.commit([]) },
        ]
        expectClean(plan, seeds: 1...20) { _ in }
    }

    @Test func aCutEndsThem() {
        var plan = plan("a cut while headers come")
        plan.arrive(30, every: 5, script([.sendPreface(9), .awaitEnd]))
        plan.services[0].prereadTimeout = 100_000
        plan.cutAfter = 50
        expectClean(plan, seeds: 1...10) { simulation in
            #expect(failures(simulation) == (0, 0))
        }
    }
}

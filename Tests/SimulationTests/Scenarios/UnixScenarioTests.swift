// Owns the scenarios of unix sockets on either side: nothing of TCP is asked of them, and full listen queues are waited for.

import Glibc
import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct UnixScenarioTests {
    /// `count` backends, the first of them on a unix socket.
    private func plan(_ name: String, backends: Int = 1, front: Bool = false) -> SimulationPlan {
        var plan = SimulationPlan.oneService(name, backends: backends)
        plan.services[0].isUnix = front
        plan.services[0].backends[0].isUnix = true
        plan.backendScript = { _, _ in PeerScript(steps: [.send(200), .awaitEnd]) }
        return plan
    }

    /// Sessions that live long enough to be asked and told everything: keepalive, user timeout, inactivity, the half-close.
    @Test(arguments: [(true, true), (true, false), (false, true), (false, false)])
    func everyMix(front: Bool, back: Bool) {
        var plan = plan("mix of unix sockets \(front), \(back)", front: front)
        plan.services[0].backends[0].isUnix = back
        plan.services[0].keepaliveIdle = 2000
        plan.services[0].userTimeout = 5000
        plan.services[0].clientTimeout = 20_000
        plan.services[0].serverTimeout = 20_000
        plan.services[0].halfCloseTimeout = 20_000
        plan.services[0].sources = back ? [] : ["127.0.1.1"]
        plan.splicePolicies = [.never, .standard]
        plan.arrive(6, every: 10, .bulk([.send(30_000), .pause(3000), .send(30_000), .finish]))
        plan.backendScript = { _, _ in .bulk([.send(50_000), .pause(2000), .awaitBytes(60_000), .send(5000), .finish]) }
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(simulation.counters(of: "a").errors == 0)
            for connection in simulation.network.connections where connection.isEstablished {
                #expect(connection.isUnix == (connection.isClient ? front : back))
                #expect((connection.userTimeout == 5000) == !connection.isUnix)
                #expect((connection.keepalive != nil) == !connection.isUnix)
            }
        }
    }

    /// Bytes that nobody reads and that wait in no queue of ours are no activity, be it that what the kernel says of them
    /// differs from what it said before them. How late it may be the simulation checks.
    @Test(arguments: [true, false])
    func anInactiveSideEndsInTime(isClient: Bool) {
        var plan = plan("inactive on a unix socket", front: isClient)
        plan.services[0].backends[0].isUnix = !isClient
        plan.services[0].clientTimeout = isClient ? 1000 : 0
        plan.services[0].serverTimeout = isClient ? 0 : 1000
        plan.network.kernelQueueBytes = 1000...2000
        var silent = PeerScript(steps: [.awaitEnd])
        silent.readPauses = [(0, 60_000)]
        let speaker = PeerScript(steps: [.pause(300), .send(300), .awaitEnd])
        plan.arrive(1, isClient ? silent : speaker)
        plan.backendScript = { _, _ in isClient ? speaker : silent }
        expectClean(plan, seeds: 1...5) { simulation in
            let record = simulation.control.serviceRecords[0].record
            #expect(record.pointee.counters.sum { $0.idleEnds.load(ordering: .relaxed) } == 1)
        }
    }

    /// A unix socket has no source address, whatever the others have.
    @Test func sourcesAreForTheOthers() {
        var plan = plan("sources and unix sockets", backends: 2)
        plan.services[0].sources = ["127.0.1.1"]
        plan.arrive(10, every: 5, PeerScript(steps: [.send(10), .finish]))
        plan.isCalm = true
        expectClean(plan, seeds: 1...5) { simulation in
            #expect(simulation.network.ledger.sourcesUsed.values.reduce(0, +) == 5)
        }
    }

    /// The first asks find the queue full; then there is room, and nobody has noticed.
    @Test func aFullListenQueueIsWaitedFor() {
        var plan = plan("full listen queue")
        plan.services[0].passive.failures = 1
        plan.arrive(1, PeerScript(steps: [.send(300), .awaitBytes(200), .finish]))
        plan.isCalm = true
        for asks in [1, 2, 5, 20] {
            final class Count { var value = 0 }
            let count = Count()
            plan.fateOfConnect = { _, _ in
                count.value += 1
                guard count.value > asks else { return (.silence, 0) }
                // The plan is run more than once.
                count.value = 0
                return (.accept, 0)
            }
            expectClean(plan, seeds: 1...1) { simulation in
                #expect(simulation.network.ledger.fullListenQueues[1001] == asks)
                #expect(simulation.counters(of: "a").errors == 0 && simulation.control.backend(at: 1001)?.errors == 0)
                #expect(simulation.control.backend(at: 1001)?.record.pointee.failures.last == nil)
            }
        }
    }

    /// It is given up when the time to connect is over, and another backend serves.
    @Test func aListenQueueThatStaysFullIsATimeout() {
        var plan = plan("listen queue that stays full", backends: 2)
        plan.services[0].connectTimeout = 400
        plan.arrive(1, PeerScript(steps: [.send(300), .awaitBytes(200), .finish]))
        plan.fateOfConnect = { _, port in (port == 1001 ? .silence : .accept, 0) }
        expectClean(plan) { simulation in
            guard let client = simulation.clients[0], let session = client.session else { return }
            let waited = (session.connectTimes.first ?? 0) - client.createdAt
            #expect((400...450).contains(waited), "the other backend was asked after \(waited) ms")
            #expect(session.upstream?.port == 1002)
            #expect(simulation.control.backend(at: 1001)?.errors == 1)
            #expect(simulation.control.backend(at: 1001)?.record.pointee.failures.last == .timedOut)
            // 1, 2, 3 … ms apart at first, a quarter of the time that was waited later.
            let asks = simulation.network.ledger.fullListenQueues[1001] ?? 0
            #expect((15...40).contains(asks), "\(asks) asks")
        }
    }

    @Test(arguments: [(ENOENT, TrafficFailure.missing), (EACCES, .denied), (EPERM, .denied), (ECONNREFUSED, .refused)])
    func whatIsWrongIsTold(code: Int32, failure: TrafficFailure) {
        var plan = plan("unix socket that fails", backends: 2)
        plan.arrive(4, every: 10, PeerScript(steps: [.send(300), .awaitBytes(200), .finish]))
        plan.fateOfConnect = { _, port in (port == 1001 ? .fail(code) : .accept, 0) }
        expectClean(plan, seeds: 1...5) { simulation in
            let record = simulation.control.backend(at: 1001)?.record
            #expect(record?.pointee.failures.last == failure)
            #expect(simulation.counters(of: "a").connections == 4)
            #expect(simulation.control.backend(at: 1002)?.counters[2] == 4)
        }
    }

    /// Whoever goes away, and whatever ends, while a session waits for a listen queue: nothing is left of it.
    @Test(arguments: [0, 1, 2])
    func endsWhileAListenQueueIsFull(kind: Int) {
        var plan = plan("ends at a full listen queue")
        plan.services[0].connectTimeout = 2000
        plan.fateOfConnect = { _, _ in (.silence, 0) }
        plan.arrive(3, PeerScript(steps: [.send(100), .pause(300), kind == 0 ? .reset : .awaitEnd]))
        if kind == 1 { plan.cutAfter = 300 }
        if kind == 2 { plan.changes = [.init(at: 300) { control, _ in _ = control.commit([]) }] }
        expectClean(plan) { simulation in
            #expect(simulation.network.connections.allSatisfy { $0.isClient })
        }
    }

    /// A backend is told that a client on a unix socket has no address, whatever side it is on itself; of a header that came
    /// before, it is told what that said. The simulated kernel compares.
    @Test(arguments: [ProxyProtocolVersion.v1, .v2], [false, true])
    func headersTellOfNoAddress(version: ProxyProtocolVersion, back: Bool) {
        let header = Array("PROXY TCP4 192.0.2.1 203.0.113.7 56324 443\r\n".utf8)
        let conveyed = ConveyedAddresses(
            source: .ipv4(0xC000_0201, port: 56324), destination: .ipv4(0xCB00_7107, port: 443))
        for accepts in [false, true] {
            var plan = plan("headers of unix clients, accepted: \(accepts)", front: true)
            plan.services[0].backends[0].isUnix = back
            plan.services[0].proxyProtocolSend = version
            plan.services[0].proxyProtocolAccept = accepts
            plan.isCalm = true
            let steps: [PeerScript.Step] = [.send(300), .awaitBytes(200), .finish]
            plan.arrive(
                10, every: 5,
                accepts
                    ? PeerScript(preface: header, conveyed: conveyed, steps: [.sendPreface(header.count)] + steps)
                    : PeerScript(steps: steps))
            expectClean(plan, seeds: 1...5) { simulation in
                #expect(simulation.network.ledger.headersSent == [1001: 10])
                #expect(simulation.network.connections.filter { !$0.isClient }.allSatisfy { $0.header == version })
            }
        }
    }
}

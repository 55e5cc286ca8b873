// Owns the rules of the simulated kernel, each as it was measured on Linux: the simulation is worth what they are. And
// the misuses it must object to, since a worker that commits one would go unnoticed otherwise.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct KernelRulesTests {
    /// One ring with one established client connection, accepted.
    private final class Stage {
        let network: SimulatedNetwork
        let ring: RingCore
        let client: SimulatedConnection
        static let receive = OperationTag(.receiveDownstream, slot: 0, generation: 1)
        static let send = OperationTag(.sendDownstream, slot: 0, generation: 1)

        init(seed: UInt64 = 1, ring settings: RingSettings = RingSettings(bufferCount: 8, bufferSize: 16)) {
            let log = EventLog(isVerbose: false)
            var rules = NetworkSettings()
            rules.kernelQueueBytes = 100...100
            rules.lateCancels = 0
            network = SimulatedNetwork(random: SeededRandom(seed: seed), log: log, settings: rules)
            ring = RingCore(index: 0, network: network, settings: settings)
            let listener = network.listen(on: 81)!
            client = network.arrive(at: 81, script: PeerScript())!
            listener.queue.removeAll()
            _ = network.give(client)
            ring.replenish()
        }

        func receive(limit: Int = 1000) {
            ring.prepareReceive(client.descriptor, byteLimit: limit, expectsDelay: true, Stage.receive)
        }

        /// Sends `count` bytes of the backend's stream, without a backend: the ledger's objection is not the point.
        func send(_ count: Int, waits: Bool = true) -> Operation {
            let operation = Operation(.sendDownstream, tag: Stage.send, ring: ring, descriptor: client.descriptor)
            operation.connection = client
            operation.total = count
            operation.waits = waits
            operation.pieces = [(UnsafeRawPointer(ring.pool.address(of: 0)), count)]
            client.sendOperation = operation
            ring.enqueue(operation)
            return operation
        }

        func settle() {
            ring.submitAndWait(nil)
            while network.pump(client) {}
        }

        /// Everything that was posted, as results and whether more will come.
        func results() -> [(result: Int32, hasMore: Bool)] {
            var results: [(Int32, Bool)] = []
            ring.submitAndWait(nil)
            while true {
                let count = ring.peekCompletions()
                guard count > 0 else { return results }
                for index in 0..<count {
                    let completion = ring.completion(at: index)
                    results.append((completion.result, completion.hasMore))
                    if let buffer = completion.buffer {
                        ring.takeFromCompletion(buffer, count: Int(completion.result))
                        _ = ring.pool.giveBackFilled(buffer, count: Int(completion.result))
                    }
                }
                ring.advance(count)
            }
        }

        var violation: ViolationKind? { network.log.violation?.kind }
    }

    // MARK: Receives

    @Test func multishotDeliversUntilItsLimit() {
        let stage = Stage()
        stage.client.peerSends(100)
        stage.receive(limit: 40)
        stage.settle()
        let results = stage.results()
        #expect(results.map(\.result) == [16, 16, 16], "over the limit by less than a buffer")
        #expect(results.map(\.hasMore) == [true, true, false])
        #expect(stage.client.receiveOperation == nil && stage.client.unread == 52)
    }

    @Test func oneShotDeliversOnce() {
        let stage = Stage(ring: RingSettings(bufferCount: 8, bufferSize: 16, hasReceiveLimit: false))
        stage.client.peerSends(100)
        stage.receive(limit: 40)
        stage.settle()
        let results = stage.results()
        #expect(results.map(\.result) == [16] && !results[0].hasMore)
    }

    @Test func noBufferEndsTheReceiveAndLosesNothing() {
        let stage = Stage(ring: RingSettings(bufferCount: 2, bufferSize: 16))
        stage.client.peerSends(100)
        stage.receive()
        stage.settle()
        #expect(stage.results().map(\.result) == [16, 16, -ENOBUFS])
        #expect(stage.client.unread == 68)
        stage.receive()
        stage.settle()
        #expect(stage.results().map(\.result) == [-ENOBUFS], "at once, as long as there is no buffer")
        stage.ring.replenish()
        stage.receive()
        stage.settle()
        #expect(stage.results().map(\.result) == [16, 16, -ENOBUFS])
    }

    /// Queued bytes, one error, then ends for ever.
    @Test func resetIsReportedOnceAfterTheBytes() {
        let stage = Stage()
        stage.client.peerSends(20)
        stage.client.peerResets()
        stage.receive()
        stage.settle()
        #expect(stage.results().map(\.result) == [16, 4, -ECONNRESET])
        stage.receive()
        stage.settle()
        #expect(stage.results().map(\.result) == [0])
        #expect(stage.client.isDead)
    }

    @Test func cancelledReceive() {
        let stage = Stage()
        stage.receive()
        stage.settle()
        stage.ring.prepareCancel(Stage.receive)
        stage.settle()
        #expect(stage.results().map(\.result) == [-ECANCELED])
        stage.ring.prepareCancel(Stage.receive)
        stage.settle()
        #expect(stage.results().map(\.result) == [-ENOENT], "of the cancel itself")
    }

    // MARK: Sends

    @Test func sendWaitsForAll() {
        let stage = Stage()
        stage.client.peer = nil
        _ = stage.send(80)
        stage.settle()
        #expect(stage.results().map(\.result) == [80])
    }

    /// One that does not wait completes while it is submitted, with what there is room for.
    @Test func sendsThatDoNotWait() {
        let stage = Stage()
        stage.client.peer = nil
        _ = stage.send(180, waits: false)
        #expect(stage.results().map(\.result) == [100], "the kernel's queue holds so many")
        _ = stage.send(80, waits: false)
        #expect(stage.results().map(\.result) == [-EAGAIN])
    }

    /// A send takes the reset away from the receives.
    @Test func sendEatsTheReset() {
        let stage = Stage()
        stage.client.peerResets()
        _ = stage.send(10)
        stage.settle()
        stage.receive()
        stage.settle()
        #expect(stage.results().map(\.result).sorted() == [-ECONNRESET, 0])
        _ = stage.send(10)
        stage.settle()
        #expect(stage.results().map(\.result) == [-EPIPE])
    }

    /// A send that was half done says so, and the error is gone.
    @Test func shortSendHidesTheReset() {
        let stage = Stage()
        let operation = stage.send(300)
        stage.ring.submitAndWait(nil)
        while operation.done < 200 { _ = stage.network.pump(stage.client) }
        let done = operation.done
        stage.client.peerResets()
        stage.settle()
        #expect(stage.results().map(\.result) == [Int32(done)])
        stage.receive()
        stage.settle()
        #expect(stage.results().map(\.result) == [0])
    }

    /// After the peer's end a reset is EPIPE to sends, and receives go on to report the end.
    @Test func resetAfterTheEnd() {
        let stage = Stage()
        stage.client.peerFinishes()
        stage.client.peerResets()
        stage.receive()
        stage.settle()
        #expect(stage.results().map(\.result) == [0])
        _ = stage.send(10)
        stage.settle()
        #expect(stage.results().map(\.result) == [-EPIPE])
    }

    @Test func unacknowledgedBytesStayAfterAReset() {
        let stage = Stage()
        _ = stage.send(50)
        stage.ring.submitAndWait(nil)
        stage.client.peerResets()
        #expect(stage.client.unacknowledged == 50)
    }

    // MARK: Closing

    @Test func closingWithUnreadBytesResets() {
        for unread in [0, 5] {
            let stage = Stage()
            stage.client.peerSends(unread)
            stage.ring.close(stage.client.descriptor, reset: false)
            #expect(!stage.client.isProxyClosed, "not before the submission")
            stage.ring.submitAndWait(nil)
            #expect(stage.client.hasProxyReset == (unread > 0))
            #expect(stage.violation == nil)
        }
    }

    @Test func peersClosingWithUnreadBytesReset() {
        let stage = Stage()
        _ = stage.send(50)
        stage.settle()
        stage.client.peerCloses()
        #expect(stage.client.hasPeerReset)
    }

    @Test func descriptorsComeBackWithTheSubmission() {
        let stage = Stage()
        let descriptor = stage.client.descriptor
        stage.ring.close(descriptor, reset: false)
        stage.ring.submitAndWait(nil)
        guard case .success(let next) = stage.ring.openSocket(port: 1001) else {
            Issue.record("no descriptor")
            return
        }
        #expect(next == descriptor)
    }

    // MARK: Misuse

    @Test func closingUnderAnArmedOperationIsMisuse() {
        let stage = Stage()
        stage.receive()
        stage.settle()
        stage.ring.close(stage.client.descriptor, reset: false)
        #expect(stage.violation == .misuse)
    }

    @Test func closingUnderAPreparedOperationIsMisuse() {
        let stage = Stage()
        stage.receive()
        stage.ring.close(stage.client.descriptor, reset: true)
        #expect(stage.violation == .misuse)
    }

    @Test func closingTwiceIsMisuse() {
        let stage = Stage()
        let descriptor = stage.client.descriptor
        stage.ring.close(descriptor, reset: false)
        #expect(stage.violation == nil)
        stage.ring.close(descriptor, reset: false)
        #expect(stage.violation == .misuse)
    }

    @Test func twoReceivesOnOneSocketAreMisuse() {
        let stage = Stage()
        stage.receive()
        stage.receive()
        #expect(stage.violation == .misuse)
    }

    @Test func endingUnderAnArmedSendIsMisuse() {
        let stage = Stage()
        _ = stage.send(300)
        stage.ring.shutdownWrite(stage.client.descriptor)
        #expect(stage.violation == .misuse)
    }

    @Test func unknownDescriptorsAreMisuse() {
        for descriptor in [Int32(-1), 99] {
            let stage = Stage()
            stage.ring.close(descriptor, reset: false)
            #expect(stage.violation == .misuse)
        }
    }

    @Test func aListenerIsNotClosedUnderAnAccept() {
        let stage = Stage()
        let listener = stage.network.listeners[0]
        stage.ring.prepareAccept(listener.descriptor, OperationTag(.accept, slot: 0, generation: 1))
        stage.ring.submitAndWait(nil)
        stage.network.close(listener)
        #expect(stage.violation == .misuse)
    }

    @Test func givingABufferBackTwiceIsMisuse() {
        let stage = Stage()
        stage.client.peerSends(5)
        stage.receive()
        stage.settle()
        stage.ring.submitAndWait(nil)
        _ = stage.ring.peekCompletions()
        let buffer = stage.ring.completion(at: 0).buffer!
        stage.ring.takeFromCompletion(buffer, count: 5)
        #expect(stage.violation == nil)
        stage.ring.takeFromCompletion(buffer, count: 5)
        #expect(stage.violation == .misuse)
    }

    // MARK: Streams

    @Test func patternsTellStreamsAndPlacesApart() {
        withUnsafeTemporaryAllocation(byteCount: 300, alignment: 1) { memory in
            let base = memory.baseAddress!
            for offset in [0, 1, StreamPattern.period - 100, 5 * StreamPattern.period] {
                StreamPattern.fill(base, count: 300, stream: 7, offset: offset)
                #expect(StreamPattern.firstMismatch(base, count: 300, stream: 7, offset: offset) == nil)
                #expect(StreamPattern.firstMismatch(base, count: 300, stream: 8, offset: offset) != nil)
                #expect(StreamPattern.firstMismatch(base, count: 300, stream: 7, offset: offset + 1) != nil)
                memory[250] ^= 1
                #expect(StreamPattern.firstMismatch(base, count: 300, stream: 7, offset: offset) == 250)
            }
        }
    }
}

// Owns the ring that the worker is given in a simulation: it hands every call on to a class that the driver holds as
// well. Leaves to others: what the calls do (RingCore).

@testable import ShuttleEngine

extension SocketAddress {
    /// The port that a backend is known by, also one on a unix socket.
    var simulatedPort: UInt16 { isUnix ? UInt16(description.dropFirst("unix:@".count)) ?? 0 : port }
}

struct SimulatedRing: RingOperations, ~Copyable {
    let core: RingCore

    func nowNanoseconds() -> UInt64 {
        core.timeTold = core.network.now
        return core.network.now * 1_000_000
    }

    var bufferSize: Int { core.pool.bufferSize }
    var bufferCount: Int { core.pool.bufferCount }
    var freeBufferCount: Int { core.freeBufferCount }

    mutating func append(_ buffer: BufferID, count: Int, to queue: inout BufferQueue) {
        core.takeFromCompletion(buffer, count: count)
        _ = core.pool.append(buffer, count: count, to: &queue)
    }

    mutating func consume(_ count: Int, from queue: inout BufferQueue) { core.pool.consume(count, from: &queue) }
    mutating func discard(_ queue: inout BufferQueue) { core.pool.discard(&queue) }

    mutating func gather(_ queue: inout BufferQueue) { core.pool.gather(&queue) }
    func firstBytes(of queue: BufferQueue) -> UnsafeRawBufferPointer { core.pool.firstBytes(of: queue) }

    mutating func giveBack(_ buffer: BufferID, count: Int) {
        core.takeFromCompletion(buffer, count: count)
        _ = core.pool.giveBackFilled(buffer, count: count)
    }

    mutating func replenish() { core.replenish() }

    mutating func prepareAccept(on listener: Int32, tag: OperationTag) { core.prepareAccept(listener, tag) }

    mutating func prepareConnect(_ socket: Int32, to address: UnsafePointer<SocketAddress>, tag: OperationTag) {
        core.prepareConnect(socket, port: address.pointee.simulatedPort, tag)
    }

    mutating func prepareReceive(_ socket: Int32, byteLimit: Int, expectsDelay: Bool, tag: OperationTag) {
        core.prepareReceive(socket, byteLimit: byteLimit, expectsDelay: expectsDelay, tag)
    }

    mutating func prepareSend(_ socket: Int32, _ queue: BufferQueue, waits: Bool, tag: OperationTag) -> Int {
        core.prepareSend(socket, queue, waits: waits, tag)
    }

    static let completionBatch = Int.max
    var hasOverflowed: Bool { false }
    mutating func prepareCancel(_ target: OperationTag) { core.prepareCancel(target) }

    mutating func submitAndWait(deadlineMilliseconds: UInt64?, for batch: WaitBatch) {
        core.submitAndWait(deadlineMilliseconds, for: batch)
    }

    mutating func peekCompletions() -> Int { core.peekCompletions() }
    func completion(at index: Int) -> Completion { core.completion(at: index) }
    mutating func advance(_ count: Int) { core.advance(count) }
    mutating func rearmWake() { core.rearmWake() }
    mutating func deadlineCame() {}

    mutating func prepareReadiness(_ readiness: Readiness, of socket: Int32, tag: OperationTag) {
        core.prepareReadiness(readiness, socket, tag)
    }

    func readableBytes(_ socket: Int32) -> Int { core.readableBytes(socket) }
    mutating func takePipe() -> PipeID? { core.takePipe() }
    mutating func giveBackPipe(_ pipe: PipeID, isEmpty: Bool) { core.giveBackPipe(pipe, isEmpty: isEmpty) }

    mutating func spliceIn(from socket: Int32, to pipe: PipeID) -> CallResult {
        if core.network.mutant == .spliceTwice {
            core.network.mutant = nil
            _ = core.spliceIn(socket, pipe)
        }
        return core.spliceIn(socket, pipe)
    }

    mutating func spliceOut(from pipe: PipeID, to socket: Int32, count: Int) -> CallResult {
        core.spliceOut(pipe, socket, count: count)
    }

    mutating func openSocket(
        for address: UnsafePointer<SocketAddress>,
        from source: UnsafePointer<SocketAddress>?,
        withData: Bool
    ) -> CallResult {
        core.openSocket(port: address.pointee.simulatedPort, source: source?.pointee, isUnix: address.pointee.isUnix)
    }

    /// Wakers name rings by their indices.
    mutating func wake(_ waker: RingWaker) -> Bool { core.network.wakeRing(Int(waker.ring)) }
    func peerAddress(of socket: Int32) -> SocketAddress? { core.peerAddress(socket) }
    func acceptedAddress(_ socket: Int32, by tag: OperationTag) -> RawAddress {
        core.network.connection(at: socket).flatMap(\.address).map { RawAddress($0) } ?? RawAddress()
    }
    func localAddress(of socket: Int32) -> SocketAddress? { core.localAddress(socket) }
    mutating func sendNow(_ socket: Int32, _ bytes: UnsafeRawBufferPointer, moreFollow: Bool) -> CallResult {
        core.sendNow(socket, bytes, moreFollow: moreFollow)
    }
    mutating func keepAlive(_ socket: Int32, _ keepalive: Keepalive) { core.keepAlive(socket, keepalive) }
    mutating func setUserTimeout(_ socket: Int32, milliseconds: UInt32) {
        core.network.tcpConnection(at: socket, "a user timeout")?.userTimeout = Int(milliseconds)
    }
    mutating func acceptNow(on listener: Int32) -> CallResult { core.acceptNow(listener) }
    mutating func shutdownWrite(_ socket: Int32) { core.shutdownWrite(socket) }
    mutating func close(_ socket: Int32, reset: Bool) { core.close(socket, reset: reset) }
    mutating func closeNow(_ socket: Int32, reset: Bool) { core.close(socket, reset: reset, atOnce: true) }

    func unacknowledgedBytes(_ socket: Int32) -> Int {
        guard let connection = core.network.connection(at: socket) else { return 0 }
        return connection.unacknowledged
    }

    func acknowledgedBytes(_ socket: Int32) -> UInt64 {
        UInt64(core.network.tcpConnection(at: socket, "acknowledgements")?.acknowledged ?? 0)
    }

    func millisecondsSinceSent(_ socket: Int32) -> UInt64 {
        core.network.now - (core.network.tcpConnection(at: socket, "acknowledgements")?.lastAcknowledgement ?? 0)
    }

    func tcpInformation(_ socket: Int32) -> TCPInformation? {
        core.network.tcpConnection(at: socket, "how it has fared").map { connection in
            TCPInformation(
                roundTripMicroseconds: UInt32(socket), retransmits: UInt32(clamping: connection.acknowledged))
        }
    }

    func hasEnded(_ socket: Int32) -> Bool { core.network.connection(at: socket)?.hasEnded ?? true }
    func isDead(_ socket: Int32) -> Bool { core.network.tcpConnection(at: socket, "the state")?.isDead ?? true }

    mutating func shutdown() { core.shutdown() }
}

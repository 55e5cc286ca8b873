// Owns the ring of the benchmark: as little as a ring can be, and what it does with buffers is what LinuxRing does.
// Leaves to others: what becomes of operations (BenchmarkKernel). Its few instructions are counted as the worker's, those
// behind `enterKernel…` are not.

import Glibc

/// What the worker asked for, as a ring would write it down.
struct Submission {
    enum Operation {
        case accept
        case connect
        /// `count` is the byte limit.
        case receive
        /// `count` is the bytes to send.
        case send
        case readable
        case writable
        case close
        /// `tag` is the target's.
        case cancel
    }

    var operation: Operation
    var socket: Int32
    var count: Int
    var tag: OperationTag
}

struct BenchmarkRing: ~Copyable {
    static let bufferCount = 8192
    static let bufferSize = 16384
    static let providedCapacity = 256
    private static let piecesMax = 32
    private static let pipesMax = 64

    private var pool: BufferPool
    private let kernel: UnsafeMutablePointer<BenchmarkKernel>
    private let queues: KernelQueues
    private var submissionCount = 0
    private var completionCount = 0
    private var providedCount = 0
    private let vectors: UnsafeMutablePointer<iovec>
    private let freePipes: UnsafeMutablePointer<PipeID>
    private var freePipeCount = BenchmarkRing.pipesMax

    init(kernel: UnsafeMutablePointer<BenchmarkKernel>) {
        guard let pool = BufferPool(bufferCount: BenchmarkRing.bufferCount, bufferSize: BenchmarkRing.bufferSize) else {
            fatalError("no address space for the buffers")
        }
        self.pool = pool
        self.kernel = kernel
        queues = kernel.pointee.queues
        vectors = .allocate(capacity: BenchmarkRing.piecesMax)
        freePipes = .allocate(capacity: BenchmarkRing.pipesMax)
        for index in 0..<BenchmarkRing.pipesMax {
            (freePipes + index).initialize(to: PipeID(rawValue: UInt16(index)))
        }
    }

    @inline(__always)
    private mutating func submit(_ operation: Submission.Operation, _ socket: Int32, _ count: Int, _ tag: OperationTag)
    {
        precondition(submissionCount < KernelQueues.submissionsMax)
        (queues.submissions + submissionCount).initialize(
            to: Submission(operation: operation, socket: socket, count: count, tag: tag)
        )
        submissionCount &+= 1
    }
}

extension BenchmarkRing: RingOperations {
    @inline(__always)
    func nowNanoseconds() -> UInt64 { queues.clock.pointee }

    // MARK: Buffers, as in LinuxRing

    @inline(__always) var bufferSize: Int { pool.bufferSize }
    @inline(__always) var bufferCount: Int { pool.bufferCount }
    @inline(__always) var freeBufferCount: Int { pool.freeCount &+ providedCount }

    @inline(__always)
    mutating func append(_ buffer: BufferID, count: Int, to queue: inout BufferQueue) {
        providedCount &-= pool.append(buffer, count: count, to: &queue)
    }

    @inline(__always)
    mutating func consume(_ count: Int, from queue: inout BufferQueue) {
        pool.consume(count, from: &queue)
    }

    mutating func discard(_ queue: inout BufferQueue) {
        pool.discard(&queue)
    }

    mutating func gather(_ queue: inout BufferQueue) { pool.gather(&queue) }
    func firstBytes(of queue: BufferQueue) -> UnsafeRawBufferPointer { pool.firstBytes(of: queue) }

    @inline(__always)
    mutating func giveBack(_ buffer: BufferID, count: Int) {
        providedCount &-= pool.giveBackFilled(buffer, count: count)
    }

    @inline(__always)
    mutating func replenish() {
        while providedCount < BenchmarkRing.providedCapacity, let buffer = pool.provideNext() {
            let place = queues.providedEnd.pointee % BenchmarkRing.providedCapacity
            (queues.provided + place).initialize(to: buffer)
            queues.providedEnd.pointee &+= 1
            providedCount &+= 1
        }
    }

    // MARK: Operations

    @inline(__always)
    mutating func prepareAccept(on listener: Int32, tag: OperationTag) { submit(.accept, listener, 0, tag) }

    @inline(__always)
    mutating func prepareConnect(_ socket: Int32, to address: UnsafePointer<SocketAddress>, tag: OperationTag) {
        submit(.connect, socket, 0, tag)
    }

    @inline(__always)
    mutating func prepareReceive(_ socket: Int32, byteLimit: Int, expectsDelay: Bool, tag: OperationTag) {
        submit(.receive, socket, byteLimit, tag)
    }

    @inline(__always)
    mutating func prepareSend(_ socket: Int32, _ queue: BufferQueue, waits: Bool, tag: OperationTag) -> Int {
        let (_, bytes) = pool.pieces(of: queue, into: vectors, limit: BenchmarkRing.piecesMax)
        submit(.send, socket, bytes, tag)
        return bytes
    }

    static let completionBatch = KernelQueues.completionsMax
    @inline(__always) var hasOverflowed: Bool { queues.hasOverflowed.pointee }

    @inline(__always)
    mutating func prepareCancel(_ target: OperationTag) { submit(.cancel, -1, 0, target) }

    mutating func submitAndWait(deadlineMilliseconds: UInt64?, for batch: WaitBatch) {
        completionCount = enterKernelToWait(kernel, submissionCount, deadlineMilliseconds ?? .max, for: batch)
        submissionCount = 0
    }

    @inline(__always)
    mutating func peekCompletions() -> Int { completionCount }
    @inline(__always)
    func completion(at index: Int) -> Completion { queues.completions[index] }
    @inline(__always)
    mutating func advance(_ count: Int) { completionCount &-= count }
    mutating func rearmWake() {}
    mutating func deadlineCame() {}

    // MARK: Splicing

    @inline(__always)
    mutating func prepareReadiness(_ readiness: Readiness, of socket: Int32, tag: OperationTag) {
        submit(readiness == .readable ? .readable : .writable, socket, 0, tag)
    }

    @inline(__always)
    mutating func takePipe() -> PipeID? {
        guard freePipeCount > 0 else { return nil }
        freePipeCount &-= 1
        return freePipes[freePipeCount]
    }

    @inline(__always)
    mutating func giveBackPipe(_ pipe: PipeID, isEmpty: Bool) {
        freePipes[freePipeCount] = pipe
        freePipeCount &+= 1
    }

    mutating func spliceIn(from socket: Int32, to pipe: PipeID) -> CallResult {
        .success(enterKernelToSpliceIn(kernel, socket))
    }

    mutating func spliceOut(from pipe: PipeID, to socket: Int32, count: Int) -> CallResult {
        .success(enterKernelToSpliceOut(kernel, socket, count))
    }

    func readableBytes(_ socket: Int32) -> Int { enterKernelToCountReadable(kernel, socket) }

    // MARK: Sockets

    mutating func openSocket(
        for address: UnsafePointer<SocketAddress>,
        from source: UnsafePointer<SocketAddress>?,
        withData: Bool
    ) -> CallResult {
        .success(enterKernelToOpenSocket(kernel))
    }

    mutating func wake(_ waker: RingWaker) -> Bool { true }
    func peerAddress(of socket: Int32) -> SocketAddress? { nil }
    @inline(__always)
    func acceptedAddress(_ socket: Int32, by tag: OperationTag) -> RawAddress { queues.accepted.pointee }
    func localAddress(of socket: Int32) -> SocketAddress? { nil }
    mutating func sendNow(_ socket: Int32, _ bytes: UnsafeRawBufferPointer, moreFollow: Bool) -> CallResult {
        .success(Int32(bytes.count))
    }
    mutating func keepAlive(_ socket: Int32, _ keepalive: Keepalive) {}
    mutating func setUserTimeout(_ socket: Int32, milliseconds: UInt32) {}
    mutating func acceptNow(on listener: Int32) -> CallResult { .failure(SystemCallError(code: EAGAIN)) }
    mutating func shutdownWrite(_ socket: Int32) { enterKernelToShutDown(kernel, socket) }
    @inline(__always)
    mutating func close(_ socket: Int32, reset: Bool) { submit(.close, socket, 0, .close) }
    @inline(__always)
    mutating func closeNow(_ socket: Int32, reset: Bool) { submit(.close, socket, 0, .close) }
    func unacknowledgedBytes(_ socket: Int32) -> Int { 0 }
    func acknowledgedBytes(_ socket: Int32) -> UInt64 { 0 }
    func millisecondsSinceSent(_ socket: Int32) -> UInt64 { 0 }
    func tcpInformation(_ socket: Int32) -> TCPInformation? { nil }
    func isDead(_ socket: Int32) -> Bool { false }
    func hasEnded(_ socket: Int32) -> Bool { false }

    mutating func shutdown() {}
}

/// No scenario has datagrams.
extension BenchmarkRing: DatagramOperations {
    mutating func prepareReceiveFromClients(_ socket: Int32, tag: OperationTag) { fatalError() }
    mutating func prepareReceiveFromBackend(_ socket: Int32, tag: OperationTag) { fatalError() }
    func clientDatagram(in buffer: BufferID, count: Int32) -> ClientDatagram { fatalError() }
    func backendDatagram(in buffer: BufferID, count: Int32) -> DatagramBatch? { fatalError() }
    mutating func giveBackDatagram(_ buffer: BufferID) { fatalError() }
    mutating func openDatagramSocket(
        for address: UnsafePointer<SocketAddress>,
        from source: UnsafePointer<SocketAddress>?
    ) -> CallResult { fatalError() }
    mutating func sendToBackend(_ socket: Int32, _ batch: DatagramBatch) -> CallResult { fatalError() }
    mutating func sendToBackend(
        _ socket: Int32, header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer
    ) -> CallResult { fatalError() }
    mutating func sendToClient(
        _ socket: Int32, isIPv4: Bool, _ batch: DatagramBatch, along path: DatagramPath
    ) -> CallResult { fatalError() }
}

// Owns what a worker may ask of its ring and of sockets: the seam where the simulation takes the kernel's place.

/// The outcome of a system call: a value, or the errno of the failure.
typealias CallResult = Result<Int32, SystemCallError>

/// An errno as an error value.
struct SystemCallError: Error, Equatable {
    let code: Int32
}

/// What a socket can be waited for.
enum Readiness {
    case readable
    case writable
}

/// A ring as its worker sees it.
///
/// Operations are prepared, then submitted together; completions are read in batches. Peer faults are results of
/// completions, never errors thrown. A submission queue that is full submits by itself.
protocol RingOperations: DatagramOperations, ~Copyable {
    /// A clock that never goes back.
    func nowNanoseconds() -> UInt64

    // Buffers.
    var bufferSize: Int { get }
    var bufferCount: Int { get }
    /// Buffers not held by queues; those handed to the kernel count as free.
    var freeBufferCount: Int { get }
    /// Queues the bytes of a completion: in `buffer` and, where one receive fills several, in those that follow it.
    mutating func append(_ buffer: BufferID, count: Int, to queue: inout BufferQueue)
    mutating func consume(_ count: Int, from queue: inout BufferQueue)
    mutating func discard(_ queue: inout BufferQueue)
    /// Moves what fits into the first buffer of a queue of which nothing is in flight, so that it holds as few as it can.
    mutating func gather(_ queue: inout BufferQueue)
    /// The bytes in the first buffer of a queue; valid until they are consumed.
    func firstBytes(of queue: BufferQueue) -> UnsafeRawBufferPointer
    /// What a completion of `count` bytes used, or the one it came with when there are none.
    mutating func giveBack(_ buffer: BufferID, count: Int)
    /// Makes buffers that came back available to receives; called once per batch.
    mutating func replenish()

    // Operations; each completes with its tag.
    /// Accepts one connection.
    mutating func prepareAccept(on listener: Int32, tag: OperationTag)
    /// Where the connection comes from that was accepted last under a tag; to be asked before the next accept under it.
    func acceptedAddress(_ socket: Int32, by tag: OperationTag) -> RawAddress
    /// `address` is read before the next submission returns. A unix socket is connected already, and completes.
    mutating func prepareConnect(_ socket: Int32, to address: UnsafePointer<SocketAddress>, tag: OperationTag)
    /// Receives into provided buffers until `byteLimit` (by at most one buffer more), the end of the stream, an error
    /// or a cancellation; `hasMore` tells whether it stays armed. Rings without byte limits receive once.
    /// `expectsDelay`: nothing is there yet, as on a socket just connected.
    mutating func prepareReceive(_ socket: Int32, byteLimit: Int, expectsDelay: Bool, tag: OperationTag)
    /// Sends the beginning of `queue`; returns the bytes asked for. With `waits`, completes with fewer only when
    /// something failed. Without, completes while it is submitted, with what the socket takes there and then: fewer
    /// bytes, or EAGAIN for none.
    mutating func prepareSend(_ socket: Int32, _ queue: BufferQueue, waits: Bool, tag: OperationTag) -> Int
    mutating func prepareCancel(_ target: OperationTag)
    /// Completions that `peekCompletions` tells of, at most.
    static var completionBatch: Int { get }
    /// Completions that had no place in the queue wait in the kernel now.
    var hasOverflowed: Bool { get }

    /// Submits what is prepared and waits for completions, at most until `deadlineMilliseconds`; it may end earlier
    /// with less. A ring that cannot wait for more than one within a time waits for the first.
    mutating func submitAndWait(deadlineMilliseconds: UInt64?, for batch: WaitBatch)
    /// Completions that can be read now; they stay readable until `advance`.
    mutating func peekCompletions() -> Int
    func completion(at index: Int) -> Completion
    mutating func advance(_ count: Int)
    /// Called when the completion of a deadline was seen.
    mutating func deadlineCame()
    /// Wakes another ring; `false` when it could not be told.
    mutating func wake(_ waker: RingWaker) -> Bool
    /// Called when the completion of a wake was seen.
    mutating func rearmWake()

    // Splicing; but for the readiness, calls that return at once.
    /// Completes when the socket can be read or written, has an error, or its end has come.
    mutating func prepareReadiness(_ readiness: Readiness, of socket: Int32, tag: OperationTag)
    /// An empty pipe; `nil` when there is none to be had now.
    mutating func takePipe() -> PipeID?
    /// What is in it is lost.
    mutating func giveBackPipe(_ pipe: PipeID, isEmpty: Bool)
    /// Moves what the socket has into an empty pipe. Only after the socket was reported readable, once: it may wait
    /// otherwise. 0 says that nothing could be moved, for the end of the stream or for another reason.
    mutating func spliceIn(from socket: Int32, to pipe: PipeID) -> CallResult
    /// Bytes that a splice from the socket would find.
    func readableBytes(_ socket: Int32) -> Int
    /// Moves up to `count` bytes of the pipe to the socket; EAGAIN when it takes none.
    mutating func spliceOut(from pipe: PipeID, to socket: Int32, count: Int) -> CallResult

    // Sockets; calls that return at once.
    /// A blocking TCP socket for connecting to `address` from `source` (nil: the kernel chooses), options set. `withData`: a send follows as soon as it is
    /// connected, so the handshake's last acknowledgement can travel with it.
    /// The address a connection comes from; `nil` when it has none, or is gone.
    func peerAddress(of socket: Int32) -> SocketAddress?
    /// The address that a connection reached here; `nil` when it has none.
    func localAddress(of socket: Int32) -> SocketAddress?
    /// Sends the first bytes of a connection, as many as there is room for; with `moreFollow` the next send has them
    /// leave with its own. Returns their number.
    mutating func sendNow(_ socket: Int32, _ bytes: UnsafeRawBufferPointer, moreFollow: Bool) -> CallResult
    /// A unix socket is connected when this returns, or fails as connecting to it would: with EAGAIN where the listen queue
    /// is full, since nobody is kept waiting here.
    mutating func openSocket(
        for address: UnsafePointer<SocketAddress>,
        from source: UnsafePointer<SocketAddress>?,
        withData: Bool
    ) -> CallResult
    /// Has the kernel probe a peer that is silent for long.
    mutating func keepAlive(_ socket: Int32, _ keepalive: Keepalive)
    /// Has the kernel end the connection when the peer acknowledges nothing for so long.
    mutating func setUserTimeout(_ socket: Int32, milliseconds: UInt32)
    /// Takes a waiting connection of a non-blocking listener without waiting.
    mutating func acceptNow(on listener: Int32) -> CallResult
    /// Sends the end of the stream after what was sent.
    mutating func shutdownWrite(_ socket: Int32)
    /// Closes with the next submission; with `reset` the peer sees a reset instead of an end, and what it has not
    /// received is dropped. Its own outcome carries no news.
    mutating func close(_ socket: Int32, reset: Bool)
    /// As `close`, and the peer is told before this returns: for a connection that another must not overtake. No
    /// operation on the socket may be prepared or armed.
    mutating func closeNow(_ socket: Int32, reset: Bool)
    /// Bytes sent that the peer's kernel has not acknowledged. Of a unix socket, which has none of these: memory of what
    /// the peer has not read. It is the one thing that is asked of both.
    func unacknowledgedBytes(_ socket: Int32) -> Int
    /// A count that grows whenever the peer acknowledges bytes.
    func acknowledgedBytes(_ socket: Int32) -> UInt64
    /// Milliseconds since the kernel last sent bytes to the peer.
    func millisecondsSinceSent(_ socket: Int32) -> UInt64
    /// How the connection has fared; nil where the kernel does not say.
    func tcpInformation(_ socket: Int32) -> TCPInformation?
    /// Whether the connection is over in both directions, as after a reset.
    func isDead(_ socket: Int32) -> Bool
    /// Whether the peer has ended or reset the connection, received or not.
    func hasEnded(_ socket: Int32) -> Bool

    /// Releases everything; idempotent. Generic owners cannot rely on deinit in debug builds.
    mutating func shutdown()
}

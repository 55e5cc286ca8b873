// Owns one io_uring: its creation, its memory, submission and completion. Only this folder talks to liburing.
// Leaves to others: what is asked of the ring (Worker), how a failure to create it reads (RingDiagnosis).

import CURing
import Glibc

/// A ring of the kernel.
///
/// Created disabled on the control thread, so that a machine that cannot run it is reported before anything starts;
/// enabled, used and shut down on its worker's thread, the only one that may submit to it.
struct LinuxRing: ~Copyable {
    /// Sizes of a ring and its buffers.
    struct Sizes: Equatable, Sendable {
        var submissions: UInt32 = 2048
        var completions: UInt32 = 16384
        var buffers = 8192
        var bufferSize = 16384
        /// Buffers that lie ready in the kernel; few, so that the ones in use stay in the cache.
        var providedBuffers: UInt32 = 256
        /// Pipes for spliced flows, opened as they are needed; each takes two descriptors.
        var pipes = 64
    }

    private static let bufferGroup: UInt16 = 0
    static let completionBatch = 512
    /// Pieces of one send; the kernel copies their descriptions when they are submitted.
    private static let piecesMax = 32
    private static let messagesMax = 256

    let ring: UnsafeMutablePointer<io_uring>
    private let capabilities: RingCapabilities
    private var pool: BufferPool
    var pipes: PipePool
    private let provided: UnsafeMutablePointer<io_uring_buf_ring>
    private let providedCapacity: Int
    /// Buffers the kernel holds and has not filled.
    private var providedCount = 0
    private let batch: UnsafeMutablePointer<UnsafeMutablePointer<io_uring_cqe>?>
    private let messages: UnsafeMutablePointer<msghdr>
    private let vectors: UnsafeMutablePointer<iovec>
    private var messageCount = 0
    /// Of UDP: a group of buffers of its own.
    var datagrams: DatagramBuffers
    let accepted = AcceptedAddresses()
    /// Where the eventfd's count goes; -1 and unused when messages wake the ring.
    private let wakeDescriptor: Int32
    private let wakeValue: UnsafeMutablePointer<UInt64>
    /// The sink that was spliced to last. Whether splicing to a socket waits is decided by its file, and the ring's
    /// operations must find the file blocking: it is non-blocking from the splice to the next submission.
    var nonBlockingSocket: Int32 = -1
    /// Of the timeout that is armed, in milliseconds of the ring's clock; `.max` when there is none.
    private var armedDeadline = UInt64.max
    private let deadlineTime: UnsafeMutablePointer<__kernel_timespec>
    private var isReleased = false

    private init(
        ring: UnsafeMutablePointer<io_uring>,
        capabilities: RingCapabilities,
        pool: consuming BufferPool,
        pipeLimit: Int,
        provided: UnsafeMutablePointer<io_uring_buf_ring>,
        datagrams: consuming DatagramBuffers,
        sizes: Sizes,
        wakeDescriptor: Int32
    ) {
        self.ring = ring
        self.capabilities = capabilities
        self.pool = pool
        pipes = PipePool(limit: pipeLimit)
        self.provided = provided
        self.datagrams = datagrams
        providedCapacity = Int(sizes.providedBuffers)
        batch = .allocate(capacity: LinuxRing.completionBatch)
        messages = .allocate(capacity: LinuxRing.messagesMax)
        vectors = .allocate(capacity: LinuxRing.messagesMax * LinuxRing.piecesMax)
        self.wakeDescriptor = wakeDescriptor
        wakeValue = .allocate(capacity: 1)
        deadlineTime = .allocate(capacity: 1)
        deadlineTime.initialize(to: __kernel_timespec())
    }

    deinit {
        assert(isReleased, "a ring was dropped without shutdown()")
    }

    /// Creates a ring, disabled until `enable`.
    static func make(
        sizes: Sizes = Sizes(),
        capabilities: RingCapabilities
    ) throws(SystemCallError) -> LinuxRing {
        precondition(sizes.providedBuffers.nonzeroBitCount == 1 && Int(sizes.providedBuffers) <= sizes.buffers)
        let ring = try open(sizes, disabled: true)
        do throws(SystemCallError) {
            try RingRestrictions.register(with: ring, wakesByEvent: !capabilities.hasMessageWithoutRing)
        } catch {
            discard(ring)
            throw error
        }
        // From here on a failure must leave nothing behind.
        let bytes = Int(sizes.providedBuffers) * MemoryLayout<io_uring_buf>.stride
        let mapping = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let mapping, mapping != MAP_FAILED else {
            discard(ring)
            throw SystemCallError(code: ENOMEM)
        }
        var registration = io_uring_buf_reg()
        registration.ring_addr = UInt64(UInt(bitPattern: mapping))
        registration.ring_entries = sizes.providedBuffers
        registration.bgid = bufferGroup
        let registered = io_uring_register_buf_ring(ring, &registration, 0)
        guard registered == 0, let pool = BufferPool(bufferCount: sizes.buffers, bufferSize: sizes.bufferSize) else {
            munmap(mapping, bytes)
            discard(ring)
            throw SystemCallError(code: registered == 0 ? ENOMEM : -registered)
        }
        guard let datagrams = DatagramBuffers(), datagrams.register(with: ring) else {
            munmap(mapping, bytes)
            discard(ring)
            throw SystemCallError(code: ENOMEM)
        }
        var wakeDescriptor: Int32 = -1
        if !capabilities.hasMessageWithoutRing {
            wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC))
            guard wakeDescriptor >= 0 else {
                let code = errno
                munmap(mapping, bytes)
                discard(ring)
                throw SystemCallError(code: code)
            }
        }
        let provided = mapping.bindMemory(to: io_uring_buf_ring.self, capacity: 1)
        io_uring_buf_ring_init(provided)
        // Two workers of the kernel's pool at the most: nothing here needs it.
        var limits: (UInt32, UInt32) = (1, 1)
        withUnsafeMutableBytes(of: &limits) {
            _ = io_uring_register_iowq_max_workers(ring, $0.baseAddress!.assumingMemoryBound(to: UInt32.self))
        }
        return LinuxRing(
            ring: ring,
            capabilities: capabilities,
            pool: pool,
            pipeLimit: sizes.pipes,
            provided: provided,
            datagrams: datagrams,
            sizes: sizes,
            wakeDescriptor: wakeDescriptor
        )
    }

    /// How other threads wake the ring; valid until it is shut down.
    var waker: RingWaker { RingWaker(ring: ring.pointee.ring_fd, event: wakeDescriptor) }

    /// What other threads may read of the ring until it is shut down.
    var counts: RingCounts { RingCounts(submitted: ring.pointee.sq.ktail, completed: ring.pointee.cq.khead) }

    var canSplice: Bool { capabilities.hasSplice }

    /// Called once, on the thread that will own the ring.
    mutating func enable() {
        // Debian's liburing 2.3 declares io_uring_enable_rings and does not export it.
        let outcome = io_uring_register(UInt32(bitPattern: ring.pointee.ring_fd), SHUTTLE_REGISTER_ENABLE_RINGS, nil, 0)
        precondition(outcome == 0, "enabling a ring failed with \(outcome)")
        io_uring_register_ring_fd(ring)
        replenish()
        rearmWake()
    }

    @inline(__always)
    mutating func nextSubmission() -> UnsafeMutablePointer<io_uring_sqe> {
        if let entry = io_uring_get_sqe(ring) { return entry }
        submit()
        guard let entry = io_uring_get_sqe(ring) else { preconditionFailure("the kernel took no submissions") }
        return entry
    }

    private mutating func submit() {
        restoreBlocking()
        submitted(io_uring_submit(ring))
    }

    /// Descriptions of messages may be overwritten once the kernel has taken every submission.
    private mutating func submitted(_ outcome: Int32) {
        if io_uring_sq_ready(ring) == 0 { messageCount = 0 }
        switch -outcome {
        case ETIME, EINTR, EAGAIN, EBUSY: break
        case let code where code > 0: preconditionFailure("io_uring_enter failed with errno \(code)")
        default: break
        }
    }
}

extension LinuxRing: RingOperations {
    @inline(__always)
    func nowNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    // MARK: Buffers

    var bufferSize: Int { pool.bufferSize }
    var bufferCount: Int { pool.bufferCount }
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
        var added: Int32 = 0
        while providedCount < providedCapacity, let buffer = pool.provideNext() {
            io_uring_buf_ring_add(
                provided,
                pool.address(of: buffer),
                UInt32(truncatingIfNeeded: pool.bufferSize),
                buffer,
                io_uring_buf_ring_mask(UInt32(truncatingIfNeeded: providedCapacity)),
                added
            )
            added &+= 1
            providedCount &+= 1
        }
        if added > 0 { io_uring_buf_ring_advance(provided, added) }
    }

    // MARK: Operations

    @inline(__always)
    mutating func prepareConnect(_ socket: Int32, to address: UnsafePointer<SocketAddress>, tag: OperationTag) {
        let entry = nextSubmission()
        if address.pointee.isUnix {
            io_uring_prep_nop(entry)
            entry.pointee.user_data = tag.rawValue
            return
        }
        let pointer = UnsafeRawPointer(address).assumingMemoryBound(to: sockaddr.self)
        shuttle_prep_connect(entry, socket, pointer, address.pointee.length)
        entry.pointee.user_data = tag.rawValue
    }

    @inline(__always)
    mutating func prepareReceive(_ socket: Int32, byteLimit: Int, expectsDelay: Bool, tag: OperationTag) {
        let entry = nextSubmission()
        io_uring_prep_recv(entry, socket, nil, 0, 0)
        var options: UInt16 = 0
        if expectsDelay { options |= UInt16(truncatingIfNeeded: IORING_RECVSEND_POLL_FIRST) }
        if capabilities.hasReceiveLimit {
            options |= UInt16(truncatingIfNeeded: IORING_RECV_MULTISHOT)
            shuttle_sqe_set_receive_limit(entry, UInt32(truncatingIfNeeded: byteLimit))
        } else {
            entry.pointee.len = UInt32(truncatingIfNeeded: byteLimit)
        }
        if capabilities.hasBundles { options |= SHUTTLE_RECEIVE_BUNDLE }
        entry.pointee.ioprio = options
        entry.pointee.flags |= SHUTTLE_SQE_BUFFER_SELECT
        shuttle_sqe_set_buffer_group(entry, LinuxRing.bufferGroup)
        entry.pointee.user_data = tag.rawValue
    }

    @inline(__always)
    mutating func prepareSend(_ socket: Int32, _ queue: BufferQueue, waits: Bool, tag: OperationTag) -> Int {
        if messageCount == LinuxRing.messagesMax { submit() }
        // First the entry: taking it may submit, after which messages start anew.
        let entry = nextSubmission()
        precondition(messageCount < LinuxRing.messagesMax)
        let pieces = vectors + messageCount &* LinuxRing.piecesMax
        let (count, bytes) = pool.pieces(of: queue, into: pieces, limit: LinuxRing.piecesMax)
        let flags = Int32(MSG_NOSIGNAL) | (waits ? Int32(MSG_WAITALL) : Int32(MSG_DONTWAIT))
        if count == 1 {
            io_uring_prep_send(entry, socket, pieces[0].iov_base, pieces[0].iov_len, flags)
        } else {
            let message = messages + messageCount
            message.initialize(to: msghdr())
            message.pointee.msg_iov = pieces
            message.pointee.msg_iovlen = count
            io_uring_prep_sendmsg(entry, socket, message, UInt32(bitPattern: flags))
            messageCount &+= 1
        }
        entry.pointee.user_data = tag.rawValue
        return bytes
    }

    @inline(__always)
    mutating func prepareCancel(_ target: OperationTag) {
        let entry = nextSubmission()
        io_uring_prep_cancel64(entry, target.rawValue, 0)
        entry.pointee.flags |= SHUTTLE_SQE_CQE_SKIP_SUCCESS
        entry.pointee.user_data = OperationTag.cancel.rawValue
    }

    mutating func submitAndWait(deadlineMilliseconds: UInt64?, for batch: WaitBatch) {
        restoreBlocking()
        if let deadlineMilliseconds, batch.completions > 0, deadlineMilliseconds < armedDeadline {
            armDeadline(deadlineMilliseconds)
        }
        let canWaitForMore = batch.completions > 1 && (capabilities.hasMinimumWait || batch.microseconds == 0)
        let completions = canWaitForMore ? batch.completions : min(batch.completions, 1)
        submitted(shuttle_submit_and_wait(ring, completions, canWaitForMore ? batch.microseconds : 0))
    }

    /// One timer of the kernel's runs for the nearest deadline and is moved only when a nearer one comes: setting one
    /// for every wait costs more than the turns in which one that is no longer needed ends.
    private mutating func armDeadline(_ milliseconds: UInt64) {
        deadlineTime.pointee = __kernel_timespec(
            tv_sec: Int64(truncatingIfNeeded: milliseconds / 1000),
            tv_nsec: Int64(truncatingIfNeeded: milliseconds % 1000 &* 1_000_000)
        )
        let entry = nextSubmission()
        if armedDeadline == .max {
            io_uring_prep_timeout(entry, deadlineTime, 0, IORING_TIMEOUT_ABS)
            entry.pointee.user_data = OperationTag.deadline.rawValue
        } else {
            // Fails when the earlier one has just come: then its completion has it armed anew.
            io_uring_prep_timeout_update(entry, deadlineTime, OperationTag.deadline.rawValue, IORING_TIMEOUT_ABS)
            entry.pointee.flags |= SHUTTLE_SQE_CQE_SKIP_SUCCESS
            entry.pointee.user_data = OperationTag.cancel.rawValue
        }
        armedDeadline = milliseconds
    }

    mutating func deadlineCame() { armedDeadline = .max }

    @inline(__always)
    mutating func peekCompletions() -> Int {
        Int(io_uring_peek_batch_cqe(ring, batch, UInt32(LinuxRing.completionBatch)))
    }

    @inline(__always)
    func completion(at index: Int) -> Completion {
        let entry = batch[index].unsafelyUnwrapped
        return Completion(
            tag: OperationTag(rawValue: entry.pointee.user_data),
            result: entry.pointee.res,
            flags: entry.pointee.flags
        )
    }

    @inline(__always)
    mutating func advance(_ count: Int) {
        io_uring_cq_advance(ring, UInt32(truncatingIfNeeded: count))
    }

    mutating func rearmWake() {
        guard wakeDescriptor >= 0 else { return }
        let entry = nextSubmission()
        io_uring_prep_read(entry, wakeDescriptor, wakeValue, UInt32(MemoryLayout<UInt64>.size), 0)
        entry.pointee.user_data = OperationTag.wake.rawValue
    }

    // MARK: Sockets

    mutating func openSocket(
        for address: UnsafePointer<SocketAddress>,
        from source: UnsafePointer<SocketAddress>?,
        withData: Bool
    ) -> CallResult {
        if address.pointee.isUnix { return Socket.connectUnix(address) }
        let opened = Socket.openStream(family: address.pointee.family)
        if case .success(let socket) = opened {
            if let source, case .failure(let error) = Socket.bindSource(socket, source) {
                Socket.close(socket)
                return .failure(error)
            }
            Socket.setNoDelay(socket)
            if withData { Socket.deferAcknowledgement(socket) }
        }
        return opened
    }

    mutating func wake(_ waker: RingWaker) -> Bool { waker.wake() }
    mutating func sendNow(_ socket: Int32, _ bytes: UnsafeRawBufferPointer, moreFollow: Bool) -> CallResult {
        Socket.sendNow(socket, bytes, moreFollow: moreFollow)
    }
    mutating func keepAlive(_ socket: Int32, _ keepalive: Keepalive) { Socket.setKeepalive(socket, keepalive) }
    mutating func setUserTimeout(_ socket: Int32, milliseconds: UInt32) {
        Socket.setUserTimeout(socket, milliseconds: milliseconds)
    }
    mutating func acceptNow(on listener: Int32) -> CallResult { Socket.accept(listener) }
    mutating func shutdownWrite(_ socket: Int32) { Socket.shutdownWrite(socket) }
    mutating func close(_ socket: Int32, reset: Bool) {
        if socket == nonBlockingSocket { nonBlockingSocket = -1 }
        if reset { Socket.dropOnClose(socket) }
        let entry = nextSubmission()
        io_uring_prep_close(entry, socket)
        entry.pointee.flags |= SHUTTLE_SQE_CQE_SKIP_SUCCESS
        entry.pointee.user_data = OperationTag.close.rawValue
    }
    mutating func closeNow(_ socket: Int32, reset: Bool) {
        if socket == nonBlockingSocket { nonBlockingSocket = -1 }
        if reset { Socket.dropOnClose(socket) }
        let outcome = Glibc.close(socket)
        precondition(outcome == 0 || errno != EBADF, "a closed descriptor was closed")
    }

    mutating func shutdown() {
        guard !isReleased else { return }
        isReleased = true
        // The last closes.
        while io_uring_sq_ready(ring) > 0, io_uring_submit(ring) > 0 {}
        LinuxRing.discard(ring)
        pipes.closeAll()
        munmap(provided, providedCapacity * MemoryLayout<io_uring_buf>.stride)
        batch.deallocate()
        messages.deallocate()
        vectors.deallocate()
        wakeValue.deallocate()
        deadlineTime.deallocate()
        accepted.deallocate()
        if wakeDescriptor >= 0 { _ = Glibc.close(wakeDescriptor) }
    }
}

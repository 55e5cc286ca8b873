// Owns the loop of one ring: adopt, submit, wait, handle completions, look at timers. The stops of a connection's way
// are in the extensions: +Accept, +Connect, +Relay, +Close; +Adopt takes up snapshots, +Timers judges time, +Watch
// finds ends that the kernel did not report.
// Leaves to others: every decision about a session (Session), the kernel (the ring it is given).

import Glibc
import Synchronization

/// Runs sessions on one ring. Generic over the ring, so that the same code runs over a simulated one.
///
/// Generic `~Copyable` types must not rely on `deinit`: `shutdown()` releases, exactly once.
struct Worker<Ring: RingOperations & ~Copyable>: ~Copyable {
    var ring: Ring
    /// Which counter blocks are this worker's.
    let index: Int
    let link: UnsafeMutablePointer<WorkerLink>
    /// Of all workers, by their indices.
    let links: UnsafeBufferPointer<UnsafeMutablePointer<WorkerLink>>
    var sessions: SessionTable
    /// Of connections by their slots, and behind those of datagram sessions by theirs.
    var timers: TimerWheel
    /// At the indices that snapshots use.
    var listeners = ListenerTable()
    /// Everything about UDP.
    var datagrams: DatagramSessions
    var view: UnsafePointer<SnapshotView>?
    /// Milliseconds, read once per turn.
    var now: UInt64
    /// Nanoseconds, read with it.
    private(set) var turnTime: UInt64
    private var waits = WaitPolicy()
    var splicePolicy: SplicePolicy
    /// Spreads sessions over backends and their ends over time.
    var random: SplitMix

    // Slots with something due, handled together after a batch so that what arrived in it leaves in one send.
    var dirtyHead = SessionTable.none
    // Slots whose connect starts after the completions of this turn.
    var connectingHead = SessionTable.none
    // Slots that are looked at for ends that their receives have missed, and when.
    var watchedHead = SessionTable.none
    var watchAt = UInt64.max
    // When a backend that rests may be tried by those who wait.
    var restEndsAt = UInt64.max
    // The earlier of the two.
    var lookAt = UInt64.max
    // Sessions that wait for buffers, first come first served.
    var starvedHead = SessionTable.none
    var starvedTail = SessionTable.none
    // Sessions that wait in queues of their services.
    var queuedHead = SessionTable.none
    // Sessions that wait for the rate limits of their services, in the order of their arrival.
    var delayedHead = SessionTable.none
    var delayedTail = SessionTable.none
    /// Those of both whose clients are received from.
    var queuedReceivers = 0
    // Sessions that hold a buffer while they are preread, those that have held it for longest first.
    var holdingHead = SessionTable.none
    var holdingTail = SessionTable.none
    var holdingCount = 0
    /// Workers whose sessions were called and that must be told.
    var workersToWake = WorkerSet()
    /// Listeners that take their accept back before the epoch can be acknowledged.
    var listenersLettingGo = 0
    /// The head of the list of listeners that the kernel is to be told of, also before.
    var changedListeners = ListenerTable.none
    /// Listeners that the kernel is told of in a turn. It takes several microseconds for the first accept on a socket: a
    /// change of thousands of services must not keep sessions waiting for tens of milliseconds. One of a few is done in
    /// the turn that adopts it. Tests have it smaller.
    var listenersPerTurn = 16
    /// Whether what a snapshot asks for is not done yet: one look for each turn in which it is.
    var isFollowing = false
    var pausedListeners = 0
    /// Paused listeners try again then even when nothing was freed here.
    var acceptRetryAt: UInt64 = 0
    var hasFreedDescriptor = false
    /// Sends of this turn that complete while they are submitted.
    var sendsAtOnce: UInt32 = 0
    /// Something is due as soon as a send of this turn has completed.
    var mustLookAtSends = false
    var drainSweep = DrainSweep()
    /// Where the connection comes from that is being taken in.
    var acceptedAddress = RawAddress()
    /// What the control thread wants to know of the sessions, while it is not answered.
    var inspection: UnsafeMutablePointer<SessionInspection>?
    /// Connects take their service's source addresses in turn.
    var sourceTurn: UInt32 = 0
    var isStopping = false
    var hasCut = false

    /// `nil` when memory for the sessions cannot be reserved.
    init?(
        ring: consuming Ring, index: Int, link: UnsafeMutablePointer<WorkerLink>,
        links: UnsafeBufferPointer<UnsafeMutablePointer<WorkerLink>>, sessionCapacity: Int,
        splicePolicy: SplicePolicy = .standard
    ) {
        let time = ring.nowNanoseconds()
        let now = time / 1_000_000
        guard let sessions = SessionTable(capacity: sessionCapacity),
            let datagrams = DatagramSessions(
                capacity: sessionCapacity, seed: SplitMix.mixed(time ^ UInt64(index) << 32))
        else { return nil }
        self.ring = ring
        self.index = index
        self.link = link
        self.links = links
        self.sessions = sessions
        timers = TimerWheel(capacity: sessionCapacity + datagrams.table.capacity, now: now)
        self.datagrams = datagrams
        self.now = now
        turnTime = time
        self.splicePolicy = splicePolicy
        random = SplitMix(seed: time ^ UInt64(index) << 48)
    }

    /// Runs until the stop command; then every operation has been collected.
    mutating func run() {
        while turn() {}
    }

    /// One round of the loop; `false` when the worker has stopped.
    mutating func turn() -> Bool {
        if !link.pointee.mailbox.isEmpty {
            // Their backends were chosen by the snapshot that ends: nothing is connected by it once it is left.
            startConnects(takeConnecting())
            adopt()
        }
        if link.pointee.commands.load(ordering: .acquiring) != 0 { obeyCommands() }
        if isFollowing { continueFollowing() }
        sendsAtOnce = 0
        // A turn that waits for many looks at its sends with them.
        mustLookAtSends = waits.batch != .first
        // Everything due is prepared before the one submission of the turn.
        advanceDirty()
        ring.replenish()
        resumeStarved()
        advanceDirty()
        if pausedListeners > 0 { resumeAccepting() }
        hasFreedDescriptor = false
        wakeOthers()
        if isStopping && isIdle() { return false }
        let connecting = takeConnecting()
        let batch = mustLookAtSends ? waits.batch : .first(beside: sendsAtOnce)
        var deadline = findDeadline()
        let isDue =
            deadline.map { $0 <= now } ?? false || !link.pointee.calls.isEmpty
        if !mustLookAtSends, sendsAtOnce > 0 {
            deadline = min(deadline ?? .max, now &+ Self.sendsUnseenMilliseconds)
        }
        ring.submitAndWait(
            deadlineMilliseconds: deadline,
            for: isDue || connecting != SessionTable.none ? .none : batch
        )
        let time = ring.nowNanoseconds()
        now = time / 1_000_000
        let elapsed = time &- turnTime
        turnTime = time
        let count = handleCompletions()
        Probe.turn(completions: count, nanoseconds: elapsed)
        link.pointee.turns.addAsOnlyWriter(1)
        if count >= Ring.completionBatch, ring.hasOverflowed { link.pointee.completionOverflows.addAsOnlyWriter(1) }
        waits.record(count, elapsed: elapsed)
        takeCalls()
        if lookAt <= now { look() }
        expireTimers()
        startConnects(connecting)
        return true
    }

    /// Asked at the end only; apart, so that the loop is not the larger for it.
    @inline(never)
    private mutating func isIdle() -> Bool {
        guard sessions.count == 0, datagrams.isIdle, inspection == nil else { return false }
        for place in listeners.indices where listeners[place].pointee.isAcceptArmed { return false }
        return true
    }

    /// Not a property: for one the whole worker would be copied, as it is not asked by reference.
    private mutating func findDeadline() -> UInt64? {
        var deadline = timers.nextDeadline
        if !workersToWake.isEmpty { deadline = min(deadline ?? .max, now &+ 1) }
        if pausedListeners > 0 { deadline = min(deadline ?? .max, acceptRetryAt) }
        // Those that were let go on first need not have taken the buffers there are.
        if starvedHead != SessionTable.none, ring.freeBufferCount > 0 { deadline = now }
        if isFollowing { deadline = now }
        if lookAt != .max { deadline = min(deadline ?? .max, lookAt) }
        return deadline
    }

    /// Sends that complete while they are submitted would end every wait at once, for a turn in which nothing is due: they
    /// are looked at with what comes next, and at the latest after this time, so that they count as sent.
    private static var sendsUnseenMilliseconds: UInt64 { 10 }

    @inline(never)
    private mutating func obeyCommands() {
        let commands = link.pointee.commands.load(ordering: .acquiring)
        if commands & WorkerLink.inspectCommand != 0 { takeInspection() }
        guard commands & (WorkerLink.cutCommand | WorkerLink.stopCommand) != 0 else { return }
        if commands & WorkerLink.stopCommand != 0, !isStopping {
            isStopping = true
            letGoOfListeners()
            letGoOfDatagramListeners()
        }
        // A cut lasts: what is accepted after it ends as well.
        if !hasCut || sessions.count > 0 || datagrams.table.liveCount > 0 {
            hasCut = true
            cutSessions()
            cutDatagramSessions()
        }
    }

    private mutating func handleCompletions() -> Int {
        let count = ring.peekCompletions()
        for position in 0..<count {
            handle(ring.completion(at: position))
        }
        ring.advance(count)
        return count
    }

    @inline(__always)
    private mutating func handle(_ completion: Completion) {
        switch completion.tag.kind {
        case .receiveDownstream: receiveCompleted(from: .downstream, completion)
        case .receiveUpstream: receiveCompleted(from: .upstream, completion)
        case .sendDownstream: sendCompleted(to: .downstream, completion)
        case .sendUpstream: sendCompleted(to: .upstream, completion)
        case .readinessDownstream: readinessCompleted(from: .downstream, completion)
        case .readinessUpstream: readinessCompleted(from: .upstream, completion)
        case .accept: acceptCompleted(completion)
        case .connect: connectCompleted(completion)
        case .wake: ring.rearmWake()
        case .deadline: ring.deadlineCame()
        // A descriptor closed twice may be somebody else's the second time.
        case .close: precondition(completion.result != -EBADF, "a closed descriptor was closed")
        case .receiveFromClients: clientDatagramCompleted(completion)
        case .receiveFromBackend: backendDatagramCompleted(completion)
        case .cancel, nil: break
        }
    }

    /// Puts a slot on the list of those with something due.
    @inline(__always)
    mutating func touch(_ index: UInt32) {
        let slot = sessions[index]
        guard !slot.pointee.isDirty else { return }
        slot.pointee.isDirty = true
        slot.pointee.nextDirty = dirtyHead
        dirtyHead = index
    }

    @inline(__always)
    mutating func advanceDirty() {
        while dirtyHead != SessionTable.none {
            let index = dirtyHead
            let slot = sessions[index]
            dirtyHead = slot.pointee.nextDirty
            slot.pointee.isDirty = false
            if slot.pointee.isOccupied { advance(index) }
        }
    }

    @inline(__always)
    func countStale() {
        link.pointee.staleCompletions.addAsOnlyWriter(1)
    }

    /// Releases the ring; idempotent. Every session must have ended.
    mutating func shutdown() {
        ring.shutdown()
    }
}

// Owns the words that the control thread and one worker share: mailbox, acknowledgement, commands, gauges.

import Synchronization

/// Shared memory of the control thread and one worker. Each field says who writes it.
struct WorkerLink: ~Copyable {
    /// Other workers put, the worker takes: its sessions for whom a place is reserved.
    let calls: CallInbox
    /// How the worker's ring is woken.
    let waker: RingWaker
    /// Workers that are about to wake this one, or are at it.
    private let visitors = Atomic<Int>(0)
    /// Control puts, the worker takes.
    let mailbox = Mailbox<SnapshotView>()
    /// A question about sessions; as above.
    let inspections = Mailbox<SessionInspection>()
    /// Written by the worker: it runs on this epoch and has let go of everything earlier.
    let acknowledgedEpoch = Atomic<UInt64>(0)
    /// Set by control; only `inspectCommand` is cleared, by the worker.
    let commands = Atomic<UInt8>(0)
    /// Set by the worker before it releases its ring: there is nobody to wake any more.
    let hasEnded = Atomic<Bool>(false)
    /// Written by the worker.
    let sessions = Atomic<Int>(0)
    /// Failures of backends since the control thread looked. Set by the worker, taken by control.
    let hasNewFailures = Atomic<Bool>(false)
    /// Completions for slots that were given to somebody else. Written by the worker.
    let staleCompletions = Atomic<UInt64>(0)
    /// Receives that found no buffer. Written by the worker.
    let starvations = Atomic<UInt64>(0)
    /// Bytes that were spliced. Written by the worker.
    let splicedBytes = Atomic<UInt64>(0)
    /// Times that accepting paused for want of descriptors or slots. Written by the worker.
    let acceptPauses = Atomic<UInt64>(0)
    /// Rounds of the loop: waits for completions that have come to an end. Written by the worker.
    let turns = Atomic<UInt64>(0)
    /// Turns that found completions which had no place in the queue and waited in the kernel. Written by the worker.
    let completionOverflows = Atomic<UInt64>(0)
    /// How long adopting a snapshot took. Written by the worker.
    let adoptions = DurationHistogram()
    /// Sockets of datagram sessions on all rings, until they are closed. In the first worker's link only; written by all.
    private let datagramSockets = Atomic<Int>(0)
    /// Sessions that have ended. Written by the worker.
    let records: SessionRecordBuffer
    /// How long sessions were looked through within a turn. Written by the worker.
    let inspectionTurns = DurationHistogram()

    /// `records`: how many of the sessions that ended are remembered, of all or of those only that are to be logged.
    init(sessionCapacity: Int, waker: RingWaker, recordCapacity: Int = 1024, keepsAllRecords: Bool = true) {
        records = SessionRecordBuffer(capacity: recordCapacity, keepsAll: keepsAllRecords)
        calls = CallInbox(capacity: sessionCapacity)
        self.waker = waker
    }

    /// Lets another worker wake this one, whose ring stays until that is done; `wake` tells whether it succeeded. One
    /// that has ended need not be woken.
    func visit(_ wake: (RingWaker) -> Bool) -> Bool {
        visitors.wrappingAdd(1, ordering: .sequentiallyConsistent)
        let isDone = hasEnded.load(ordering: .sequentiallyConsistent) || wake(waker)
        visitors.wrappingSubtract(1, ordering: .releasing)
        return isDone
    }

    /// Said by the worker before it releases its ring, until which no visitor must be left.
    func end() {
        hasEnded.store(true, ordering: .sequentiallyConsistent)
    }

    /// Takes a descriptor for a datagram session; `false` when `max` are taken. Never added and taken back.
    func takeDatagramDescriptor(below max: Int) -> Bool {
        var present = datagramSockets.load(ordering: .relaxed)
        while present < max {
            // Whoever gets it finds it closed.
            let result = datagramSockets.weakCompareExchange(
                expected: present, desired: present + 1, ordering: .acquiringAndReleasing)
            if result.exchanged { return true }
            present = result.original
        }
        return false
    }

    func returnDatagramDescriptor() { datagramSockets.wrappingSubtract(1, ordering: .releasing) }

    var hasVisitors: Bool { visitors.load(ordering: .sequentiallyConsistent) > 0 }

    /// End every session.
    static let cutCommand: UInt8 = 1 << 0
    /// End every session and the thread.
    static let stopCommand: UInt8 = 1 << 1

    /// There is a question about sessions.
    static let inspectCommand: UInt8 = 1 << 2

    func command(_ bit: UInt8) {
        commands.bitwiseOr(bit, ordering: .releasing)
    }
}

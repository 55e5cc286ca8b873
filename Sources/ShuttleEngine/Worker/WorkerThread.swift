// Owns the thread of one worker: it builds its worker around a ring it is given, runs it, and shuts it down.

import Glibc
import Synchronization

/// A thread that runs one worker over a kernel ring until it is told to stop.
final class WorkerThread {
    let link: UnsafeMutablePointer<WorkerLink>
    let waker: RingWaker
    private let counts: RingCounts
    /// Operations that the ring was given, and completions that it gave back, as of the last `foldCounts`.
    private(set) var submissions: UInt64 = 0
    private(set) var completions: UInt64 = 0
    private let context: UnsafeMutablePointer<Context>
    private var thread: NativeThread?

    private struct Context: ~Copyable {
        /// Taken out by the thread.
        var ring: LinuxRing?
        let index: Int
        let link: UnsafeMutablePointer<WorkerLink>
        let sessionCapacity: Int
        let splicePolicy: SplicePolicy
        /// Set before the start: the links of all workers, of which this one is one.
        var links = UnsafeBufferPointer<UnsafeMutablePointer<WorkerLink>>(start: nil, count: 0)
    }

    /// Takes over the ring; nothing runs until `start`.
    init(
        ring: consuming LinuxRing, index: Int, sessionCapacity: Int, recentSessions: Int, recordCapacityMin: Int
    ) {
        waker = ring.waker
        counts = ring.counts
        let splicePolicy = ring.canSplice ? SplicePolicy.standard : .never
        link = .allocate(capacity: 1)
        link.initialize(
            to: WorkerLink(
                sessionCapacity: sessionCapacity, waker: waker, recordCapacity: max(recordCapacityMin, recentSessions),
                keepsAllRecords: recentSessions > 0))
        context = .allocate(capacity: 1)
        context.initialize(
            to: Context(
                ring: consume ring, index: index, link: link, sessionCapacity: sessionCapacity,
                splicePolicy: splicePolicy)
        )
    }

    deinit {
        precondition(thread == nil, "a worker's thread must be stopped before it is dropped")
        if var ring = context.pointee.ring.take() { ring.shutdown() }
        context.deinitialize(count: 1)
        context.deallocate()
        link.deinitialize(count: 1)
        link.deallocate()
    }

    /// `links` of all workers, by their indices; they outlive the thread.
    func start(links: UnsafeBufferPointer<UnsafeMutablePointer<WorkerLink>>) {
        context.pointee.links = links
        thread = NativeThread.start(context) { pointer in
            WorkerThread.main(pointer!.assumingMemoryBound(to: Context.self))
            return nil
        }
    }

    private static func main(_ context: UnsafeMutablePointer<Context>) {
        guard var ring = context.pointee.ring.take() else { preconditionFailure("a worker was started twice") }
        NativeThread.nameCurrent("ring-\(context.pointee.index)")
        ring.enable()
        let worker = Worker(
            ring: consume ring,
            index: context.pointee.index,
            link: context.pointee.link,
            links: context.pointee.links,
            sessionCapacity: context.pointee.sessionCapacity,
            splicePolicy: context.pointee.splicePolicy
        )
        guard var worker else { preconditionFailure("no address space for sessions") }
        worker.run()
        context.pointee.link.pointee.end()
        while context.pointee.link.pointee.hasVisitors { usleep(10) }
        worker.shutdown()
    }

    /// Adds what the ring has counted since. It counts in 32 bits, so this must not be forgotten for a thousand seconds.
    func foldCounts() {
        // Its memory goes with the thread.
        guard thread != nil else { return }
        submissions &+= UInt64(counts.submitted &- UInt32(truncatingIfNeeded: submissions))
        completions &+= UInt64(counts.completed &- UInt32(truncatingIfNeeded: completions))
    }

    /// Ends every session and the thread, and waits for it. Idempotent.
    func stop() {
        guard let thread else { return }
        foldCounts()
        link.pointee.command(WorkerLink.stopCommand)
        // A ring whose completion queue is full cannot be woken, and has work that makes it look by itself.
        while !link.pointee.hasEnded.load(ordering: .acquiring), !waker.wake() { usleep(1000) }
        thread.join()
        self.thread = nil
    }
}

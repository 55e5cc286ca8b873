// Owns the line of clients that wait for a place, one for each service, shared by all rings: its order, its bound, and
// who has been called. Leaves to others: whether there is a place (ServiceTable+Admission), telling rings (Worker).

import Synchronization

/// First come, first served, over all rings.
///
/// Who finds a place for the head calls it: it leaves the line and its ring is told. Until that ring has looked for the
/// place the client counts as called: so many free places are spoken for. It then either has its place, or goes back to
/// where it stood, or has left; whatever it was called for and does not use is for the next.
///
/// A lock guards the line, held for a few instructions. Who has nothing to do with a queue reads `count` and goes on.
struct WaitingQueue: ~Copyable {
    /// A waiter's place in the memory of its queue.
    typealias Position = UInt32

    /// What a client keeps of its wait, so that it stands where it stood when the connect that it was called for fails.
    struct Standing: Equatable {
        /// The smaller, the earlier it came; the greatest of all if it has never waited.
        var number: UInt64
        /// When it joined first.
        var since: UInt64
        /// When its wait must end; 0 while it may wait for as long as it takes.
        var deadline: UInt64

        static var none: Standing { Standing(number: .max, since: 0, deadline: 0) }
    }

    /// Clients that wait, those called included. Read before the lock is taken: rings that free a place, lower a count
    /// first and read this after it; rings whose client joins, raise this first and look for a place after it. Sequential
    /// consistency sees to it that one of the two sees the other.
    let count = Atomic<Int>(0)
    private let line = Mutex(WaitingLine())

    /// Whether nobody waits: then there is nobody to overtake, and nobody to tell of a free place.
    @inline(__always)
    var isEmpty: Bool { count.load(ordering: .sequentiallyConsistent) == 0 }

    /// Makes memory for `limit` waiters; called by the control thread before a ring may let so many in.
    func prepare(limit: Int) {
        line.withLock { $0.prepare(limit: limit) }
    }

    /// Joins the end of the line, or stands where it stood before; `nil` when `limit` wait already. `wait` is how long one
    /// may wait by the configuration, 0 for as long as it takes; the result says until when this one may.
    func join(
        worker: Int, slot: UInt32, now: UInt64, limit: Int, wait: UInt64, as former: Standing = .none
    ) -> (position: Position, standing: Standing)? {
        line.withLock { line in
            let present = line.count
            guard present < limit, let position = line.allocate() else { return nil }
            line.wait = wait
            var standing = former
            if former == .none {
                let patience = line.delay.patience(now: now, wait: wait, isQueueEmpty: present == 0)
                standing = Standing(number: line.takeNumber(), since: now, deadline: patience > 0 ? now &+ patience : 0)
            }
            line.join(position, worker: UInt32(worker), slot: slot, standing)
            count.store(line.count, ordering: .sequentiallyConsistent)
            return (position, standing)
        }
    }

    /// Leaves the line. `false` when the client was called meanwhile: its ring has been told or is about to be, and
    /// must answer by `finish`.
    func leave(_ position: Position) -> Bool {
        line.withLock { line in
            guard !line.isCalled(position) else { return false }
            line.remove(position)
            line.free(position)
            didLeave(&line)
            return true
        }
    }

    /// Calls the head of the line, again and again while `isFree` says that there is a place besides those that were
    /// called for already, and reserves it. `tell` is called within the lock: whoever finds by `leave` that it was
    /// called has been told.
    func call(while isFree: (_ called: Int) -> Bool, tell: (_ worker: Int, _ slot: UInt32) -> Void) {
        line.withLock { line in
            while let head = line.head, isFree(line.calledCount) {
                line.remove(head)
                line.markCalled(head)
                tell(Int(line.worker(of: head)), line.slot(of: head))
            }
        }
    }

    /// A client that was called is through with it: it has its place, or has left.
    func finish(_ position: Position, isServed: Bool, now: UInt64) {
        line.withLock { line in
            let since = line.since(position)
            line.free(position)
            if isServed {
                let waited = now > since ? now - since : 0
                line.delay.served(after: waited, now: now, wait: line.wait, isQueueEmpty: line.count == 0)
            }
            didLeave(&line)
        }
    }

    /// A client that was called found no place: it stands again where it stood.
    func putBack(_ position: Position) {
        line.withLock { $0.putBack(position) }
    }

    private func didLeave(_ line: inout WaitingLine) {
        if line.count == 0 { line.delay.emptied() }
        count.store(line.count, ordering: .sequentiallyConsistent)
    }

    /// How often what newcomers may wait is halved now, and the waiters in line by their numbers: for tests.
    var delayLevel: UInt8 { line.withLock { $0.delay.level } }
    var waitingNumbers: [UInt64] { line.withLock { $0.numbers } }
    var capacity: Int { line.withLock { $0.capacity } }

    /// The number by which a waiter stands in line: the smaller, the earlier it came.
    func number(of position: Position) -> UInt64 { line.withLock { $0.number(of: position) } }
}

/// A list in memory that the control thread makes: joining and leaving take constant time and allocate nothing.
struct WaitingLine: ~Copyable {
    private static let none = UInt32.max

    private struct Waiter {
        var next: UInt32
        var previous: UInt32
        var worker: UInt32
        var slot: UInt32
        var number: UInt64
        var since: UInt64
        var isCalled: Bool
    }

    private var waiters: UnsafeMutablePointer<Waiter>?
    private(set) var capacity = 0
    /// Places ever used since the memory was made; those below have been written.
    private var touchedCount = 0
    private var freeHead = WaitingLine.none
    private var first = WaitingLine.none
    private var last = WaitingLine.none
    private var nextNumber: UInt64 = 0
    /// In line and called.
    private(set) var count = 0
    private(set) var calledCount = 0
    var delay = QueueDelay()
    /// How long one may wait by the configuration that the last one joined under.
    var wait: UInt64 = 0

    deinit {
        waiters?.deallocate()
    }

    var head: WaitingQueue.Position? { first == WaitingLine.none ? nil : first }

    private func waiter(_ position: UInt32) -> UnsafeMutablePointer<Waiter> {
        guard let waiters, Int(position) < touchedCount else { preconditionFailure("nobody waits there") }
        return waiters + Int(position)
    }

    func worker(of position: UInt32) -> UInt32 { waiter(position).pointee.worker }
    func slot(of position: UInt32) -> UInt32 { waiter(position).pointee.slot }
    func since(_ position: UInt32) -> UInt64 { waiter(position).pointee.since }
    func number(of position: UInt32) -> UInt64 { waiter(position).pointee.number }
    func isCalled(_ position: UInt32) -> Bool { waiter(position).pointee.isCalled }

    var numbers: [UInt64] {
        var numbers: [UInt64] = []
        var position = first
        while position != WaitingLine.none {
            numbers.append(waiter(position).pointee.number)
            position = waiter(position).pointee.next
        }
        return numbers
    }

    /// Memory grows to the limit, and shrinks to it when nobody waits.
    mutating func prepare(limit: Int) {
        guard limit > capacity || limit < capacity && count == 0 else { return }
        let larger = limit == 0 ? nil : UnsafeMutablePointer<Waiter>.allocate(capacity: limit)
        if count == 0 {
            touchedCount = 0
            freeHead = WaitingLine.none
        } else if let waiters, let larger {
            larger.moveInitialize(from: waiters, count: touchedCount)
        }
        waiters?.deallocate()
        waiters = larger
        capacity = limit
    }

    /// That of a newcomer.
    mutating func takeNumber() -> UInt64 {
        defer { nextNumber &+= 1 }
        return nextNumber
    }

    /// Puts a client at a place in memory in line by its number.
    mutating func join(_ position: UInt32, worker: UInt32, slot: UInt32, _ standing: WaitingQueue.Standing) {
        (waiters! + Int(position)).initialize(
            to: Waiter(
                next: WaitingLine.none, previous: WaitingLine.none, worker: worker, slot: slot,
                number: standing.number, since: standing.since, isCalled: false)
        )
        count += 1
        insert(position)
    }

    /// `nil` when there is no memory left for one more.
    mutating func allocate() -> UInt32? {
        if freeHead != WaitingLine.none {
            let position = freeHead
            freeHead = waiter(position).pointee.next
            return position
        }
        guard touchedCount < capacity else { return nil }
        touchedCount += 1
        return UInt32(touchedCount - 1)
    }

    /// Takes a waiter out of the line; its place in memory stays its own.
    mutating func remove(_ position: UInt32) {
        let (next, previous) = (waiter(position).pointee.next, waiter(position).pointee.previous)
        if previous == WaitingLine.none { first = next } else { waiter(previous).pointee.next = next }
        if next == WaitingLine.none { last = previous } else { waiter(next).pointee.previous = previous }
    }

    mutating func markCalled(_ position: UInt32) {
        waiter(position).pointee.isCalled = true
        calledCount += 1
    }

    /// Forgets a waiter that stands in line no more.
    mutating func free(_ position: UInt32) {
        if waiter(position).pointee.isCalled { calledCount -= 1 }
        waiter(position).pointee.next = freeHead
        freeHead = position
        count -= 1
    }

    mutating func putBack(_ position: UInt32) {
        precondition(waiter(position).pointee.isCalled)
        waiter(position).pointee.isCalled = false
        calledCount -= 1
        insert(position)
    }

    /// Before those who came after it: a newcomer at the end, one that comes back after no others than such ones.
    private mutating func insert(_ position: UInt32) {
        let number = waiter(position).pointee.number
        var next = WaitingLine.none
        if last != WaitingLine.none, waiter(last).pointee.number > number {
            next = first
            while waiter(next).pointee.number < number { next = waiter(next).pointee.next }
        }
        let previous = next == WaitingLine.none ? last : waiter(next).pointee.previous
        waiter(position).pointee.next = next
        waiter(position).pointee.previous = previous
        if previous == WaitingLine.none { first = position } else { waiter(previous).pointee.next = position }
        if next == WaitingLine.none { last = position } else { waiter(next).pointee.previous = position }
    }
}

// Owns the line of waiters: its order, its bound, its memory, and that no place is lost however threads meet.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct WaitingQueueTests {
    private final class Box {
        let queue = WaitingQueue()
        var called: [UInt32] = []

        init(limit: Int) { queue.prepare(limit: limit) }

        func join(_ slot: UInt32, limit: Int = 100, now: UInt64 = 0) -> UInt32? {
            queue.join(worker: 0, slot: slot, now: now, limit: limit, wait: 0)?.position
        }

        // The macros of tests take no borrowed values.
        var isEmpty: Bool { queue.isEmpty }
        var capacity: Int { queue.capacity }
        var numbers: [UInt64] { queue.waitingNumbers }
        var count: Int { queue.count.load(ordering: .relaxed) }
        func leave(_ position: UInt32) -> Bool { queue.leave(position) }

        /// Calls up to `count`; the slots.
        func call(_ count: Int) -> [UInt32] {
            var slots: [UInt32] = []
            queue.call(while: { _ in slots.count < count }, tell: { slots.append($1) })
            return slots
        }
    }

    @Test func theFirstToComeIsTheFirstToBeCalled() {
        let box = Box(limit: 10)
        for slot in UInt32(0)..<5 { #expect(box.join(slot) != nil) }
        #expect(box.call(2) == [0, 1] && box.call(2) == [2, 3] && box.call(9) == [4] && box.call(1) == [])
    }

    @Test func theLimitHoldsAlsoForThoseCalled() {
        let box = Box(limit: 3)
        let positions = (UInt32(0)..<3).map { box.join($0, limit: 3)! }
        #expect(box.join(3, limit: 3) == nil)
        _ = box.call(1)
        #expect(box.join(3, limit: 3) == nil, "who was called has not left yet")
        box.queue.finish(positions[0], isServed: true, now: 0)
        #expect(box.join(3, limit: 3) != nil && box.join(4, limit: 3) == nil)
    }

    @Test func aNarrowerLimitKeepsThoseWhoWait() {
        let box = Box(limit: 4)
        for slot in UInt32(0)..<4 { _ = box.join(slot, limit: 4) }
        box.queue.prepare(limit: 2)
        #expect(box.join(9, limit: 2) == nil)
        #expect(box.call(9) == [0, 1, 2, 3] && box.capacity == 4)
    }

    @Test func memoryFollowsTheLimit() {
        let box = Box(limit: 2)
        let first = box.join(0, limit: 8)!
        let second = box.join(1, limit: 8)!
        #expect(box.join(2, limit: 8) == nil, "a ring that knows of a limit before its memory is there")
        box.queue.prepare(limit: 8)
        let third = box.join(2, limit: 8)!
        #expect(box.leave(first) && box.leave(third))
        #expect(box.call(9) == [1])
        box.queue.finish(second, isServed: true, now: 0)
        box.queue.prepare(limit: 0)
        #expect(box.capacity == 0 && box.join(5, limit: 8) == nil && box.isEmpty)
        box.queue.prepare(limit: 1)
        #expect(box.join(5, limit: 8) != nil)
    }

    @Test func anyoneMayLeave() {
        for leaver in 0..<4 {
            let box = Box(limit: 4)
            let positions = (UInt32(0)..<4).map { box.join($0)! }
            #expect(box.leave(positions[leaver]))
            #expect(box.call(9) == (0..<4).filter { $0 != leaver }.map { UInt32($0) })
        }
    }

    @Test func whoWasCalledCannotLeaveBehindTheCallersBack() {
        let box = Box(limit: 2)
        let position = box.join(0)!
        #expect(box.call(1) == [0] && !box.leave(position) && !box.isEmpty)
        box.queue.finish(position, isServed: false, now: 0)
        #expect(box.isEmpty)
    }

    /// Called in turn and put back in any order: each stands where it stood.
    @Test(arguments: [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0], [0, 2, 1], [2, 0, 1]])
    func whoFindsNoPlaceStandsWhereItStood(order: [Int]) {
        let box = Box(limit: 5)
        let positions = (UInt32(0)..<5).map { box.join($0)! }
        #expect(box.call(3) == [0, 1, 2])
        for index in order { box.queue.putBack(positions[index]) }
        #expect(box.numbers == [0, 1, 2, 3, 4])
        #expect(box.call(9) == [0, 1, 2, 3, 4])
    }

    /// Who was called and then refused comes back to where it stood, and keeps the end of its wait.
    @Test func whoWasRefusedStandsWhereItStood() {
        let box = Box(limit: 5)
        let joined = (UInt32(0)..<4).map { slot in
            box.queue.join(worker: 0, slot: slot, now: UInt64(slot) * 10, limit: 5, wait: 1000)!
        }
        #expect(box.call(2) == [0, 1])
        for index in [1, 0] { box.queue.finish(joined[index].position, isServed: true, now: 50) }
        #expect(box.join(4, now: 60) != nil)
        for slot in [UInt32(1), 0] {
            let again = box.queue.join(
                worker: 0, slot: slot, now: 70, limit: 5, wait: 1000, as: joined[Int(slot)].standing)
            #expect(
                again?.standing == joined[Int(slot)].standing && again?.standing.deadline == UInt64(slot) * 10 + 1000)
        }
        #expect(box.numbers == [0, 1, 2, 3, 4])
        #expect(box.call(9) == [0, 1, 2, 3, 4])
    }

    @Test func thoseCalledAreToldToWhoCallsNext() {
        let box = Box(limit: 5)
        let positions = (UInt32(0)..<5).map { box.join($0)! }
        var seen: [Int] = []
        let call = {
            box.queue.call(
                while: {
                    seen.append($0)
                    return $0 < 2
                }, tell: { _, _ in })
        }
        call()
        #expect(seen == [0, 1, 2])
        box.queue.finish(positions[0], isServed: true, now: 0)
        box.queue.putBack(positions[1])
        seen = []
        call()
        #expect(seen == [0, 1, 2])
    }

    /// Random steps beside a plain list.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func doesWhatAListWould(seed: UInt64) {
        var random = SeededGenerator(seed)
        let box = Box(limit: 16)
        var line: [(number: UInt32, position: UInt32)] = []
        var called: [(number: UInt32, position: UInt32)] = []
        var next: UInt32 = 0
        for _ in 0..<2000 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1:
                let position = box.join(next, limit: 16)
                #expect((position != nil) == (line.count + called.count < 16))
                if let position { line.append((next, position)) }
                next += 1
            case 2:
                let count = Int.random(in: 0...3, using: &random)
                let expected = line.prefix(count)
                #expect(box.call(count) == expected.map(\.number))
                called += expected
                line.removeFirst(expected.count)
            case 3 where !line.isEmpty:
                #expect(box.leave(line.remove(at: .random(in: 0..<line.count, using: &random)).position))
            case 4 where !called.isEmpty:
                let one = called.remove(at: .random(in: 0..<called.count, using: &random))
                box.queue.finish(one.position, isServed: .random(using: &random), now: 0)
            case 5 where !called.isEmpty:
                let one = called.remove(at: .random(in: 0..<called.count, using: &random))
                box.queue.putBack(one.position)
                line.append(one)
                line.sort { $0.number < $1.number }
            default: break
            }
            #expect(box.count == line.count + called.count)
        }
    }

    // MARK: Threads

    /// Eight threads play rings: clients come, wait, are called, leave, and give their places to others. Never are more
    /// in than the limit says, and in the end nobody waits beside a free place.
    @Test func noPlaceIsLostOverThreads() {
        let stage = QueueStage(workers: 8, limit: 5, queueLimit: 40)
        let nextWorker = Atomic<Int>(0)
        inThreads(8) {
            let worker = nextWorker.wrappingAdd(1, ordering: .relaxed).oldValue
            stage.run(worker, clients: 5000)
        }
        #expect(stage.insideMaxCount == 5)
        #expect(stage.occupied == 0)
        #expect(stage.isEmpty && stage.leftCount > 0)
        #expect(stage.servedAfterWaitCount > 100)
    }
}

/// What workers do with a service's places and its queue, without anything else.
private final class QueueStage: @unchecked Sendable {
    let record: UnsafeMutablePointer<ServiceRecord>
    private let inboxes: UnsafeMutablePointer<CallInbox>
    private let workers: Int
    private let limit: Int
    private let queueLimit: Int
    let inside = Atomic<Int>(0)
    let insideMax = Atomic<Int>(0)
    let servedAfterWait = Atomic<Int>(0)
    let left = Atomic<Int>(0)
    var insideMaxCount: Int { insideMax.load(ordering: .relaxed) }
    var leftCount: Int { left.load(ordering: .relaxed) }
    var servedAfterWaitCount: Int { servedAfterWait.load(ordering: .relaxed) }
    private static let slots: UInt32 = 16

    var occupied: Int { record.pointee.occupied.load(ordering: .relaxed) }
    var isEmpty: Bool { record.pointee.queue.isEmpty }

    init(workers: Int, limit: Int, queueLimit: Int) {
        self.workers = workers
        self.limit = limit
        self.queueLimit = queueLimit
        record = .allocate(capacity: 1)
        record.initialize(to: ServiceRecord(workerCount: workers))
        record.pointee.queue.prepare(limit: queueLimit)
        inboxes = .allocate(capacity: workers)
        for worker in 0..<workers {
            (inboxes + worker).initialize(to: CallInbox(capacity: Int(QueueStage.slots)))
        }
    }

    deinit {
        record.deinitialize(count: 1)
        record.deallocate()
        inboxes.deinitialize(count: workers)
        inboxes.deallocate()
    }

    private enum Slot: Equatable {
        case free
        case inside
        case waiting(UInt32)
        /// Wanted to leave when it had been called.
        case leaving(UInt32)
    }

    private func callWaiters() {
        guard !record.pointee.queue.isEmpty else { return }
        record.pointee.queue.call(
            while: { _ in record.pointee.occupy(below: limit) },
            tell: { worker, slot in inboxes[worker].push(slot) }
        )
    }

    private func enter() {
        let now = inside.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
        insideMax.max(now, ordering: .relaxed)
    }

    private func exit() {
        inside.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        record.pointee.vacate()
        callWaiters()
    }

    func run(_ worker: Int, clients: Int) {
        var random = SeededGenerator(UInt64(worker + 1))
        var slots = Array(repeating: Slot.free, count: Int(QueueStage.slots))
        var coming = clients
        while coming > 0 || slots.contains(where: { $0 != .free }) {
            takeCalls(worker, &slots)
            let index = Int.random(in: 0..<slots.count, using: &random)
            switch slots[index] {
            case .free where coming > 0:
                coming -= 1
                slots[index] = come(worker, UInt32(index))
            case .inside:
                slots[index] = .free
                exit()
            case .waiting(let position) where coming > 0 && Int.random(in: 0..<50, using: &random) == 0:
                if record.pointee.queue.leave(position) {
                    left.wrappingAdd(1, ordering: .relaxed)
                    slots[index] = .free
                } else {
                    slots[index] = .leaving(position)
                }
            default: break
            }
        }
    }

    private func come(_ worker: Int, _ slot: UInt32) -> Slot {
        if record.pointee.queue.isEmpty, record.pointee.occupy(below: limit) {
            enter()
            return .inside
        }
        guard let joined = record.pointee.queue.join(worker: worker, slot: slot, now: 0, limit: queueLimit, wait: 0)
        else { return .free }
        callWaiters()
        return .waiting(joined.position)
    }

    private func takeCalls(_ worker: Int, _ slots: inout [Slot]) {
        guard !inboxes[worker].isEmpty else { return }
        var calls = inboxes[worker].takeAll()
        while let index = calls.pop() {
            switch slots[Int(index)] {
            case .waiting(let position):
                record.pointee.queue.finish(position, isServed: true, now: 0)
                enter()
                servedAfterWait.wrappingAdd(1, ordering: .relaxed)
                slots[Int(index)] = .inside
            case .leaving(let position):
                record.pointee.queue.finish(position, isServed: false, now: 0)
                slots[Int(index)] = .free
                record.pointee.vacate()
                callWaiters()
            case .free, .inside: preconditionFailure("nobody waits there")
            }
        }
    }
}

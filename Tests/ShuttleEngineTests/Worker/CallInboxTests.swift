// Owns how workers are told of calls: in order, each once, from any thread; and the set of workers to wake.

import Glibc
import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct CallInboxTests {
    /// The macros of tests take no borrowed values.
    private final class Box {
        let inbox = CallInbox(capacity: 8)
        var isEmpty: Bool { inbox.isEmpty }

        func take() -> [UInt32] {
            var calls = inbox.takeAll()
            var slots: [UInt32] = []
            while let slot = calls.pop() { slots.append(slot) }
            return slots
        }
    }

    @Test func callsComeInTheirOrder() {
        let box = Box()
        #expect(box.isEmpty && box.take() == [])
        for slot in [3, 0, 7, 1] as [UInt32] { box.inbox.push(slot) }
        #expect(!box.isEmpty && box.take() == [3, 0, 7, 1] && box.isEmpty)
        box.inbox.push(3)
        #expect(box.take() == [3])
    }

    @Test func aSlotMayBeCalledAgainWhileTheOthersAreHandedOut() {
        let box = Box()
        for slot in UInt32(0)..<3 { box.inbox.push(slot) }
        var calls = box.inbox.takeAll()
        #expect(calls.pop() == 0)
        box.inbox.push(0)
        #expect(calls.pop() == 1 && calls.pop() == 2 && calls.pop() == nil && box.take() == [0])
    }

    /// Seven threads call, each its own slots and again only when the last call was taken; each call is taken once.
    @Test func everyCallIsTakenOnceOverThreads() {
        let stage = Stage()
        let nextThread = Atomic<Int>(0)
        inThreads(8) {
            let thread = nextThread.wrappingAdd(1, ordering: .relaxed).oldValue
            if thread == 7 { stage.take() } else { stage.call(thread) }
        }
        let taken = stage.taken.load(ordering: .relaxed)
        #expect(taken == 7 * Stage.rounds)
    }

    private final class Stage: @unchecked Sendable {
        static let rounds = 3000
        let inbox = CallInbox(capacity: 28)
        let taken = Atomic<Int>(0)
        private let isOut: UnsafeMutablePointer<Atomic<Bool>>

        init() {
            isOut = .allocate(capacity: 28)
            for index in 0..<28 { (isOut + index).initialize(to: Atomic(false)) }
        }

        deinit { isOut.deallocate() }

        func call(_ thread: Int) {
            for round in 0..<Stage.rounds {
                let slot = thread * 4 + round % 4
                while isOut[slot].exchange(true, ordering: .acquiringAndReleasing) { sched_yield() }
                inbox.push(UInt32(slot))
            }
        }

        func take() {
            while taken.load(ordering: .relaxed) < 7 * Stage.rounds {
                if inbox.isEmpty { sched_yield() }
                var calls = inbox.takeAll()
                while let slot = calls.pop() {
                    taken.wrappingAdd(1, ordering: .relaxed)
                    let wasOut = isOut[Int(slot)].exchange(false, ordering: .acquiringAndReleasing)
                    precondition(wasOut, "a call was taken twice")
                }
            }
        }
    }

    @Test func aSetOfWorkersIsWalkedInOrder() {
        var set = WorkerSet()
        #expect(set.isEmpty && set.first(from: 0) == nil)
        let members = [0, 1, 63, 64, 127, 200, 255]
        for member in members.shuffled() { set.insert(member) }
        var walked: [Int] = []
        var next = set.first(from: 0)
        while let member = next {
            walked.append(member)
            next = member + 1 < WorkerSet.workersMax ? set.first(from: member + 1) : nil
        }
        #expect(walked == members && !set.isEmpty)
        for member in members { set.remove(member) }
        #expect(set.isEmpty)
    }
}

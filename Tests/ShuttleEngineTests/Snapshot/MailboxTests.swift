// Owns the hand-over of pointers: nothing is lost, nothing is taken twice.

import Glibc
import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct MailboxTests {
    @Test func oneAtATime() {
        let mailbox = Mailbox<Int>()
        let values = UnsafeMutablePointer<Int>.allocate(capacity: 2)
        values.initialize(repeating: 0, count: 2)
        defer { values.deallocate() }
        func isEmpty() -> Bool { mailbox.isEmpty }
        func take() -> UnsafeMutablePointer<Int>? { mailbox.take() }
        func put(_ value: UnsafeMutablePointer<Int>) -> UnsafeMutablePointer<Int>? { mailbox.put(value) }
        #expect(isEmpty() && take() == nil)
        #expect(put(values) == nil)
        #expect(!isEmpty())
        #expect(put(values + 1) == values, "the one nobody took comes back")
        #expect(take() == values + 1)
        #expect(isEmpty() && take() == nil)
    }

    /// One thread puts a million, others take: each is seen exactly once, by a taker or coming back, with its content.
    @Test func everyPointerComesOutOnce() {
        final class Shared {
            let mailbox = Mailbox<Int>()
            let taken = Mutex<[Int: Int]>([:])
            let isDone = Atomic<Bool>(false)
            let role = Atomic<Int>(0)
        }
        let shared = Shared()
        let count = 50_000
        inThreads(3) {
            var mine: [Int: Int] = [:]
            func own(_ pointer: UnsafeMutablePointer<Int>?) {
                guard let pointer else { return }
                mine[pointer.pointee, default: 0] += 1
                pointer.deinitialize(count: 1)
                pointer.deallocate()
            }
            if shared.role.wrappingAdd(1, ordering: .relaxed).oldValue == 0 {
                for value in 0..<count {
                    let pointer = UnsafeMutablePointer<Int>.allocate(capacity: 1)
                    pointer.initialize(to: value)
                    own(shared.mailbox.put(pointer))
                }
                shared.isDone.store(true, ordering: .releasing)
            } else {
                while !shared.isDone.load(ordering: .acquiring) {
                    if !shared.mailbox.isEmpty { own(shared.mailbox.take()) } else { sched_yield() }
                }
            }
            shared.taken.withLock { $0.merge(mine, uniquingKeysWith: +) }
        }
        if let last = shared.mailbox.take() {
            shared.taken.withLock { $0[last.pointee, default: 0] += 1 }
            last.deallocate()
        }
        let taken = shared.taken.withLock { $0 }
        #expect(taken.count == count)
        #expect(taken.values.allSatisfy { $0 == 1 })
    }
}

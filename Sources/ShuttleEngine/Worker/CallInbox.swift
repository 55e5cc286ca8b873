// Owns how rings tell a worker that a place is reserved for one of its waiting sessions: by the session's slot.

import Synchronization

/// Slots that were called, pushed by any thread and taken by the worker: a list without locks, through one word for each
/// slot. A slot is called at most once until its worker has taken the call.
struct CallInbox: ~Copyable {
    private static let none = UInt32.max

    private let head = Atomic<UInt32>(CallInbox.none)
    private let next: UnsafeMutablePointer<UInt32>

    init(capacity: Int) {
        // Not initialised: untouched memory is not even there.
        next = .allocate(capacity: capacity)
    }

    deinit {
        next.deallocate()
    }

    @inline(__always)
    var isEmpty: Bool { head.load(ordering: .relaxed) == CallInbox.none }

    func push(_ slot: UInt32) {
        var present = head.load(ordering: .relaxed)
        while true {
            next[Int(slot)] = present
            let result = head.weakCompareExchange(
                expected: present, desired: slot, successOrdering: .releasing, failureOrdering: .relaxed)
            if result.exchanged { return }
            present = result.original
        }
    }

    /// Takes all calls, the oldest first; `body` may find that more have come when it is through.
    func takeAll() -> TakenCalls {
        var newest = head.exchange(CallInbox.none, ordering: .acquiring)
        var oldest = CallInbox.none
        // The list has the newest first.
        while newest != CallInbox.none {
            let older = next[Int(newest)]
            next[Int(newest)] = oldest
            oldest = newest
            newest = older
        }
        return TakenCalls(first: oldest, next: next)
    }

    /// Calls that were taken. A slot may be called anew once it has been handed out.
    struct TakenCalls {
        fileprivate var first: UInt32
        fileprivate let next: UnsafeMutablePointer<UInt32>

        mutating func pop() -> UInt32? {
            guard first != CallInbox.none else { return nil }
            let slot = first
            first = next[Int(slot)]
            return slot
        }
    }
}

// Owns the order of changes: one at a time, first come first served.
// Leaves to others: what is done while inside (ControlPlane).

import NIOCore

/// Lets one task in at a time, in order of arrival. An actor is reentrant at each `await`; this is not.
///
/// Confined to the actor that owns it.
final class Turnstile {
    private var isTaken = false
    private var waiters = CircularBuffer<CheckedContinuation<Void, Never>>()

    /// How many wait for their turn.
    var waitingCount: Int { waiters.count }

    /// Waits for its turn. Everyone who enters must leave.
    ///
    /// Looking whether it is taken and joining those who wait is one step: others may run before a continuation is made,
    /// and whoever leaves in between would find nobody to hand over to.
    nonisolated(nonsending) func enter() async {
        await withCheckedContinuation { continuation in
            if isTaken {
                waiters.append(continuation)
            } else {
                isTaken = true
                continuation.resume()
            }
        }
    }

    /// Enters if nobody is inside. Whoever waits goes first.
    func tryEnter() -> Bool {
        if isTaken {
            return false
        }
        isTaken = true
        return true
    }

    /// Hands over to whoever came next; it stays taken then, so that nobody slips in between.
    func leave() {
        precondition(isTaken, "left without having entered")
        guard let next = waiters.popFirst() else {
            isTaken = false
            return
        }
        next.resume()
    }
}

// Owns how somebody outside can see that every ring goes on: what it has done, and having it do something.

import Synchronization

extension Engine {
    /// Rounds of each ring's loop. A ring without anything to do makes none until it is woken.
    public func turns() -> [UInt64] {
        workers.map { $0.link.pointee.turns.load(ordering: .relaxed) }
    }

    /// Has each ring make a turn.
    public func wakeRings() {
        wake(Array(workers.indices))
    }
}

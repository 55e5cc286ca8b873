// Owns what choosing a backend does to what it is chosen from: takes a turn and a place, or neither. One choice, two uses:
// for sessions, and for those who only want to know.
// Leaves to others: choosing (BackendChoice).

import Synchronization

/// A type without values, so that what is called is known where the choice is compiled.
protocol ChoiceEffects {
    /// The next turn.
    static func turn(_ ticket: UnsafeMutablePointer<Atomic<UInt64>>) -> UInt64
    /// A place at a backend, unless all are taken.
    static func reserve(_ entry: ServiceTable.Entry) -> Bool
    /// The same, unless another was faster since `expected` sessions were seen there.
    static func reserve(_ entry: ServiceTable.Entry, expected: Int) -> Bool
}

/// For a session: whoever gets the place releases it.
enum TakingPlaces: ChoiceEffects {
    @inline(__always)
    static func turn(_ ticket: UnsafeMutablePointer<Atomic<UInt64>>) -> UInt64 {
        ticket.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
    }

    @inline(__always)
    static func reserve(_ entry: ServiceTable.Entry) -> Bool { entry.reserve() }

    @inline(__always)
    static func reserve(_ entry: ServiceTable.Entry, expected: Int) -> Bool {
        entry.record.pointee.reserve(expected: expected)
    }
}

/// Changes nothing: what is chosen is what the next session would get if nothing happened before.
enum OnlyLooking: ChoiceEffects {
    static func turn(_ ticket: UnsafeMutablePointer<Atomic<UInt64>>) -> UInt64 {
        ticket.pointee.load(ordering: .relaxed)
    }

    static func reserve(_ entry: ServiceTable.Entry) -> Bool {
        entry.record.pointee.active.load(ordering: .relaxed) < entry.connectionsMax
    }

    static func reserve(_ entry: ServiceTable.Entry, expected: Int) -> Bool { true }
}

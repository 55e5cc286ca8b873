// Owns the table that gives clients to backends by a hash: Maglev, as in Eisenbud et al., "Maglev: A Fast and Reliable
// Software Network Load Balancer", NSDI 2016, section 3.4. Immutable; built by the control thread.
// Leaves to others: who is looked up (ClientHash), and what happens when its backend cannot be had (BackendChoice).

/// Every backend fills the places of the table in an order of its own, one place a turn, and takes turns by its weight:
/// it gets its share of the places to within one, and a backend that joins or leaves moves hardly more than its share.
///
/// The table names backends whether they are up or not. One that is down keeps its places, and its clients go on along
/// the table: nobody else's backend changes, and nothing need be built when its health does.
final class MaglevTable: Sendable {
    /// A backend's place in its service's list, its weight, and what its order of places comes from.
    struct Share: Equatable {
        var backend: UInt32
        var weight: Int
        var key: UInt64
    }

    /// The smaller of the sizes in the paper. A prime, so that every step width comes through all places. The same for
    /// every service, since in a table of another size everybody would have another backend.
    static let length = 65537

    /// Indices of backends. A single backend needs one place only; none, none.
    nonisolated(unsafe) let places: UnsafeBufferPointer<UInt16>
    let shares: [Share]

    init(_ shares: [Share]) {
        self.shares = shares
        let filled = shares.count > 1 ? MaglevTable.filled(shares) : shares.map { UInt16($0.backend) }
        let memory = UnsafeMutableBufferPointer<UInt16>.allocate(capacity: filled.count)
        _ = memory.initialize(from: filled)
        places = UnsafeBufferPointer(memory)
    }

    deinit {
        places.deallocate()
    }

    private static func filled(_ shares: [Share]) -> [UInt16] {
        let length = MaglevTable.length
        let turns = Rotation.order(
            Rotation.reduced(shares.indices.map { Rotation.Share(backend: UInt32($0), weight: shares[$0].weight) })
        )
        let steps = shares.map { 1 + Int(ClientHash.mixed($0.key &+ 1) % UInt64(length - 1)) }
        var nextPlaces = shares.map { Int(ClientHash.mixed($0.key) % UInt64(length)) }
        let free = UInt16.max
        return [UInt16](unsafeUninitializedCapacity: length) { table, count in
            table.initialize(repeating: free)
            count = length
            var left = length
            while true {
                for turn in turns {
                    let share = Int(turn)
                    var place = nextPlaces[share]
                    let step = steps[share]
                    while table[place] != free {
                        place += step
                        if place >= length { place -= length }
                    }
                    table[place] = UInt16(shares[share].backend)
                    nextPlaces[share] = place
                    left -= 1
                    if left == 0 { return }
                }
            }
        }
    }
}

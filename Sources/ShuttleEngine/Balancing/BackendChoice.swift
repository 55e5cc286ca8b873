// Owns the choice of a backend: weighted round robin, weighted least connections, and what a retry may take.
// Knows no socket and no clock.

import Synchronization

/// Backends a session has tried, by identifier; each is tried at most once for the same client.
struct TriedBackends {
    static let triesMax = 3

    private var identifiers: InlineArray<3, UInt32> = .init(repeating: 0)
    private(set) var count = 0

    @inline(__always)
    func contains(_ identifier: UInt32) -> Bool {
        for index in 0..<count where identifiers[index] == identifier { return true }
        return false
    }

    mutating func insert(_ identifier: UInt32) {
        precondition(count < TriedBackends.triesMax)
        identifiers[count] = identifier
        count += 1
    }
}

extension ServiceTable {
    /// Chooses a backend for a new session or a further try and reserves its place there; `nil` when none is usable.
    @inline(__always)
    func chooseBackend(excluding tried: TriedBackends) -> UnsafeMutablePointer<BackendRecord>? {
        if tried.count > 0 { return reserveLeastLoaded(excluding: tried) }
        switch algorithm {
        case .roundRobin: return reserveNextInRotation()
        case .leastConnections: return reserveLeastLoaded(excluding: tried)
        }
    }

    @inline(__always)
    private func reserveNextInRotation() -> UnsafeMutablePointer<BackendRecord>? {
        guard !rotation.isEmpty else { return nil }
        let drawn = ticket.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
        let entry = entries[Int(rotation[Int(drawn % UInt64(rotation.count))])]
        if entry.isUsable {
            entry.record.pointee.reserve()
            return entry.record
        }
        // Its health has changed and the rotation without it is on its way.
        return reserveLeastLoaded(excluding: TriedBackends())
    }

    /// The usable backend with the fewest sessions for its weight; among equals the first after a moving start, so
    /// that an idle service uses all of them. A retry comes here for every algorithm and draws no ticket, so that
    /// the rotation stays exact for those who need no retry.
    private func reserveLeastLoaded(excluding tried: TriedBackends) -> UnsafeMutablePointer<BackendRecord>? {
        let count = entries.count
        guard count > 0 else { return nil }
        let start =
            algorithm == .leastConnections && tried.count == 0
            ? Int(ticket.pointee.wrappingAdd(1, ordering: .relaxed).oldValue % UInt64(count)) : 0
        while true {
            var best: Entry?
            var bestActive = 0
            for step in 0..<count {
                let index = start + step
                let entry = entries[index < count ? index : index - count]
                guard entry.isUsable, !tried.contains(entry.record.pointee.identifier) else { continue }
                let active = entry.record.pointee.active.load(ordering: .relaxed)
                // (active + 1) / weight, compared without division.
                if let current = best, (active + 1) * current.weight >= (bestActive + 1) * entry.weight { continue }
                best = entry
                bestActive = active
            }
            guard let best else { return nil }
            // Another ring may have given it a session meanwhile: then compare anew, so that the choice is exact.
            if best.record.pointee.reserve(expected: bestActive) { return best.record }
        }
    }
}

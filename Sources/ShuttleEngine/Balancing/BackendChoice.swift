// Owns the choice of a backend: weighted round robin, weighted least connections, backups, limits, and what a further
// try may take. Knows no socket and no clock.

import Synchronization

/// What the choice of a backend came to.
enum BackendChoice: Equatable {
    /// A place is taken there; whoever gets this releases it.
    case reserved(UnsafeMutablePointer<BackendRecord>)
    /// There are usable backends, and all have as many sessions as they may.
    case full
    /// There is none that could be used, or each was tried.
    case unusable
}

extension ServiceTable {
    /// Chooses a backend for a new session or a further try, and reserves its place there.
    ///
    /// Backups are looked at only when no other backend is usable and untried. One that is full is usable: a backup
    /// stands in for backends that are gone and takes nothing over from those that are busy.
    @inline(__always)
    func chooseBackend(excluding tried: TriedBackends) -> BackendChoice {
        if tried.count > 0 { return reserveLeastLoaded(excluding: tried) }
        switch algorithm {
        case .roundRobin: return reserveNextInRotation()
        case .leastConnections: return reserveLeastLoaded(excluding: tried)
        }
    }

    @inline(__always)
    private func reserveNextInRotation() -> BackendChoice {
        if !rotation.isEmpty {
            let drawn = ticket.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
            let entry = entries[Int(rotation[Int(drawn % UInt64(rotation.count))])]
            // A rotation of backups is no longer right when another backend has come up meanwhile.
            if entry.isUsable, !entry.isBackup || !isAnyPrimaryUsable, entry.reserve() {
                return .reserved(entry.record)
            }
        }
        // It is full, or its health has changed and the rotation that knows is on its way.
        return reserveLeastLoaded(excluding: TriedBackends())
    }

    /// Whether any backend can be used that is not a backup.
    private var isAnyPrimaryUsable: Bool {
        for entry in entries where !entry.isBackup && entry.isUsable { return true }
        return false
    }

    /// The usable backend with the fewest sessions for its weight of those that have room; among equals the first after
    /// a moving start, so that an idle service uses all of them. A further try comes here for every algorithm and draws
    /// no ticket, so that the rotation stays exact for those who need none.
    private func reserveLeastLoaded(excluding tried: TriedBackends) -> BackendChoice {
        let count = entries.count
        guard count > 0 else { return .unusable }
        let start =
            algorithm == .leastConnections && tried.count == 0
            ? Int(ticket.pointee.wrappingAdd(1, ordering: .relaxed).oldValue % UInt64(count)) : 0
        while true {
            var best: Entry?
            var bestActive = 0
            var isAnyUsable = false
            var isAnyPrimaryUsable = false
            for step in 0..<count {
                let index = start + step
                let entry = entries[index < count ? index : index - count]
                guard entry.isUsable, !tried.contains(entry.record.pointee.identifier) else { continue }
                isAnyUsable = true
                if entry.isBackup {
                    if isAnyPrimaryUsable { continue }
                } else if !isAnyPrimaryUsable {
                    isAnyPrimaryUsable = true
                    best = nil
                }
                let active = entry.record.pointee.active.load(ordering: .relaxed)
                guard active < entry.connectionsMax else { continue }
                // (active + 1) / weight, compared without division.
                if let current = best, (active + 1) * current.weight >= (bestActive + 1) * entry.weight { continue }
                best = entry
                bestActive = active
            }
            guard let best else { return isAnyUsable ? .full : .unusable }
            // Another ring may have given it a session meanwhile: then compare anew, so that the choice is exact.
            if best.record.pointee.reserve(expected: bestActive) { return .reserved(best.record) }
        }
    }
}

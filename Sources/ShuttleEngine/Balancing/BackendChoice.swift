// Owns the choice of a backend: the algorithms, backups, limits, and what a further try may take. Knows no socket, no
// clock and no chance: what is drawn from is given.

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

/// Of the pointer, not of the table: to call a method of a value as large as that is to copy it to the stack first.
extension UnsafePointer where Pointee == ServiceTable {
    /// Chooses a backend for a new session or a further try, and reserves its place there.
    ///
    /// Backups are looked at only when no other backend is usable and untried. One that is full is usable: a backup
    /// stands in for backends that are gone and takes nothing over from those that are busy.
    ///
    /// `draw` is the hash of the client for `hash`, and a random number for the algorithms that need chance.
    @inline(__always)
    func chooseBackend(for draw: UInt64, excluding tried: TriedBackends) -> BackendChoice {
        chooseBackend(for: draw, excluding: tried, TakingPlaces.self)
    }

    /// The same, with or without an effect on what is chosen from.
    @inline(__always)
    func chooseBackend<Effects: ChoiceEffects>(
        for draw: UInt64, excluding tried: TriedBackends, _ effects: Effects.Type
    ) -> BackendChoice {
        switch pointee.algorithm {
        case .roundRobin where tried.count == 0: return reserveNextInRotation(effects)
        case .random where tried.count == 0: return reserveDrawn(draw, effects)
        case .twoChoices where tried.count == 0: return reserveBetterOfTwo(draw, effects)
        case .hash: return reserveHashed(draw, excluding: tried, effects)
        default: return reserveLeastLoaded(excluding: tried, effects)
        }
    }

    // MARK: For those who wait

    /// As `chooseBackend`, for a client that can wait on: a backend that rests is left alone, and tried by one at a time
    /// when its rest is over and no other can be had.
    func chooseForWaiter(
        for draw: UInt64, excluding tried: TriedBackends, now: UInt64
    ) -> UnsafeMutablePointer<BackendRecord>? {
        guard pointee.entries.contains(where: { $0.isUsable && $0.record.pointee.rest.isOn }) else {
            guard case .reserved(let record) = chooseBackend(for: draw, excluding: tried) else { return nil }
            return record
        }
        let choice =
            pointee.algorithm == .hash
            ? reserveHashed(draw, excluding: tried, isRestRespected: true, TakingPlaces.self)
            : reserveLeastLoaded(excluding: tried, isRestRespected: true, TakingPlaces.self)
        if case .reserved(let record) = choice { return record }
        return reserveTrial(excluding: tried, now: now)
    }

    /// For a further try: one that does not rest before one that does, which is tried only where nobody can wait.
    func chooseAnother(for draw: UInt64, excluding tried: TriedBackends, now: UInt64) -> BackendChoice {
        if let record = chooseForWaiter(for: draw, excluding: tried, now: now) { return .reserved(record) }
        guard pointee.limits.queueLimit > 0 else { return chooseBackend(for: draw, excluding: tried) }
        let isAnyUsable = pointee.entries.contains { $0.isUsable && !tried.contains($0.record.pointee.identifier) }
        return isAnyUsable ? .full : .unusable
    }

    /// The first backend whose rest is over, if nobody else tries it.
    private func reserveTrial(excluding tried: TriedBackends, now: UInt64) -> UnsafeMutablePointer<BackendRecord>? {
        let areBackupsUsable = !isAnyPrimaryUsable(excluding: tried)
        for entry in pointee.entries where entry.isUsable && (!entry.isBackup || areBackupsUsable) {
            let record = entry.record
            guard !tried.contains(record.pointee.identifier),
                record.pointee.active.load(ordering: .relaxed) < entry.connectionsMax,
                record.pointee.rest.takeTrial(now: now), entry.reserve()
            else { continue }
            return record
        }
        return nil
    }

    @inline(__always)
    private func reserveNextInRotation<Effects: ChoiceEffects>(_ effects: Effects.Type) -> BackendChoice {
        if !pointee.rotation.isEmpty {
            let drawn = effects.turn(pointee.ticket)
            let entry = pointee.entries[Int(pointee.rotation[Int(drawn % UInt64(pointee.rotation.count))])]
            if isEligible(entry), effects.reserve(entry) { return .reserved(entry.record) }
        }
        // It is full, or its health has changed and the rotation that knows is on its way.
        return reserveLeastLoaded(excluding: TriedBackends(), effects)
    }

    /// Whether an entry of the rotation may be chosen if it has room. A rotation of backups is no longer right when
    /// another backend has come up meanwhile.
    @inline(__always)
    private func isEligible(_ entry: ServiceTable.Entry) -> Bool {
        entry.isUsable && (!entry.isBackup || !isAnyPrimaryUsable(excluding: TriedBackends()))
    }

    /// Whether any backend can be used that is not a backup.
    private func isAnyPrimaryUsable(excluding tried: TriedBackends) -> Bool {
        for entry in pointee.entries where !entry.isBackup && entry.isUsable {
            if !tried.contains(entry.record.pointee.identifier) { return true }
        }
        return false
    }

    // MARK: Chance

    /// `draw` below 2³², scaled to a place in the rotation, where everybody has as many places as its weight says.
    @inline(__always)
    private func rotationPlace(_ draw: UInt64) -> Int {
        Int(truncatingIfNeeded: (draw &* UInt64(truncatingIfNeeded: pointee.rotation.count)) >> 32)
    }

    private func reserveDrawn<Effects: ChoiceEffects>(_ draw: UInt64, _ effects: Effects.Type) -> BackendChoice {
        if !pointee.rotation.isEmpty {
            let entry = pointee.entries[Int(pointee.rotation[rotationPlace(draw >> 32)])]
            if isEligible(entry), effects.reserve(entry) { return .reserved(entry.record) }
        }
        return reserveLeastLoaded(excluding: TriedBackends(), effects)
    }

    /// Two draws by weight, from one half of the bits each; when both are the same backend, the second is the next other
    /// one in the rotation.
    private func reserveBetterOfTwo<Effects: ChoiceEffects>(_ draw: UInt64, _ effects: Effects.Type) -> BackendChoice {
        guard !pointee.rotation.isEmpty else { return reserveLeastLoaded(excluding: TriedBackends(), effects) }
        let firstIndex = pointee.rotation[rotationPlace(draw >> 32)]
        var place = rotationPlace(draw & 0xffff_ffff)
        for _ in 0..<pointee.rotation.count {
            if pointee.rotation[place] != firstIndex { break }
            place = place &+ 1 == pointee.rotation.count ? 0 : place &+ 1
        }
        let (first, second) = (pointee.entries[Int(firstIndex)], pointee.entries[Int(pointee.rotation[place])])
        let isSecondBetter =
            (second.record.pointee.active.load(ordering: .relaxed) + 1) * first.weight
            < (first.record.pointee.active.load(ordering: .relaxed) + 1) * second.weight
        let (better, other) = isSecondBetter ? (second, first) : (first, second)
        if isEligible(better), effects.reserve(better) { return .reserved(better.record) }
        if isEligible(other), effects.reserve(other) { return .reserved(other.record) }
        return reserveLeastLoaded(excluding: TriedBackends(), effects)
    }

    // MARK: Hash

    /// The client's backend, or the next along the table that can be had. Only when most are down or full is none found
    /// within `hashStepsMax` places; then the least loaded serves.
    @inline(__always)
    private func reserveHashed<Effects: ChoiceEffects>(
        _ client: UInt64,
        excluding tried: TriedBackends,
        isRestRespected: Bool = false,
        _ effects: Effects.Type
    ) -> BackendChoice {
        if let record = reserveAlong(pointee.hashPlaces, client, excluding: tried, isRestRespected, effects) {
            return .reserved(record)
        }
        if !pointee.backupHashPlaces.isEmpty, !isAnyPrimaryUsable(excluding: tried),
            let record = reserveAlong(
                pointee.backupHashPlaces, client, excluding: tried, isRestRespected, effects)
        {
            return .reserved(record)
        }
        return reserveLeastLoaded(excluding: tried, isRestRespected: isRestRespected, effects)
    }

    @inline(__always)
    private func reserveAlong<Effects: ChoiceEffects>(
        _ places: UnsafeBufferPointer<UInt16>,
        _ client: UInt64,
        excluding tried: TriedBackends,
        _ isRestRespected: Bool,
        _ effects: Effects.Type
    ) -> UnsafeMutablePointer<BackendRecord>? {
        guard !places.isEmpty else { return nil }
        var place = ServiceTable.hashPlace(client, of: places.count)
        for _ in 0..<min(places.count, ServiceTable.hashStepsMax) {
            let entry = pointee.entries[Int(places[place])]
            if entry.isUsable, entry.takes(client), !tried.contains(entry.record.pointee.identifier),
                !(isRestRespected && entry.record.pointee.rest.isOn), effects.reserve(entry)
            {
                return entry.record
            }
            place = place &+ 1 == places.count ? 0 : place &+ 1
        }
        return nil
    }

    // MARK: Least loaded

    /// The usable backend with the fewest sessions for its weight of those that have room; among equals the first after
    /// a moving start, so that an idle service uses all of them. A further try comes here for every algorithm and draws
    /// no ticket, so that the rotation stays exact for those who need none.
    private func reserveLeastLoaded<Effects: ChoiceEffects>(
        excluding tried: TriedBackends, isRestRespected: Bool = false, _ effects: Effects.Type
    ) -> BackendChoice {
        let count = pointee.entries.count
        guard count > 0 else { return .unusable }
        let start =
            pointee.algorithm == .leastConnections && tried.count == 0
            ? Int(effects.turn(pointee.ticket) % UInt64(count)) : 0
        while true {
            var best: ServiceTable.Entry?
            var bestActive = 0
            var isAnyUsable = false
            var isAnyPrimaryUsable = false
            for step in 0..<count {
                let index = start + step
                let entry = pointee.entries[index < count ? index : index - count]
                guard entry.isUsable, !tried.contains(entry.record.pointee.identifier) else { continue }
                isAnyUsable = true
                if entry.isBackup {
                    if isAnyPrimaryUsable { continue }
                } else if !isAnyPrimaryUsable {
                    isAnyPrimaryUsable = true
                    best = nil
                }
                if isRestRespected, entry.record.pointee.rest.isOn { continue }
                let active = entry.record.pointee.active.load(ordering: .relaxed)
                guard active < entry.connectionsMax else { continue }
                // (active + 1) / weight, compared without division.
                if let current = best, (active + 1) * current.weight >= (bestActive + 1) * entry.weight { continue }
                best = entry
                bestActive = active
            }
            guard let best else { return isAnyUsable ? .full : .unusable }
            // Another ring may have given it a session meanwhile: then compare anew, so that the choice is exact.
            if effects.reserve(best, expected: bestActive) { return .reserved(best.record) }
        }
    }
}

extension ServiceTable {
    /// So many places of the table are looked at before all backends are.
    static var hashStepsMax: Int { 256 }

    /// Where a hashed client looks first in a table of so many places.
    @inline(__always)
    static func hashPlace(_ client: UInt64, of count: Int) -> Int {
        Int(truncatingIfNeeded: ((client >> 32) &* UInt64(truncatingIfNeeded: count)) >> 32)
    }
}

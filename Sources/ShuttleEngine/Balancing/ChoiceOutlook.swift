// Owns saying which backend the next session would get, and why not each of the others: by the choice itself, which is
// made without effect. Knows no socket and no clock.
// Leaves to others: choosing (BackendChoice), what happens before (Engine+Explain), names and words (Admin).

import Synchronization

/// Why a backend is chosen, or is not.
public enum BackendVerdict: Equatable, Sendable {
    case chosen
    /// It may be drawn.
    case candidate
    /// Its weight is 0, or its state lets it get nothing new.
    case noWeight
    /// Checks call it down, or its traffic has taken it out.
    case notUp
    /// A backend that is not a backup can be used.
    case backupNotNeeded
    /// It has as many sessions as it may have.
    case full
    /// Its turn in the rotation comes after so many further sessions.
    case notItsTurn(after: Int)
    /// It has more sessions for its weight than the one that is chosen.
    case moreActive
    /// It has as few, and comes later in the list as seen from where the look begins, which moves on with every session.
    case equallyActive
    /// The client's hash leads to another one.
    case otherHashOwner
    /// The client's hash leads to it, and it does not take all of its clients yet, since it has just come up.
    case takesNotAllYet
}

/// What the next choice would come to.
struct ChoiceOutlook: Equatable {
    enum Outcome: Equatable {
        /// One backend, for certain as long as nothing else happens.
        case certain(Int)
        /// One of several, by chance.
        case drawn
        /// All that can be used are full.
        case full
        case unusable
    }

    var outcome: Outcome
    /// In the order of the backends.
    var verdicts: [BackendVerdict]
    /// Of each backend, in thousandths; only where it is drawn.
    var thousandths: [Int] = []
    /// Whether they were counted out, or estimated from `samples` draws.
    var isExact = true

    /// Draws from which chances are estimated where there are too many to count them out.
    static let samples = 1 << 14
    /// Pairs of places in a rotation that are counted out.
    static let pairsMax = 1 << 16
}

extension UnsafePointer where Pointee == ServiceTable {
    /// `client` is the hash of the client, by which `hash` chooses. `seed` is what estimates are drawn from.
    func outlook(for client: UInt64, seed: UInt64 = 1) -> ChoiceOutlook {
        switch pointee.algorithm {
        case .random: drawnOutlook(draws(), isExact: true)
        case .twoChoices:
            pointee.rotation.count * pointee.rotation.count <= ChoiceOutlook.pairsMax
                ? drawnOutlook(pairedDraws(), isExact: true)
                : drawnOutlook(sampledDraws(seed), isExact: false)
        default: certainOutlook(client)
        }
    }

    private func look(_ draw: UInt64) -> BackendChoice {
        chooseBackend(for: draw, excluding: TriedBackends(), OnlyLooking.self)
    }

    private func index(of record: UnsafeMutablePointer<BackendRecord>) -> Int {
        guard let index = pointee.entries.firstIndex(where: { $0.record == record }) else {
            preconditionFailure("a backend was chosen that the service does not have")
        }
        return index
    }

    // MARK: Without chance

    private func certainOutlook(_ client: UInt64) -> ChoiceOutlook {
        switch look(client) {
        case .reserved(let record):
            let chosen = index(of: record)
            let verdicts = pointee.entries.indices.map { $0 == chosen ? .chosen : verdict($0, chosen: chosen, client) }
            return ChoiceOutlook(outcome: .certain(chosen), verdicts: verdicts)
        case .full:
            return ChoiceOutlook(outcome: .full, verdicts: pointee.entries.indices.map { obstacle($0) ?? .full })
        case .unusable:
            return ChoiceOutlook(outcome: .unusable, verdicts: pointee.entries.indices.map { obstacle($0) ?? .notUp })
        }
    }

    /// What keeps a backend from being chosen whoever comes.
    private func obstacle(_ index: Int) -> BackendVerdict? {
        let entry = pointee.entries[index]
        if entry.weight == 0 { return .noWeight }
        if !entry.isUsable { return .notUp }
        if entry.isBackup, pointee.entries.contains(where: { !$0.isBackup && $0.isUsable }) { return .backupNotNeeded }
        return entry.record.pointee.active.load(ordering: .relaxed) >= entry.connectionsMax ? .full : nil
    }

    private func verdict(_ index: Int, chosen: Int, _ client: UInt64) -> BackendVerdict {
        if let obstacle = obstacle(index) { return obstacle }
        switch pointee.algorithm {
        case .hash:
            if let owner = hashOwner(client, areBackups: pointee.entries[index].isBackup), owner == index {
                return .takesNotAllYet
            }
            return .otherHashOwner
        case .roundRobin:
            let turn = Int(OnlyLooking.turn(pointee.ticket) % UInt64(max(1, pointee.rotation.count)))
            // Where the turn was another's, the least loaded has stepped in.
            guard !pointee.rotation.isEmpty, Int(pointee.rotation[turn]) == chosen else {
                return comparedByLoad(index, chosen)
            }
            let count = pointee.rotation.count
            let distance = (1...count).first { Int(pointee.rotation[(turn + $0) % count]) == index }
            return distance.map { .notItsTurn(after: $0) } ?? comparedByLoad(index, chosen)
        default:
            return comparedByLoad(index, chosen)
        }
    }

    /// The backend that a client's place in the table names, whatever its state.
    private func hashOwner(_ client: UInt64, areBackups: Bool) -> Int? {
        let places = areBackups ? pointee.backupHashPlaces : pointee.hashPlaces
        guard !places.isEmpty else { return nil }
        return Int(places[ServiceTable.hashPlace(client, of: places.count)])
    }

    private func comparedByLoad(_ index: Int, _ chosen: Int) -> BackendVerdict {
        let (entry, best) = (pointee.entries[index], pointee.entries[chosen])
        let (own, other) = (
            (entry.record.pointee.active.load(ordering: .relaxed) + 1) * best.weight,
            (best.record.pointee.active.load(ordering: .relaxed) + 1) * entry.weight
        )
        return own == other ? .equallyActive : .moreActive
    }

    // MARK: By chance

    /// A number of 32 bits that `BackendChoice` takes for this place of the rotation.
    private func number(of place: Int) -> UInt64 {
        let count = UInt64(pointee.rotation.count)
        return (UInt64(place) << 32 + count - 1) / count
    }

    /// One draw for each place.
    private func draws() -> [UInt64] {
        pointee.rotation.isEmpty ? [0] : pointee.rotation.indices.map { number(of: $0) << 32 }
    }

    /// One for each pair of places.
    private func pairedDraws() -> [UInt64] {
        pointee.rotation.isEmpty
            ? [0]
            : pointee.rotation.indices.flatMap { first in
                pointee.rotation.indices.map { number(of: first) << 32 | number(of: $0) }
            }
    }

    private func sampledDraws(_ seed: UInt64) -> [UInt64] {
        var random = SplitMix(seed: seed)
        return (0..<ChoiceOutlook.samples).map { _ in random.next() }
    }

    private func drawnOutlook(_ draws: [UInt64], isExact: Bool) -> ChoiceOutlook {
        var counts = [Int](repeating: 0, count: pointee.entries.count)
        var indices: [UnsafeMutablePointer<BackendRecord>: Int] = [:]
        for (index, entry) in pointee.entries.enumerated() { indices[entry.record] = index }
        for draw in draws {
            switch look(draw) {
            case .reserved(let record): counts[indices[record]!] += 1
            // Whether there is a place does not depend on what is drawn.
            case .full, .unusable: return certainOutlook(draw)
            }
        }
        if let only = counts.firstIndex(of: draws.count) {
            let verdicts = counts.indices.map { index in
                index == only ? BackendVerdict.chosen : obstacle(index) ?? comparedByLoad(index, only)
            }
            return ChoiceOutlook(outcome: .certain(only), verdicts: verdicts)
        }
        let verdicts = counts.indices.map { index in
            counts[index] > 0 ? BackendVerdict.candidate : obstacle(index) ?? .moreActive
        }
        return ChoiceOutlook(
            outcome: .drawn, verdicts: verdicts,
            thousandths: counts.map { ($0 * 1000 + draws.count / 2) / draws.count }, isExact: isExact)
    }
}

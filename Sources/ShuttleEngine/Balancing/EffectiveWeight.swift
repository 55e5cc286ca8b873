// Owns what the choice of a backend goes by in place of the weights that are configured, while backends ramp. Pure.
// Leaves to others: how far a backend is (SlowStart), choosing (BackendChoice).

/// A backend's weight among those that it is compared with.
struct EffectiveWeight: Equatable {
    /// What is known of a backend.
    struct Backend {
        /// 0 when it is to get nothing new.
        var weight: Int
        /// Of its weight, in parts of `SlowStart.steps`.
        var share = SlowStart.steps
        var isBackup = false
        var isUp = true
    }

    /// As configured, as long as none of its kind ramps. Else that of each is multiplied by its share, so that a part of
    /// weight 1 can be said in whole numbers.
    var weight: Int
    /// The clients that a hash gives it, as the largest number of a client that it takes; `.max` for all.
    var hashLimit = UInt32.max

    /// Backups are compared with backups only, and all others with each other.
    static func all(of backends: [Backend]) -> [EffectiveWeight] {
        let (primaries, backups) = (Scale(backends, areBackups: false), Scale(backends, areBackups: true))
        return backends.map { ($0.isBackup ? backups : primaries).effective($0) }
    }

    /// Of those that are compared with each other.
    private struct Scale {
        private var isAnyRamping = false
        /// Who has come furthest takes every client of its own, so that there is always one that does: the only one that
        /// can be used, or all that come up together, lose nobody.
        private var shareMax = 1

        init(_ backends: [Backend], areBackups: Bool) {
            let compared = backends.filter { $0.isBackup == areBackups && $0.weight > 0 }
            let usable = compared.filter(\.isUp)
            isAnyRamping = compared.contains { $0.share < SlowStart.steps }
            shareMax = (usable.isEmpty ? compared : usable).map(\.share).max() ?? 1
        }

        func effective(_ backend: Backend) -> EffectiveWeight {
            guard isAnyRamping else { return EffectiveWeight(weight: backend.weight) }
            let limit = UInt64(UInt32.max) * UInt64(min(backend.share, shareMax)) / UInt64(shareMax)
            return EffectiveWeight(weight: backend.weight * backend.share, hashLimit: UInt32(limit))
        }
    }
}

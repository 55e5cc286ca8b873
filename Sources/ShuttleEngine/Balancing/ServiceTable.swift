// Owns the form of a service that workers choose backends from: flat, immutable, without references to count.
// Leaves to others: building and freeing it (Snapshot/CompiledService).

import Synchronization

/// A service as the rings see it. A plain value of pointers into memory that its snapshot keeps.
struct ServiceTable {
    /// A backend of the table with everything that the choice reads of it.
    struct Entry {
        let record: UnsafeMutablePointer<BackendRecord>
        /// 0 when it is to get nothing new, for whatever reason the configuration gives. To be compared with the weights of
        /// its kind: while one of them ramps all are multiplied (`EffectiveWeight`).
        let weight: Int
        /// Sessions it may have at a time.
        let connectionsMax: Int
        /// Left alone as long as a backend that is not one is usable.
        let isBackup: Bool
        /// As in `EffectiveWeight`.
        let hashLimit: UInt32

        /// `connectionsMax` of a backend that has no limit.
        static var unlimited: Int { .max }

        /// Whether it can be given sessions at all; one that is full is usable.
        @inline(__always)
        var isUsable: Bool { weight > 0 && record.pointee.isUp.load(ordering: .relaxed) }

        /// Whether a hashed client of this backend is among those that it takes by now. The place in the table comes from
        /// the other half of the hash.
        @inline(__always)
        func takes(_ client: UInt64) -> Bool { UInt32(truncatingIfNeeded: client) <= hashLimit }

        /// Takes a place, or tells that all are taken.
        @inline(__always)
        func reserve() -> Bool {
            guard connectionsMax != Entry.unlimited else {
                record.pointee.reserve()
                return true
            }
            return record.pointee.reserve(below: connectionsMax)
        }
    }

    let record: UnsafeMutablePointer<ServiceRecord>
    let entries: UnsafeBufferPointer<Entry>
    let algorithm: BalanceAlgorithm
    let rotation: UnsafeBufferPointer<UInt32>
    let ticket: UnsafeMutablePointer<Atomic<UInt64>>
    /// Of backends and of backups; empty but for `hash`.
    let hashPlaces: UnsafeBufferPointer<UInt16>
    let backupHashPlaces: UnsafeBufferPointer<UInt16>
    let timeouts: SessionTimeouts
    let limits: ServiceLimits
    /// Which addresses may come in; nil for all.
    let access: UnsafePointer<AccessRanges>?
    /// How fast clients may come in; nil for any.
    let rate: UnsafePointer<RateLimiter>?
    let preread: PrereadRules
    let routes: RouteTable
    /// What each route leads to.
    let routeTargets: UnsafeBufferPointer<UnsafeMutablePointer<ServiceRecord>>
    /// Whether `limits`, `access`, `rate` or `preread` ask anything of a client that comes.
    let isLimited: Bool
    let lifetime: LifetimeLimit
    /// Whether the first end of a stream closes both sides.
    let closesAtFirstEnd: Bool
    /// Whether the bandwidth of its sessions is limited, each or together.
    let isPaced: Bool
    /// Other backends tried when a connect fails.
    let retries: UInt8
    /// Whether the service is of UDP: no connection's session is of it, also where it once was of TCP.
    let isOfDatagrams: Bool
    /// Of UDP services.
    let datagrams: DatagramRules
}

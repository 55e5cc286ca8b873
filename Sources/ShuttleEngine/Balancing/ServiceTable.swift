// Owns the form of a service that workers choose backends from: flat, immutable, without references to count.
// Leaves to others: building and freeing it (Snapshot/CompiledService).

import Synchronization

/// A service as the rings see it. A plain value of pointers into memory that its snapshot keeps.
struct ServiceTable {
    /// A backend of the table with everything that the choice reads of it.
    struct Entry {
        let record: UnsafeMutablePointer<BackendRecord>
        /// 0 when it is to get nothing new, for whatever reason the configuration gives.
        let weight: Int
        /// Sessions it may have at a time.
        let connectionsMax: Int
        /// Left alone as long as a backend that is not one is usable.
        let isBackup: Bool

        /// `connectionsMax` of a backend that has no limit.
        static var unlimited: Int { .max }

        /// Whether it can be given sessions at all; one that is full is usable.
        @inline(__always)
        var isUsable: Bool { weight > 0 && record.pointee.isUp.load(ordering: .relaxed) }

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
    /// Whether `limits` ask anything of a client that comes.
    let isLimited: Bool
    let lifetime: LifetimeLimit
    /// Whether the first end of a stream closes both sides.
    let closesAtFirstEnd: Bool
    /// Other backends tried when a connect fails.
    let retries: UInt8
}

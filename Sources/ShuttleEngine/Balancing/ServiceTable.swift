// Owns the form of a service that workers choose backends from: flat, immutable, without references to count.
// Leaves to others: building and freeing it (Snapshot/CompiledService).

import Synchronization

/// Values a session copies when it is accepted; 0 means no limit.
struct SessionTimeouts: Equatable {
    var clientMilliseconds: UInt32
    var serverMilliseconds: UInt32
    var connectMilliseconds: UInt32
}

/// A service as the rings see it. A plain value of pointers into memory that its snapshot keeps.
struct ServiceTable {
    /// A backend of the table with the weight the configuration gives it.
    struct Entry {
        let record: UnsafeMutablePointer<BackendRecord>
        let weight: Int

        @inline(__always)
        var isUsable: Bool { weight > 0 && record.pointee.isUp.load(ordering: .relaxed) }
    }

    let record: UnsafeMutablePointer<ServiceRecord>
    let entries: UnsafeBufferPointer<Entry>
    let algorithm: BalanceAlgorithm
    let rotation: UnsafeBufferPointer<UInt32>
    let ticket: UnsafeMutablePointer<Atomic<UInt64>>
    let timeouts: SessionTimeouts
    /// Other backends tried when a connect fails.
    let retries: UInt8
}

// Owns the limits of a service as the rings read them, and finding whether a client may come in under them.
// Leaves to others: which backend it gets (BackendChoice), its wait in the queue (WaitingQueue, Worker).

import Synchronization

/// What a service's configuration says about how many may come in; 0 means no limit, and no queue.
struct ServiceLimits: Equatable {
    var sessionsMax = 0
    var sessionsPerClientMax = 0
    var queueLimit = 0
    var queueTimeoutMilliseconds: UInt64 = 0
    /// Nothing new is let in.
    var isInMaintenance = false
    /// A backend has a limit of its own.
    var hasBackendLimits = false

    /// Whether a client that comes must be asked anything at all.
    var isAny: Bool { isInMaintenance || isAnyPlaceLimited }

    /// Whether there are places that could be given to one too many.
    var isAnyPlaceLimited: Bool { sessionsMax > 0 || hasBackendLimits || sessionsPerClientMax > 0 }
}

extension ServiceTable {
    /// Whether more than `called` further sessions could be given to backends: what `chooseBackend` goes by, without
    /// choosing. Walks the backends as long as it finds no place.
    func hasRoom(beyond called: Int) -> Bool {
        freePlaces(areBackups: false, beyond: called) ?? freePlaces(areBackups: true, beyond: called) ?? false
    }

    /// `nil` when none of them is usable.
    private func freePlaces(areBackups: Bool, beyond called: Int) -> Bool? {
        var free = 0
        var isAnyUsable = false
        for entry in entries where entry.isBackup == areBackups && entry.isUsable {
            isAnyUsable = true
            if entry.connectionsMax == Entry.unlimited { return true }
            free += max(0, entry.connectionsMax - entry.record.pointee.active.load(ordering: .sequentiallyConsistent))
            if free > called { return true }
        }
        return isAnyUsable ? false : nil
    }

    /// Calls waiters of this service, as many as there are places for; each has a place of the service reserved, and a
    /// backend has room for it besides those that were called before. `tell` runs within the queue's lock.
    func callWaiters(_ tell: (_ worker: Int, _ slot: UInt32) -> Void) {
        record.pointee.queue.call(
            while: { called in
                hasRoom(beyond: called) && record.pointee.occupy(below: limits.sessionsMax)
            },
            tell: tell
        )
    }
}

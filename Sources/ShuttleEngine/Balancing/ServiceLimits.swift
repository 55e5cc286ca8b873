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

extension UnsafePointer where Pointee == ServiceTable {
    /// Whether more than `called` further sessions could be given to backends: what `chooseForWaiter` goes by, without
    /// choosing. Walks the backends as long as it finds no place.
    func hasRoom(beyond called: Int, now: UInt64) -> Bool {
        freePlaces(areBackups: false, beyond: called, now: now)
            ?? freePlaces(areBackups: true, beyond: called, now: now) ?? false
    }

    /// `nil` when none of them is usable.
    private func freePlaces(areBackups: Bool, beyond called: Int, now: UInt64) -> Bool? {
        var free = 0
        var isAnyUsable = false
        for entry in pointee.entries where entry.isBackup == areBackups && entry.isUsable {
            isAnyUsable = true
            var places = max(
                0, entry.connectionsMax - entry.record.pointee.active.load(ordering: .sequentiallyConsistent))
            switch entry.record.pointee.rest.state(now: now) {
            case .none: if entry.connectionsMax == ServiceTable.Entry.unlimited { return true }
            case .resting: places = 0
            case .trial: places = min(places, 1)
            }
            free += places
            if free > called { return true }
        }
        return isAnyUsable ? false : nil
    }

    /// When the first of its backends that rest may be tried again; `nil` when none rests. Nothing else need happen for
    /// those who wait to have a place then.
    func firstRestEnd(now: UInt64) -> UInt64? {
        var first: UInt64?
        for entry in pointee.entries where entry.isUsable {
            guard case .resting(let until) = entry.record.pointee.rest.state(now: now) else { continue }
            first = min(first ?? .max, until)
        }
        return first
    }

    /// Calls waiters of this service, as many as there are places for; each has a place of the service reserved, and a
    /// backend has room for it besides those that were called before. `tell` runs within the queue's lock.
    func callWaiters(now: UInt64, _ tell: (_ worker: Int, _ slot: UInt32) -> Void) {
        pointee.record.pointee.queue.call(
            while: { called in
                hasRoom(beyond: called, now: now) && pointee.record.pointee.occupy(below: pointee.limits.sessionsMax)
            },
            tell: tell
        )
    }
}

// Owns the wait of clients that have come too early for their service's rate limit: until their token comes, until they
// leave, or until the limit changes. Leaves to others: when tokens come (Balancing/RateRule), what comes after
// (Worker+Admission).

import Synchronization

extension Worker where Ring: ~Copyable {
    /// Asks the service's rate limit for a client that comes.
    func takeToken(
        of limiter: UnsafePointer<RateLimiter>, _ service: UnsafeMutablePointer<ServiceRecord>, _ client: ClientAddress?
    )
        -> RateRule.Answer
    {
        let mayWait = service.pointee.delayed.load(ordering: .relaxed) < RateLimiter.waitersMax
        return limiter.pointee.take(client, at: ring.nowNanoseconds(), mayWait: mayWait)
    }

    /// Has a session wait for its token.
    mutating func delay(_ index: UInt32, until due: UInt64, _ limiter: UnsafePointer<RateLimiter>) {
        let slot = sessions[index]
        let isReceiving = mayReceiveOneMoreWaiter
        if isReceiving { queuedReceivers += 1 }
        slot.pointee.session.delayed(isReceiving: isReceiving)
        waitBegan(slot)
        slot.pointee.rateLimiter = limiter.pointee.identifier
        slot.pointee.service.pointee.delayed.wrappingAdd(1, ordering: .relaxed)
        slot.pointee.service.pointee.delays.wrappingAdd(1, ordering: .relaxed)
        timers.set(index, deadline: Self.milliseconds(due))
        slot.pointee.nextQueued = SessionTable.none
        slot.pointee.previousQueued = delayedTail
        if delayedTail == SessionTable.none {
            delayedHead = index
        } else {
            sessions[delayedTail].pointee.nextQueued = index
        }
        delayedTail = index
        touch(index)
    }

    /// The first millisecond at which a time in nanoseconds has passed.
    private static func milliseconds(_ nanoseconds: UInt64) -> UInt64 { (nanoseconds &+ 999_999) / 1_000_000 }

    /// A session waits no longer: its token has come, or it begins to close.
    mutating func leaveDelay(_ index: UInt32) {
        let slot = sessions[index]
        if slot.pointee.session.isReceivingDelayed { queuedReceivers -= 1 }
        slot.pointee.session.leftDelay()
        waitEnded(slot)
        slot.pointee.service.pointee.delayed.wrappingSubtract(1, ordering: .relaxed)
        let (next, previous) = (slot.pointee.nextQueued, slot.pointee.previousQueued)
        if previous == SessionTable.none {
            delayedHead = next
        } else {
            sessions[previous].pointee.nextQueued = next
        }
        if next == SessionTable.none {
            delayedTail = previous
        } else {
            sessions[next].pointee.previousQueued = previous
        }
    }

    /// A session's token has come: it goes on as one that comes now does.
    mutating func tokenCame(_ index: UInt32) {
        let slot = sessions[index]
        leaveDelay(index)
        guard let table = currentTable(of: slot.pointee.service) else {
            // Its service was deleted.
            slot.pointee.serviceCounters.pointee.errors.addAsOnlyWriter(1)
            return closeStart(index, because: .serviceRemoved)
        }
        seat(index, table)
    }

    /// A new snapshot: whoever waits for a token of a limit that has changed asks anew, the first first, and may go on at
    /// once where there is none any more.
    mutating func reviewDelayed() {
        var next = delayedHead
        while next != SessionTable.none {
            let index = next
            let slot = sessions[index]
            let service = slot.pointee.service
            next = slot.pointee.nextQueued
            guard let table = currentTable(of: service), let limiter = table.pointee.rate else {
                timers.set(index, deadline: now)
                continue
            }
            guard limiter.pointee.identifier != slot.pointee.rateLimiter else { continue }
            slot.pointee.rateLimiter = limiter.pointee.identifier
            let client = limiter.pointee.asksForClient ? self.client(of: index) : nil
            switch limiter.pointee.take(client, at: ring.nowNanoseconds(), mayWait: true) {
            case .isInTime:
                timers.set(index, deadline: now)
            case .isInTimeAt(let due):
                timers.set(index, deadline: Self.milliseconds(due))
            case .isTooEarly:
                service.pointee.refusedByRate.wrappingAdd(1, ordering: .relaxed)
                closeStart(index, because: .rateLimited)
            }
        }
    }
}

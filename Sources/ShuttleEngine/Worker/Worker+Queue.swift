// Owns the waiting of sessions for which there is no place: joining their service's queue, being called out of it by
// whoever frees a place, leaving it. Leaves to others: its order and its delays (Balancing/WaitingQueue).

import Synchronization

extension Worker where Ring: ~Copyable {
    /// The newest table of a service; `nil` when the configuration names it no more, or as one of UDP, which has no
    /// connections.
    func currentTable(of service: UnsafeMutablePointer<ServiceRecord>) -> UnsafePointer<ServiceTable>? {
        guard let tables = view?.pointee.tables else { return nil }
        let hint = service.pointee.tableHint.load(ordering: .relaxed)
        if hint < tables.count, tables[hint].pointee.record == service { return ofStreams(tables[hint]) }
        for index in 0..<tables.count where tables[index].pointee.record == service {
            service.pointee.tableHint.store(index, ordering: .relaxed)
            return ofStreams(tables[index])
        }
        return nil
    }

    @inline(__always)
    private func ofStreams(_ table: UnsafePointer<ServiceTable>) -> UnsafePointer<ServiceTable>? {
        table.pointee.isOfDatagrams ? nil : table
    }

    // MARK: Joining

    /// Sessions that wait hold up to four buffers each once their clients have spoken, and give them back only when they
    /// are served. They must leave the others enough to come to an end: so many of them are received from as a 16th of
    /// the buffers; what the clients of others say stays in the kernel.
    private static var queuedShareOfBuffers: Int { 16 }

    var mayReceiveOneMoreWaiter: Bool { queuedReceivers < ring.bufferCount / Self.queuedShareOfBuffers }

    /// Puts a session without a place at the end of its service's queue, or where it stood there before; one that finds
    /// the queue full is closed.
    mutating func enqueue(_ index: UInt32, _ table: UnsafePointer<ServiceTable>) {
        let slot = sessions[index]
        let service = slot.pointee.service
        let limits = table.pointee.limits
        let isReceiving = mayReceiveOneMoreWaiter
        if isReceiving { queuedReceivers += 1 }
        slot.pointee.session.queued(isReceiving: isReceiving)
        let joined = service.pointee.queue.join(
            worker: self.index,
            slot: index,
            now: now,
            limit: limits.queueLimit,
            wait: limits.queueTimeoutMilliseconds,
            as: slot.pointee.standing
        )
        guard let joined else {
            if isReceiving { queuedReceivers -= 1 }
            slot.pointee.session.leftQueue()
            slot.pointee.serviceCounters.pointee.queueOverflows.addAsOnlyWriter(1)
            return closeStart(index, because: .queueFull)
        }
        waitBegan(slot)
        slot.pointee.queuePosition = joined.position
        slot.pointee.serviceCounters.pointee.queued.addAsOnlyWriter(1)
        slot.pointee.standing = joined.standing
        slot.pointee.connectDeadline = joined.standing.deadline
        if joined.standing.deadline != 0 { timers.set(index, deadline: joined.standing.deadline) }
        slot.pointee.nextQueued = queuedHead
        slot.pointee.previousQueued = SessionTable.none
        if queuedHead != SessionTable.none { sessions[queuedHead].pointee.previousQueued = index }
        queuedHead = index
        touch(index)
        // A place that was freed before anybody was there to be called.
        callWaiters(of: service)
    }

    /// A session whose connect failed gives its place back and waits for another one, where there is a queue: every
    /// backend that it could still try is full or rests. `false` when there is none.
    ///
    /// Only what it tries without waiting is bounded by `retries`: the backend that failed rests, so nobody is called for
    /// it again and again. Our own want of ports or descriptors makes nothing rest, so there the bound remains.
    mutating func waitsAgain(_ index: UInt32, isOwnFault: Bool) -> Bool {
        let slot = sessions[index]
        let service = slot.pointee.service
        guard let table = currentTable(of: service), table.pointee.limits.queueLimit > 0 else { return false }
        if isOwnFault { slot.pointee.retriesLeft -= 1 }
        slot.pointee.hasPlace = false
        service.pointee.vacate()
        enqueue(index, table)
        return true
    }

    /// Forgets a session's wait.
    private mutating func dequeued(_ index: UInt32) {
        let slot = sessions[index]
        waitEnded(slot)
        if slot.pointee.session.isReceivingQueued { queuedReceivers -= 1 }
        slot.pointee.session.leftQueue()
        let (next, previous) = (slot.pointee.nextQueued, slot.pointee.previousQueued)
        if previous == SessionTable.none {
            queuedHead = next
        } else {
            sessions[previous].pointee.nextQueued = next
        }
        if next != SessionTable.none { sessions[next].pointee.previousQueued = previous }
        slot.pointee.serviceCounters.pointee.queued.addAsOnlyWriter(-1)
    }

    // MARK: Calling

    /// Gives free places of a service to those who wait for them, on whichever ring they are.
    @inline(__always)
    mutating func callWaiters(of service: UnsafeMutablePointer<ServiceRecord>) {
        if !service.pointee.queue.isEmpty { callWaitersThere(of: service) }
    }

    private mutating func callWaitersThere(of service: UnsafeMutablePointer<ServiceRecord>) {
        guard let table = currentTable(of: service) else { return }
        let links = links
        var told = workersToWake
        table.callWaiters(now: now) { worker, slot in
            links[worker].pointee.calls.push(slot)
            told.insert(worker)
        }
        // Whoever finds them waiting for a rest to end sees to it that they are called then: the ring that began the rest
        // need not know of them.
        if !service.pointee.queue.isEmpty, let end = table.firstRestEnd(now: now) {
            restEndsAt = min(restEndsAt, end)
            lookAt = min(lookAt, end)
        }
        // This worker looks by itself before it sleeps.
        told.remove(index)
        workersToWake = told
    }

    /// The rest of a backend is over, of whichever service.
    mutating func callThoseWhoWaitForRests() {
        restEndsAt = .max
        guard let tables = view?.pointee.tables else { return }
        for table in tables { callWaiters(of: table.pointee.record) }
    }

    /// Wakes the workers whose sessions were called: each once a turn. One that cannot be told has a full completion
    /// queue and so looks by itself, and is told again to be sure.
    @inline(__always)
    mutating func wakeOthers() {
        if !workersToWake.isEmpty { wakeAll() }
    }

    private mutating func wakeAll() {
        var next = workersToWake.first(from: 0)
        while let worker = next {
            if links[worker].pointee.visit({ ring.wake($0) }) { workersToWake.remove(worker) }
            next = worker + 1 < WorkerSet.workersMax ? workersToWake.first(from: worker + 1) : nil
        }
    }

    // MARK: Being called

    @inline(__always)
    mutating func takeCalls() {
        if !link.pointee.calls.isEmpty { takeAllCalls() }
    }

    private mutating func takeAllCalls() {
        var calls = link.pointee.calls.takeAll()
        while let index = calls.pop() { called(index) }
    }

    /// A place of the service is reserved for a session; a backend has room for it unless another was faster.
    private mutating func called(_ index: UInt32) {
        let slot = sessions[index]
        let service = slot.pointee.service
        precondition(
            slot.pointee.isOccupied && slot.pointee.session.isQueued, "a session was called that does not wait")
        guard slot.pointee.session.phase == .connecting, let table = currentTable(of: service) else {
            return pass(index)
        }
        let isFurtherTry = slot.pointee.tried.count > 0
        guard let backend = chooseForCalled(slot, table) else {
            service.pointee.vacate()
            service.pointee.queue.putBack(slot.pointee.queuePosition)
            if slot.pointee.connectDeadline != 0, slot.pointee.connectDeadline <= now {
                timers.set(index, deadline: slot.pointee.connectDeadline)
            }
            return callWaiters(of: service)
        }
        slot.pointee.hasPlace = true
        // The time for all tries does not run while it waits.
        let retryMilliseconds = UInt64(slot.pointee.timeouts.retryMilliseconds)
        slot.pointee.retryDeadline = retryMilliseconds == 0 ? .max : now &+ retryMilliseconds
        dequeued(index)
        timers.clear(index)
        service.pointee.queue.finish(slot.pointee.queuePosition, isServed: true, now: now)
        if isFurtherTry { countFurtherTry(slot, at: backend) }
        connect(index, to: backend)
        touch(index)
        // As long as it was only called, the place it got was spoken for twice.
        callWaiters(of: service)
    }

    /// Backends that were tried are tried again before the session waits any longer.
    private func chooseForCalled(
        _ slot: UnsafeMutablePointer<SessionSlot>, _ table: UnsafePointer<ServiceTable>
    ) -> UnsafeMutablePointer<BackendRecord>? {
        let draw = slot.pointee.draw
        let tried = slot.pointee.tried
        if let backend = table.chooseForWaiter(for: draw, excluding: tried, now: now) { return backend }
        guard tried.count > 0,
            let backend = table.chooseForWaiter(for: draw, excluding: TriedBackends(), now: now)
        else { return nil }
        slot.pointee.tried = TriedBackends()
        return backend
    }

    /// Whoever was called and does not want the place any more leaves it to the next.
    private mutating func pass(_ index: UInt32) {
        let slot = sessions[index]
        let service = slot.pointee.service
        service.pointee.queue.finish(slot.pointee.queuePosition, isServed: false, now: now)
        service.pointee.vacate()
        callWaiters(of: service)
        dequeued(index)
        guard slot.pointee.session.phase == .connecting else { return closeJoin(index) }
        // Its service was deleted.
        slot.pointee.serviceCounters.pointee.errors.addAsOnlyWriter(1)
        closeStart(index, because: .serviceRemoved)
    }

    // MARK: Leaving

    /// A session that waits begins to close. If it was called meanwhile it closes when it has heard of it.
    mutating func leaveQueue(_ index: UInt32) {
        let slot = sessions[index]
        guard slot.pointee.session.isQueued, slot.pointee.service.pointee.queue.leave(slot.pointee.queuePosition)
        else { return }
        dequeued(index)
    }

    /// The time of a session's wait is over, unless it was called meanwhile.
    mutating func queueTimedOut(_ index: UInt32) {
        let slot = sessions[index]
        guard slot.pointee.connectDeadline != 0, now >= slot.pointee.connectDeadline,
            slot.pointee.service.pointee.queue.leave(slot.pointee.queuePosition)
        else { return }
        slot.pointee.serviceCounters.pointee.queueTimeouts.addAsOnlyWriter(1)
        dequeued(index)
        closeStart(index, because: .queueTimeout)
    }

    // MARK: Changes

    /// A new snapshot: whoever waits for a service that is gone waits in vain; others may find places that there were
    /// not before.
    mutating func reviewQueues() {
        var next = queuedHead
        var known: (service: UnsafeMutablePointer<ServiceRecord>, isGone: Bool)?
        while next != SessionTable.none {
            let index = next
            let slot = sessions[index]
            next = slot.pointee.nextQueued
            let service = slot.pointee.service
            if known?.service != service {
                known = (service, currentTable(of: service) == nil)
                if known?.isGone == false { callWaiters(of: service) }
            }
            guard known?.isGone == true, slot.pointee.session.phase == .connecting else { continue }
            slot.pointee.serviceCounters.pointee.errors.addAsOnlyWriter(1)
            closeStart(index, because: .serviceRemoved)
        }
    }
}

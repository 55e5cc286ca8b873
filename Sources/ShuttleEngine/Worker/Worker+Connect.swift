// Owns how a session gets its backend: connect with a deadline, and another usable backend when that fails.

import Glibc
import Synchronization

extension Worker where Ring: ~Copyable {
    /// The connect waits for one turn, in which what the client has said already is received: then its backend need
    /// not be told that the connection stands before it gets that.
    mutating func connectAfterFirstReceive(_ index: UInt32) {
        let slot = sessions[index]
        guard !slot.pointee.awaitsFirstReceive else { return }
        slot.pointee.awaitsFirstReceive = true
        slot.pointee.nextConnecting = connectingHead
        connectingHead = index
    }

    /// The first of those whose receives are prepared now; what is accepted from here on waits for the next turn.
    @inline(__always)
    mutating func takeConnecting() -> UInt32 {
        let head = connectingHead
        connectingHead = SessionTable.none
        return head
    }

    /// Starts the connects that waited for the completions of this turn. A session may have ended meanwhile, and its
    /// slot may have been given to another, whose connect then does not wait.
    @inline(__always)
    mutating func startConnects(_ head: UInt32) {
        var next = head
        while next != SessionTable.none {
            let index = next
            let slot = sessions[index]
            next = slot.pointee.nextConnecting
            slot.pointee.awaitsFirstReceive = false
            guard slot.pointee.isOccupied, slot.pointee.session.phase == .connecting, slot.pointee.upstream < 0,
                let backend = slot.pointee.backend
            else { continue }
            connect(index, to: backend)
        }
    }

    /// Starts connecting to a backend whose place is reserved.
    mutating func connect(_ index: UInt32, to backend: UnsafeMutablePointer<BackendRecord>) {
        let slot = sessions[index]
        slot.pointee.backend = backend
        slot.pointee.backendCounters = backend.pointee.counters.block(of: self.index)
        slot.pointee.tried.insert(backend.pointee.identifier)
        slot.pointee.facts.pointee.backend = backend.pointee.identifier
        slot.pointee.facts.pointee.connectStartedAt = turnTime
        slot.pointee.sourcesTried = 0
        openUpstream(index, slot, to: backend)
    }

    private mutating func openUpstream(
        _ index: UInt32,
        _ slot: UnsafeMutablePointer<SessionSlot>,
        to backend: UnsafeMutablePointer<BackendRecord>
    ) {
        let address = backend.pointee.address
        let source = takeSource(slot, for: address.pointee.family)
        let withData =
            slot.pointee.session.flow(from: .downstream).owedBytes > 0 || backend.pointee.proxyProtocol != nil
        switch ring.openSocket(for: address, from: source, withData: withData) {
        case .failure(SystemCallError(code: EAGAIN)) where address.pointee.isUnix:
            slot.pointee.connectDeadline = connectDeadline(slot)
            awaitListenQueue(index, slot)
        case .failure(let error):
            connectFailed(index, code: error.code)
        case .success(let socket):
            submitConnect(index, slot, socket, to: address)
        }
    }

    @inline(__always)
    private func connectDeadline(_ slot: UnsafeMutablePointer<SessionSlot>) -> UInt64 {
        min(now &+ UInt64(slot.pointee.timeouts.connectMilliseconds), slot.pointee.retryDeadline)
    }

    @inline(__always)
    mutating func submitConnect(
        _ index: UInt32,
        _ slot: UnsafeMutablePointer<SessionSlot>,
        _ socket: Int32,
        to address: UnsafePointer<SocketAddress>
    ) {
        slot.pointee.upstream = socket
        slot.pointee.hasConnectTimedOut = false
        slot.pointee.connectDeadline = connectDeadline(slot)
        slot.pointee.session.connectSubmitted()
        ring.prepareConnect(
            socket,
            to: address,
            tag: OperationTag(.connect, slot: index, generation: slot.pointee.generation)
        )
        timers.set(index, deadline: slot.pointee.connectDeadline)
    }

    mutating func connectCompleted(_ completion: Completion) {
        guard let slot = sessions.slot(of: completion.tag) else { return countStale() }
        let index = completion.tag.slot
        if slot.pointee.session.phase == .closing {
            slot.pointee.session.connectFailed()
            return closeJoin(index)
        }
        Probe.connectEnd(slot: index, result: completion.result)
        if completion.result == 0 {
            if slot.pointee.backend?.pointee.rest.isOn == true { restEnded(slot) }
            guard conveyAddresses(index, slot) else { return touch(index) }
            slot.pointee.session.connected()
            slot.pointee.isCountedAsEstablished = true
            slot.pointee.facts.pointee.connectedAt = turnTime
            slot.pointee.backendCounters?.pointee.connections.addAsOnlyWriter(1)
            slot.pointee.downstreamClock = IdleClock(now: now)
            slot.pointee.upstreamClock = IdleClock(now: now)
            timers.clear(index)
            slot.pointee.keepaliveDeadline = slot.pointee.timeouts.keepalive.deadline(now: now)
            if slot.pointee.timeouts.userMilliseconds > 0 { setUserTimeouts(slot) }
            if let side = slot.pointee.session.flushedSide {
                // The client was gone before; what it had said is delivered none the less.
                startFlush(index, slot, of: side)
            } else {
                scheduleFirstIdleCheck(index)
            }
            if slot.pointee.session.isHeld { resumePaced(index, slot) }
        } else {
            slot.pointee.session.connectFailed()
            // The deadline may have come while the true reason was on its way.
            connectFailed(index, code: completion.result == -ECANCELED ? ETIMEDOUT : -completion.result)
        }
        touch(index)
    }

    /// The backend takes connections again: all its places count for those who wait.
    private mutating func restEnded(_ slot: UnsafeMutablePointer<SessionSlot>) {
        slot.pointee.backend?.pointee.rest.end()
        callWaiters(of: slot.pointee.service)
    }

    /// Of both sides, before anything is sent to either: the connect itself has its own timeout.
    private mutating func setUserTimeouts(_ slot: UnsafeMutablePointer<SessionSlot>) {
        let milliseconds = slot.pointee.timeouts.userMilliseconds
        if !isUnix(.downstream, slot) { ring.setUserTimeout(slot.pointee.downstream, milliseconds: milliseconds) }
        if !isUnix(.upstream, slot) { ring.setUserTimeout(slot.pointee.upstream, milliseconds: milliseconds) }
    }

    /// Our own want of ports or descriptors, which says nothing about the backend.
    static func isOwnExhaustion(_ code: Int32) -> Bool {
        switch code {
        case EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EAGAIN: true
        default: false
        }
    }

    // MARK: Where connections come from

    /// The next of the service's addresses that can reach this family; nil where the kernel chooses.
    @inline(__always)
    private mutating func takeSource(
        _ slot: UnsafeMutablePointer<SessionSlot>,
        for family: Int32
    ) -> UnsafePointer<SocketAddress>? {
        guard let sources = slot.pointee.service.pointee.sources else { return nil }
        return takeSource(slot, of: sources.pointee.addresses(for: family))
    }

    private mutating func takeSource(
        _ slot: UnsafeMutablePointer<SessionSlot>,
        of addresses: UnsafeBufferPointer<SocketAddress>
    ) -> UnsafePointer<SocketAddress>? {
        guard let first = addresses.baseAddress, !addresses.isEmpty else { return nil }
        if slot.pointee.sourcesTried == 0 {
            slot.pointee.sourceTurn = sourceTurn
            sourceTurn &+= 1
        }
        let turn = Int(slot.pointee.sourceTurn) + Int(slot.pointee.sourcesTried)
        return first + turn % addresses.count
    }

    /// An address without a free port, or one that the machine has lost, says nothing about the others.
    private mutating func triesAnotherSource(_ index: UInt32, _ slot: UnsafeMutablePointer<SessionSlot>) -> Bool {
        guard let backend = slot.pointee.backend, let sources = slot.pointee.service.pointee.sources,
            now < slot.pointee.retryDeadline
        else { return false }
        let addresses = sources.pointee.addresses(for: backend.pointee.address.pointee.family)
        slot.pointee.sourcesTried &+= 1
        guard Int(slot.pointee.sourcesTried) < addresses.count else { return false }
        openUpstream(index, slot, to: backend)
        return true
    }

    // MARK: Failures

    mutating func connectFailed(_ index: UInt32, code: Int32) {
        let slot = sessions[index]
        timers.clear(index)
        closeUpstream(slot, reset: false)
        if code == EADDRNOTAVAIL, triesAnotherSource(index, slot) { return }
        let isOwnFault = Self.isOwnExhaustion(code)
        if !isOwnFault {
            slot.pointee.backendCounters?.pointee.errors.addAsOnlyWriter(1)
            slot.pointee.serviceCounters.pointee.errors.addAsOnlyWriter(1)
            if !wasCutShort(code, slot) {
                slot.pointee.backend?.pointee.rest.begin(now: now)
                blameBackend(of: slot, for: Self.failure(code))
            }
        }
        releaseBackend(slot)
        callWaiters(of: slot.pointee.service)
        if slot.pointee.retriesLeft > 0, now < slot.pointee.retryDeadline {
            switch chooseAnotherBackend(for: slot) {
            case .reserved(let next):
                slot.pointee.retriesLeft -= 1
                countFurtherTry(slot, at: next)
                return connect(index, to: next)
            case .full where waitsAgain(index, isOwnFault: isOwnFault): return
            case .full, .unusable: break
            }
        }
        // Besides the failed connects: a client for whom no backend was usable.
        slot.pointee.serviceCounters.pointee.errors.addAsOnlyWriter(1)
        closeStart(index, because: Self.reason(ofConnect: code))
    }

    /// A client whose connect has failed is sent to another backend, or to the same after a wait.
    func countFurtherTry(_ slot: UnsafeMutablePointer<SessionSlot>, at backend: UnsafeMutablePointer<BackendRecord>) {
        slot.pointee.facts.pointee.retries &+= 1
        slot.pointee.serviceCounters.pointee.retried.addAsOnlyWriter(1)
        backend.pointee.counters.block(of: index).pointee.retried.addAsOnlyWriter(1)
    }

    /// A further try that ran into the bound on all of them may have been given no time to speak of.
    private func wasCutShort(_ code: Int32, _ slot: UnsafeMutablePointer<SessionSlot>) -> Bool {
        code == ETIMEDOUT && slot.pointee.tried.count > 1
            && slot.pointee.connectDeadline == slot.pointee.retryDeadline
    }

    static func failure(_ code: Int32) -> TrafficFailure {
        switch code {
        case ECONNREFUSED: .refused
        case ETIMEDOUT: .timedOut
        case EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN: .unreachable
        case ECONNRESET: .reset
        case ENOENT: .missing
        case EACCES, EPERM: .denied
        default: .other
        }
    }

    /// Tells the control thread of a failure. It looks by itself, so that a burst costs it no more than one.
    func blameBackend(of slot: UnsafeMutablePointer<SessionSlot>, for failure: TrafficFailure) {
        guard let backend = slot.pointee.backend else { return }
        blame(backend, of: slot.pointee.service, for: failure)
    }

    func blame(
        _ backend: UnsafeMutablePointer<BackendRecord>, of service: UnsafeMutablePointer<ServiceRecord>,
        for failure: TrafficFailure
    ) {
        backend.pointee.failures.count(failure)
        service.pointee.hasNewFailures.store(true, ordering: .releasing)
        link.pointee.hasNewFailures.store(true, ordering: .releasing)
    }

    /// By the newest configuration of the session's service; the one it was accepted under may be gone.
    private func chooseAnotherBackend(for slot: UnsafeMutablePointer<SessionSlot>) -> BackendChoice {
        guard let table = currentTable(of: slot.pointee.service) else { return .unusable }
        return table.chooseAnother(for: slot.pointee.draw, excluding: slot.pointee.tried, now: now)
    }

    /// Closes the backend's connection, if there is one. Where its sessions or the service's are limited that is done when
    /// this returns, since the place that is released next may be taken by another ring at once.
    @inline(__always)
    mutating func closeUpstream(_ slot: UnsafeMutablePointer<SessionSlot>, reset: Bool) {
        guard slot.pointee.upstream >= 0 else { return }
        let isLimited =
            slot.pointee.service.pointee.isLimited.load(ordering: .relaxed)
            || slot.pointee.backend?.pointee.isLimited.load(ordering: .relaxed) ?? false
        if isLimited {
            ring.closeNow(slot.pointee.upstream, reset: reset)
        } else {
            ring.close(slot.pointee.upstream, reset: reset)
        }
        slot.pointee.upstream = -1
    }

    /// The session's last touch of its backend's record.
    func releaseBackend(_ slot: UnsafeMutablePointer<SessionSlot>) {
        guard let backend = slot.pointee.backend else { return }
        slot.pointee.backend = nil
        slot.pointee.backendCounters = nil
        backend.pointee.release()
    }
}

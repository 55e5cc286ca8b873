// Owns what operations do to sockets: their first try when they are submitted, their progress as the network moves,
// and what a cancellation makes of them. The results are those measured on Linux.

import Glibc

@testable import ShuttleEngine

extension RingCore {
    /// A reset so soon after bytes were taken came about with them. More than the kernel takes.
    static var togetherMilliseconds: UInt64 { 5 }

    /// The first try happens at submission, if the kernel gets to it then.
    func start(_ operation: Operation) {
        switch operation.kind {
        case .accept:
            operation.listener?.accepts.append(operation)
        case .connect:
            startConnect(operation)
        default: break
        }
        if operation.connection?.sendOperation === operation {
            _ = pump(operation)
            if !operation.waits, armed.contains(where: { $0 === operation }) {
                post(operation, operation.done > 0 ? Int32(operation.done) : -EAGAIN)
            }
        } else if !operation.expectsDelay, network.random.chance(60) {
            if isReceive(operation), provided.isEmpty, network.random.chance(50) {
                // A buffer is picked before data is looked for.
                return post(operation, -ENOBUFS)
            }
            _ = pump(operation)
        }
    }

    private func isReceive(_ operation: Operation) -> Bool {
        operation.kind == .receiveDownstream || operation.kind == .receiveUpstream
    }

    /// Lets an armed operation go on; false when there is nothing for it to do.
    func pump(_ operation: Operation) -> Bool {
        guard armed.contains(where: { $0 === operation }) else { return false }
        switch operation.kind {
        case .accept: return pumpAccept(operation)
        case .connect: return pumpConnect(operation)
        case .receiveDownstream, .receiveUpstream: return pumpReceive(operation)
        case .sendDownstream, .sendUpstream: return pumpSend(operation)
        case .readinessDownstream, .readinessUpstream: return pumpReadiness(operation)
        case .receiveFromClients, .receiveFromBackend: return datagrams?.pump(operation) ?? false
        case .cancel, .close, .deadline, .wake: return false
        }
    }

    // MARK: Accept

    private func pumpAccept(_ operation: Operation) -> Bool {
        // The descriptor is reserved first: without one the accept ends even when nobody waits.
        if network.isOutOfDescriptors {
            post(operation, -EMFILE)
            return true
        }
        guard let listener = operation.listener, !listener.queue.isEmpty else { return false }
        if network.random.chance(network.settings.descriptorShortages) {
            post(operation, -pickShortage())
            return true
        }
        let client = listener.queue.removeFirst()
        if network.random.chance(network.settings.acceptAborts) {
            client.proxyCloses(reset: true)
            post(operation, -ECONNABORTED)
            return true
        }
        guard let descriptor = network.give(client) else {
            listener.queue.insert(client, at: 0)
            post(operation, -EMFILE)
            return true
        }
        network.log.note(
            network.now, "ring %: accepted connection % as descriptor %", index, client.key, Int(descriptor))
        network.ledger.accepted(client)
        post(operation, descriptor)
        return true
    }

    private func pickShortage() -> Int32 { network.random.pick([EMFILE, ENFILE, ENOBUFS, ENOMEM]) }

    // MARK: Connect

    private func startConnect(_ operation: Operation) {
        // A unix socket is connected already.
        let isConnected = operation.connection?.isUnix == true
        let (fate, delay) = isConnected ? (.accept, 0) : network.fateOfConnect(operation.port)
        operation.fate = fate
        operation.readyAt = network.now + UInt64(delay)
        let isExhausted = operation.connection?.source.map(network.settings.exhaustedSources.contains) ?? false
        if !isConnected, network.random.chance(network.settings.portShortages) || isExhausted {
            operation.fate = .fail(EADDRNOTAVAIL)
            operation.readyAt = network.now
        }
    }

    private func pumpConnect(_ operation: Operation) -> Bool {
        guard network.now >= operation.readyAt, let backend = operation.connection else { return false }
        switch operation.fate {
        case .silence:
            return false
        case .fail(let code):
            network.ledger.connectFailed(backend, code: code)
            post(operation, -code)
        case .accept:
            backend.wasEstablished()
            backend.peer = SimulatedPeer(backend, script: network.backendScript(operation.port))
            network.ledger.connected(backend)
            post(operation, 0)
        }
        return true
    }

    // MARK: Receive

    private func pumpReceive(_ operation: Operation) -> Bool {
        guard let source = operation.connection else { return false }
        if source.endsFalsely {
            network.mutant = nil
            source.endsFalsely = false
            post(operation, 0)
            return true
        }
        switch source.receivable() {
        case .nothing:
            return false
        case .end where missesReset(operation), .failure where missesReset(operation):
            return false
        case .end:
            source.endReported()
            network.log.note(
                network.now, "ring %: end of connection % after % bytes", index, source.key, source.readByProxy)
            post(operation, 0)
        case .failure:
            let code = source.takePendingError()
            source.noteToldOfReset()
            network.log.note(
                network.now, "ring %: receive from connection % fails with %", index, source.key, Int(code))
            post(operation, -code)
        case .bytes(let available):
            receive(available, from: source, operation)
        }
        return true
    }

    /// Whether a receive that stays armed was not told of a reset that came about when it took bytes: for good, since
    /// nothing wakes it any more.
    private func missesReset(_ operation: Operation) -> Bool {
        if let wasTold = operation.wasTold { return !wasTold }
        guard let source = operation.connection, source.hasPeerReset, let tookBytesAt = operation.tookBytesAt,
            source.resetAt <= tookBytesAt + RingCore.togetherMilliseconds
        else { return false }
        let wasTold = !network.random.chance(network.settings.missedResets)
        operation.wasTold = wasTold
        if !wasTold { missedResets += 1 }
        return !wasTold
    }

    private func receive(_ available: Int, from source: SimulatedConnection, _ operation: Operation) {
        if network.mutant == .falseEnd, source.readByProxy > 0 {
            network.mutant = nil
            return post(operation, 0)
        }
        var room = settings.bufferSize
        if settings.hasBundles {
            // Within the limit, but at least one buffer.
            room *= max(1, min(provided.count, operation.remaining / settings.bufferSize))
        }
        var count = min(available, room)
        if network.random.chance(network.settings.shortReceives) { count = network.random.within(1...count) }
        let bufferCount = (count + settings.bufferSize - 1) / settings.bufferSize
        guard let buffer = takeProvided(bufferCount) else {
            network.log.note(network.now, "ring %: no buffer for connection %", index, source.key)
            return post(operation, -ENOBUFS)
        }
        var offset = source.readByProxy
        if network.mutant == .dropByte, offset > 0, available > count {
            network.mutant = nil
            offset += 1
            source.read(1)
        }
        for (place, buffer) in bundle(buffer).enumerated() {
            let start = place * settings.bufferSize
            fill(pool.address(of: buffer), count: min(count - start, settings.bufferSize), from: start, source, offset)
        }
        source.read(count)
        operation.remaining -= count
        let isBroken = network.random.chance(network.settings.brokenMultishots)
        let hasMore = settings.hasReceiveLimit && operation.remaining > 0 && !isBroken
        operation.tookBytesAt = network.now
        network.log.note(
            network.now, "ring %: % bytes from connection %, more %", index, count, source.key, hasMore ? 1 : 0)
        post(operation, Int32(count), buffer: buffer, hasMore: hasMore)
    }

    /// Of what is received: first what is left of the preface, then the stream from `offset` on.
    private func fill(
        _ memory: UnsafeMutableRawPointer, count: Int, from start: Int, _ source: SimulatedConnection, _ offset: Int
    ) {
        let ofPreface = max(0, min(count, source.unreadPreface - start))
        for index in 0..<ofPreface {
            memory.storeBytes(
                of: source.preface[source.prefaceRead + start + index], toByteOffset: index, as: UInt8.self)
        }
        StreamPattern.fill(
            memory + ofPreface,
            count: count - ofPreface,
            stream: source.key,
            offset: offset + max(0, start - source.unreadPreface)
        )
    }

    // MARK: Send

    private func pumpSend(_ operation: Operation) -> Bool {
        guard let sink = operation.connection else { return false }
        if sink.pendingError != 0 || sink.hasPeerReset || sink.hasProxyFinished {
            // A part that was sent hides the error, which is gone with it: the count says so by being short.
            let code = sink.takeSendError()
            sink.noteToldOfReset()
            network.log.note(
                network.now, "ring %: send to connection % fails with % after % bytes", index, sink.key, Int(code),
                operation.done)
            post(operation, operation.done > 0 ? Int32(operation.done) : -code)
            return true
        }
        let count = min(sink.sendRoom, operation.total - operation.done)
        guard count > 0 else { return false }
        take(count, of: operation, into: sink)
        if operation.done == operation.total {
            network.log.note(network.now, "ring %: sent % bytes to connection %", index, operation.total, sink.key)
            post(operation, Int32(operation.total))
        }
        return true
    }

    /// Copies bytes into the kernel's queue now, from memory that must have been left alone since the send began.
    private func take(_ count: Int, of operation: Operation, into sink: SimulatedConnection) {
        var skip = operation.done
        var left = count
        if network.mutant == .loseTail, count > 1 {
            network.mutant = nil
            left -= 1
        }
        for piece in operation.pieces where left > 0 {
            if skip >= piece.count {
                skip -= piece.count
                continue
            }
            let part = min(piece.count - skip, left)
            let ofPreface = network.ledger.sent(piece.start + skip, count: part, to: sink)
            sink.accept(part - ofPreface)
            skip = 0
            left -= part
        }
        operation.done += count
    }

    // MARK: Cancel

    func cancel(_ target: OperationTag) {
        guard let operation = armed.first(where: { $0.tag == target }) else {
            return posted(cancelFailure: ENOENT)
        }
        if network.random.chance(network.settings.lateCancels) {
            // The operation was on its way already.
            _ = pump(operation)
            guard armed.contains(where: { $0 === operation }) else {
                return posted(cancelFailure: network.random.chance(50) ? EALREADY : ENOENT)
            }
        }
        let isReadiness = operation.kind == .readinessDownstream || operation.kind == .readinessUpstream
        if network.mutant == .forgetReadiness, isReadiness {
            network.mutant = nil
            return post(Completion(tag: target, result: -ECANCELED))
        }
        network.log.note(
            network.now, "ring %: cancelled operation % of slot %", index, Int(operation.kind.rawValue),
            Int(target.slot))
        if operation.kind == .connect, let backend = operation.connection { network.ledger.connectCancelled(backend) }
        datagrams?.cancelled(operation)
        post(operation, operation.done > 0 ? Int32(operation.done) : -ECANCELED)
    }

    /// Only failures of a cancel are reported.
    private func posted(cancelFailure code: Int32) {
        post(Completion(tag: .cancel, result: -code))
    }
}

// Owns what the simulated kernel makes of splicing: waits for readiness, pipes, and the two calls that move bytes
// through them. The results are those of Linux: `tcp_poll`, `tcp_splice_read`, `splice_to_socket`.

import Glibc

@testable import ShuttleEngine

/// One pipe. It remembers whose bytes are in it, since they pass through no memory of the worker.
struct SimulatedPipe {
    let capacity: Int
    var isTaken = false
    /// It held bytes when it was given back and could not be opened again.
    var isLost = false
    /// Whose bytes are in it, from which place in their stream on.
    var source: SimulatedConnection?
    var offset = 0
    var count = 0
}

extension RingCore {
    // MARK: Readiness

    func prepareReadiness(_ readiness: Readiness, _ descriptor: Int32, _ tag: OperationTag) {
        guard let connection = network.connection(at: descriptor) else { return }
        let source: Side = tag.kind == .readinessDownstream ? .downstream : .upstream
        let operation = Operation(.readiness(source), tag: tag, ring: self, descriptor: descriptor)
        operation.connection = connection
        operation.readiness = readiness
        if !connection.isEstablished {
            network.violate(.misuse, "wait for connection \(connection.key), which is not established")
        }
        switch readiness {
        case .readable:
            if connection.readReadiness != nil || connection.receiveOperation != nil {
                network.violate(.misuse, "connection \(connection.key) is waited for beside another wait or receive")
            }
            connection.readReadiness = operation
            connection.isReportedReadable = false
            connection.willSplice(network)
        case .writable:
            if connection.writeReadiness != nil || connection.sendOperation != nil {
                network.violate(.misuse, "connection \(connection.key) is waited for beside another wait or send")
            }
            connection.writeReadiness = operation
        }
        network.ledger.use(connection, readiness == .readable ? source : source.other, ring: self, tag: tag)
        enqueue(operation)
    }

    func pumpReadiness(_ operation: Operation) -> Bool {
        guard let connection = operation.connection else { return false }
        let isReadable = operation.readiness == .readable
        guard isReadable ? connection.isReadable : connection.isWritable else { return false }
        network.log.note(
            network.now, "ring %: connection % is ready, to be read %", index, connection.key, isReadable ? 1 : 0)
        if isReadable { reportedReadable[operation.tag] = connection }
        post(operation, Int32(isReadable ? POLLIN : POLLOUT))
        return true
    }

    // MARK: Pipes

    func takePipe() -> PipeID? {
        guard !network.random.chance(network.settings.pipeFailures) else {
            network.splicing.pipeFailures += 1
            return nil
        }
        if let free = pipes.indices.last(where: { !pipes[$0].isTaken && !pipes[$0].isLost }) {
            pipes[free].isTaken = true
            return PipeID(rawValue: UInt16(free))
        }
        guard pipes.count < settings.pipeLimit else {
            network.splicing.exhaustions += 1
            return nil
        }
        pipes.append(SimulatedPipe(capacity: network.random.within(settings.pipeBytes), isTaken: true))
        return PipeID(rawValue: UInt16(pipes.count - 1))
    }

    func giveBackPipe(_ pipe: PipeID, isEmpty: Bool) {
        guard let place = taken(pipe) else { return }
        let count = pipes[place].count
        if isEmpty != (count == 0) {
            network.violate(.misuse, "pipe \(place) is given back with \(count) bytes as \(isEmpty ? "" : "not ")empty")
        }
        if !isEmpty, network.mutant == .keepPipe {
            network.mutant = nil
            return
        }
        pipes[place].source?.inPipe -= count
        guard count > 0 else {
            pipes[place].isTaken = false
            return
        }
        pipes[place] = SimulatedPipe(capacity: network.random.within(settings.pipeBytes))
        pipes[place].isLost = network.random.chance(network.settings.pipeFailures)
    }

    private func taken(_ pipe: PipeID) -> Int? {
        let place = Int(pipe.rawValue)
        guard pipes.indices.contains(place), pipes[place].isTaken else {
            network.violate(.misuse, "pipe \(place) is not in use")
            return nil
        }
        return place
    }

    var takenPipeCount: Int { pipes.count { $0.isTaken } }

    // MARK: Into a pipe

    /// The socket is blocking: without something to report the call would wait, and every session of the ring with it.
    func spliceIn(_ descriptor: Int32, _ pipe: PipeID) -> CallResult {
        guard let source = network.connection(at: descriptor), let place = taken(pipe) else { return failure(EBADF) }
        if !source.isReportedReadable {
            network.violate(.misuse, "connection \(source.key) is spliced from without having been reported readable")
        }
        source.isReportedReadable = false
        if source.receiveOperation != nil || source.readReadiness != nil {
            network.violate(.misuse, "connection \(source.key) is spliced from under an armed receive or wait")
        }
        if pipes[place].count > 0 { network.violate(.misuse, "bytes are spliced into pipe \(place), which has some") }
        source.wasPipeLeftFull = false
        switch source.receivable() {
        case .nothing:
            network.violate(.misuse, "splicing from connection \(source.key) would wait for ever")
            return failure(EAGAIN)
        case .end:
            return .success(0)
        case .failure:
            let code = source.takePendingError()
            source.noteToldOfReset()
            network.log.note(network.now, "ring %: splice from connection % fails with %", index, source.key, Int(code))
            return failure(code)
        case .bytes(let available):
            if let refusal = refusal(of: source) { return refusal }
            var count = min(available, pipes[place].capacity)
            if network.random.chance(network.settings.shortReceives) { count = network.random.within(1...count) }
            pipes[place].source = source
            pipes[place].offset = source.readByProxy
            pipes[place].count = count
            source.inPipe = count
            source.read(count, at: timeTold)
            network.splicing.bytes += count
            network.log.note(network.now, "ring %: % bytes from connection % into a pipe", index, count, source.key)
            return .success(Int32(count))
        }
    }

    /// A splice from a socket that was found to have bytes does not wait.
    func readableBytes(_ descriptor: Int32) -> Int {
        guard let source = network.connection(at: descriptor) else { return 0 }
        if source.unread > 0 { source.isReportedReadable = true }
        return source.unread
    }

    /// Bytes are there and are not moved: urgent data ends a splice, without memory for a pipe's pages it gets EAGAIN.
    private func refusal(of source: SimulatedConnection) -> CallResult? {
        if network.mutant == .falseEndOfSplice {
            source.endsFalsely = true
        } else if !network.random.chance(network.settings.spliceRefusals) {
            return nil
        }
        network.splicing.refusals += 1
        network.log.note(network.now, "ring %: nothing is spliced from connection %", index, source.key)
        if source.endsFalsely { return .success(0) }
        return network.random.pick([.success(0), failure(EAGAIN), failure(EINTR)])
    }

    // MARK: Out of a pipe

    func spliceOut(_ pipe: PipeID, _ descriptor: Int32, count asked: Int) -> CallResult {
        guard let sink = network.connection(at: descriptor), let place = taken(pipe) else { return failure(EBADF) }
        if sink.sendOperation != nil || sink.writeReadiness != nil {
            network.violate(.misuse, "connection \(sink.key) is spliced to under an armed send or wait")
        }
        if sink.hasProxyFinished { network.violate(.misuse, "splice to connection \(sink.key) after its end") }
        guard asked > 0, asked == pipes[place].count, let source = pipes[place].source else {
            network.violate(.misuse, "\(asked) bytes of pipe \(place) are asked for, which has \(pipes[place].count)")
            return failure(EINVAL)
        }
        if network.random.chance(network.settings.spliceRefusals) { return failure(EINTR) }
        if sink.pendingError != 0 || sink.hasPeerReset {
            let code = sink.takeSendError()
            sink.noteToldOfReset()
            network.log.note(network.now, "ring %: splice to connection % fails with %", index, sink.key, Int(code))
            return failure(code)
        }
        var count = min(sink.sendRoom, asked)
        guard count > 0 else {
            source.wasPipeLeftFull = true
            return failure(EAGAIN)
        }
        // The call sends some pages at a time.
        if network.random.chance(network.settings.shortReceives) { count = network.random.within(1...count) }
        network.ledger.spliced(count, from: source, offset: pipes[place].offset, to: sink)
        sink.accept(count)
        pipes[place].offset += count
        pipes[place].count -= count
        source.inPipe -= count
        network.log.note(network.now, "ring %: % bytes out of a pipe to connection %", index, count, sink.key)
        if network.mutant == .leaveBytesInPipe, count < asked {
            network.mutant = nil
            return .success(Int32(asked))
        }
        if count < asked, network.random.chance(network.settings.resetsUnderSplices) { resetUnderSplice(sink) }
        return .success(Int32(count))
    }

    /// The reset comes between two pieces of one call, whose count hides the error that it took.
    private func resetUnderSplice(_ sink: SimulatedConnection) {
        sink.peerResets()
        guard network.random.chance(50) else { return }
        sink.losePendingError()
        network.splicing.hiddenErrors += 1
    }

    private func failure(_ code: Int32) -> CallResult { .failure(SystemCallError(code: code)) }
}

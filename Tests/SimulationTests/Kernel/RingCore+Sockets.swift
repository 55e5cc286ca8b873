// Owns the calls that a worker makes on sockets and operations: whether they make sense, and their immediate effect.

import Glibc

@testable import ShuttleEngine

extension RingCore {
    // MARK: Preparing operations

    func prepareAccept(_ descriptor: Int32, _ tag: OperationTag) {
        guard let listener = network.listener(at: descriptor) else { return }
        let operation = Operation(.accept, tag: tag, ring: self, descriptor: descriptor)
        operation.listener = listener
        if listener.accepts.contains(where: { $0.ring === self }) {
            network.violate(.misuse, "ring \(index) accepts twice at port \(listener.port)")
        }
        enqueue(operation)
    }

    func prepareConnect(_ descriptor: Int32, port: UInt16, _ tag: OperationTag) {
        guard let backend = network.connection(at: descriptor) else { return }
        let operation = Operation(.connect, tag: tag, ring: self, descriptor: descriptor)
        operation.connection = backend
        operation.port = port
        if backend.isClient || backend.port != port || backend.connectOperation != nil || backend.isEstablished {
            network.violate(.misuse, "connect on descriptor \(descriptor), which is not fresh or for another address")
        }
        backend.connectOperation = operation
        network.ledger.connecting(backend, ring: self, tag: tag)
        enqueue(operation)
    }

    func prepareReceive(_ descriptor: Int32, byteLimit: Int, expectsDelay: Bool, _ tag: OperationTag) {
        guard let source = network.connection(at: descriptor) else { return }
        let side: Side = tag.kind == .receiveDownstream ? .downstream : .upstream
        let operation = Operation(.receive(side), tag: tag, ring: self, descriptor: descriptor)
        operation.connection = source
        operation.remaining = byteLimit
        operation.expectsDelay = expectsDelay
        if source.receiveOperation != nil { network.violate(.misuse, "two receives on connection \(source.key)") }
        if !source.isEstablished || byteLimit < 1 {
            network.violate(.misuse, "receive of \(byteLimit) bytes from connection \(source.key), which is not ready")
        }
        if source.readReadiness != nil {
            network.violate(.misuse, "receive from connection \(source.key) under an armed wait")
        }
        source.receiveOperation = operation
        source.willReceive(network)
        network.ledger.use(source, side, ring: self, tag: tag)
        enqueue(operation)
    }

    func prepareSend(_ descriptor: Int32, _ queue: BufferQueue, waits: Bool, _ tag: OperationTag) -> Int {
        guard let sink = network.connection(at: descriptor) else { return 0 }
        let side: Side = tag.kind == .sendDownstream ? .downstream : .upstream
        let operation = Operation(.send(side), tag: tag, ring: self, descriptor: descriptor)
        operation.connection = sink
        operation.waits = waits
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: settings.piecesMax) { vectors in
            let (count, bytes) = pool.pieces(of: queue, into: vectors.baseAddress!, limit: settings.piecesMax)
            for vector in vectors[0..<count] {
                operation.pieces.append((UnsafeRawPointer(vector.iov_base!), vector.iov_len))
            }
            operation.total = bytes
        }
        if sink.sendOperation != nil { network.violate(.misuse, "two sends on connection \(sink.key)") }
        if sink.writeReadiness != nil { network.violate(.misuse, "send to connection \(sink.key) under an armed wait") }
        if sink.hasProxyFinished { network.violate(.misuse, "send to connection \(sink.key) after its end") }
        if operation.total == 0 { network.violate(.misuse, "send of nothing to connection \(sink.key)") }
        if corked === sink { corked = nil }
        sink.sendOperation = operation
        network.ledger.use(sink, side, ring: self, tag: tag)
        enqueue(operation)
        return operation.total
    }

    func prepareCancel(_ target: OperationTag) {
        refusedPorts.removeAll()
        let operation = Operation(.cancel, tag: .cancel, ring: self, descriptor: -1)
        operation.target = target
        enqueue(operation)
    }

    // MARK: Calls

    func openSocket(port: UInt16, source: SocketAddress? = nil, isUnix: Bool = false) -> CallResult {
        if network.random.chance(network.settings.descriptorShortages) || network.isOutOfDescriptors {
            network.log.note(network.now, "ring %: no descriptor for a socket to port %", index, Int(port))
            refusedPorts.append(port)
            return .failure(SystemCallError(code: EMFILE))
        }
        if isUnix, let failure = connectFailure(port, source) { return .failure(failure) }
        let backend = network.makeConnection(isClient: false, port: port)
        backend.isUnix = isUnix
        backend.source = source
        guard let descriptor = network.give(backend) else { return .failure(SystemCallError(code: EMFILE)) }
        network.log.note(
            network.now, "ring %: descriptor % for connection % to port %", index, Int(descriptor), backend.key,
            Int(port))
        return .success(descriptor)
    }

    /// Connecting to a unix socket is over at once; one that keeps silent has a full listen queue.
    private func connectFailure(_ port: UInt16, _ source: SocketAddress?) -> SystemCallError? {
        if source != nil { network.violate(.misuse, "a connection to the unix socket \(port) comes from an address") }
        switch network.fateOfConnect(port).0 {
        case .accept: return nil
        case .silence:
            network.ledger.listenQueueWasFull(port)
            return SystemCallError(code: EAGAIN)
        case .fail(let code):
            network.ledger.failsAtOnce(port)
            refusedPorts.append(port)
            return SystemCallError(code: code)
        }
    }

    func acceptNow(_ descriptor: Int32) -> CallResult {
        guard let listener = network.listener(at: descriptor), !listener.queue.isEmpty else {
            return .failure(SystemCallError(code: EAGAIN))
        }
        let client = listener.queue[0]
        guard let accepted = network.give(client) else {
            listener.wasShortOfDescriptors = true
            return .failure(SystemCallError(code: EMFILE))
        }
        listener.queue.removeFirst()
        refusedPorts.removeAll()
        network.log.note(network.now, "ring %: drained connection % as descriptor %", index, client.key, Int(accepted))
        network.ledger.accepted(client)
        willChoose(accepted)
        return .success(accepted)
    }

    func shutdownWrite(_ descriptor: Int32) {
        guard let sink = network.connection(at: descriptor) else { return }
        if sink.sendOperation != nil { network.violate(.misuse, "end of connection \(sink.key) under an armed send") }
        if sink.hasProxyFinished { network.violate(.misuse, "connection \(sink.key) was finished twice") }
        network.ledger.ends(sink, ring: self)
        if !sink.isDead { sink.proxyFinishes(at: timeTold) }
    }

    func close(_ descriptor: Int32, reset: Bool, atOnce: Bool = false) {
        if let datagrams, datagrams.sockets[descriptor] != nil { return datagrams.close(descriptor) }
        guard let connection = network.connection(at: descriptor) else { return }
        let armed = [
            connection.receiveOperation, connection.sendOperation, connection.connectOperation,
            connection.readReadiness, connection.writeReadiness,
        ]
        for operation in armed {
            guard let operation else { continue }
            network.violate(.misuse, "connection \(connection.key) closed under an armed \(operation.kind)")
        }
        var reset = reset
        if reset, network.mutant == .endInsteadOfReset, !connection.isDead, connection.unread == 0 {
            network.mutant = nil
            reset = false
        }
        network.ledger.closes(connection, reset: reset || connection.unread > 0, ring: self)
        refusedPorts.removeAll()
        connection.isClosePrepared = true
        let operation = Operation(.close, tag: .close, ring: self, descriptor: descriptor)
        operation.connection = connection
        operation.isReset = reset
        if atOnce { finishClose(operation) } else { enqueue(operation) }
    }

    /// At the submission; until then the descriptor is nobody else's.
    func finishClose(_ operation: Operation) {
        operation.connection?.proxyCloses(reset: operation.isReset)
        network.release(operation.descriptor)
    }

    func keepAlive(_ descriptor: Int32, _ keepalive: Keepalive) {
        guard let connection = network.tcpConnection(at: descriptor, "keepalive") else { return }
        if connection.keepalive != nil {
            network.violate(.misuse, "connection \(connection.key) is kept alive twice")
        }
        connection.keepalive = keepalive
    }
}

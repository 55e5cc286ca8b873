// Owns UDP in a simulation: sockets with their queues, the buffers of each ring, what is lost, refused and late.
// Leaves to others: who sends what, and whether it came where it belongs (DatagramSimulation).

import Glibc

@testable import ShuttleEngine

/// A bound socket of one ring, or one that is connected to a backend.
final class SimulatedDatagramSocket {
    let descriptor: Int32
    /// 0 of a bound one.
    let backendPort: UInt16
    let source: SocketAddress?
    /// What waits to be received; of a connected one without a path that counts.
    var queue: [(path: DatagramPath, bytes: [UInt8])] = []
    var receive: Operation?
    /// An ICMP error that the next call is told of.
    var pendingError: Int32 = 0

    init(descriptor: Int32, backendPort: UInt16, source: SocketAddress? = nil) {
        self.descriptor = descriptor
        self.backendPort = backendPort
        self.source = source
    }
}

final class SimulatedDatagrams {
    /// How hard the kernel makes it, in percent.
    struct Settings {
        var buffers = 8
        /// Receives end without a reason.
        var brokenReceives = 10
        /// Sends find no room.
        var fullSends = 0
        /// Datagrams of one size that stand in a row come as one batch.
        var batches = 50
        /// A batch is sent in part.
        var partSends = 0
        /// Sockets are not to be had: no descriptors, no ports.
        var shortages = 0
        /// Only where so many sockets to backends are open, in every case where `shortages` is 100.
        var shortagesFrom = 0
        /// Sockets to backends there may be at a time.
        var descriptorsMax = Int.max
    }

    private struct Buffer {
        var path: DatagramPath
        var memory: UnsafeMutableBufferPointer<UInt8>
        var count = 0
        /// Of each datagram of a batch but the last; 0 of one by itself.
        var datagramBytes = 0
        var isFree = true
    }

    /// What sockets that clients write to are bound to.
    static let address = SocketAddress.anyIPv4(port: 53)

    private static let bufferBytes = 1024

    let network: SimulatedNetwork
    let settings: Settings
    private var buffers: [[Buffer]]
    private(set) var sockets: [Int32: SimulatedDatagramSocket] = [:]
    // Numbers that no other descriptor has.
    private var nextDescriptor: Int32 = 1_000_000

    /// What a backend does with a datagram that came over a socket.
    var backendReceives: (_ socket: SimulatedDatagramSocket, _ header: [UInt8], _ bytes: [UInt8]) -> Void = {
        _, _, _ in
    }
    /// What a client does with an answer, and which socket it came from.
    var clientReceives: (_ path: DatagramPath, _ bytes: [UInt8], _ socket: SimulatedDatagramSocket) -> Void = {
        _, _, _ in
    }
    private(set) var batchesMet = 0
    /// Sent as batches, and left over of batches that were sent in part.
    private(set) var batchesSent = 0
    private(set) var leftOver = 0
    private(set) var connectedMax = 0
    private(set) var shortagesMet = 0
    private(set) var starvationsMet = 0
    private(set) var sendsFailed = 0

    init(network: SimulatedNetwork, ringCount: Int, settings: Settings) {
        self.network = network
        self.settings = settings
        buffers = (0..<ringCount).map { _ in
            (0..<settings.buffers).map { _ in
                Buffer(
                    path: DatagramPath(clientHigh: 0, clientLow: 0, clientPort: 0, clientScope: 0),
                    memory: .allocate(capacity: SimulatedDatagrams.bufferBytes))
            }
        }
    }

    deinit {
        for buffer in buffers.joined() { buffer.memory.deallocate() }
    }

    // MARK: Sockets

    func bind() -> SimulatedDatagramSocket { open(backendPort: 0, source: nil) }

    private func open(backendPort: UInt16, source: SocketAddress?) -> SimulatedDatagramSocket {
        let socket = SimulatedDatagramSocket(
            descriptor: nextDescriptor, backendPort: backendPort, source: source)
        nextDescriptor += 1
        sockets[socket.descriptor] = socket
        return socket
    }

    private var connectedCount: Int { sockets.values.count { $0.backendPort > 0 } }

    func connect(to port: UInt16, source: SocketAddress?) -> CallResult {
        if connectedCount >= settings.shortagesFrom, network.random.chance(settings.shortages) {
            shortagesMet += 1
            return .failure(SystemCallError(code: network.random.pick([EMFILE, EAGAIN, ENOBUFS])))
        }
        let socket = open(backendPort: port, source: source)
        let connected = connectedCount
        connectedMax = max(connectedMax, connected)
        if connected > settings.descriptorsMax {
            network.violate(.limit, "\(connected) sockets are open, of \(settings.descriptorsMax) that may be")
        }
        return .success(socket.descriptor)
    }

    /// Control closes bound sockets, workers connected ones.
    func close(_ descriptor: Int32) {
        guard let socket = sockets.removeValue(forKey: descriptor) else {
            return network.violate(.misuse, "descriptor \(descriptor) was closed and is not open")
        }
        if socket.receive != nil { network.violate(.misuse, "socket \(descriptor) was closed under a receive") }
    }

    private func socket(_ descriptor: Int32) -> SimulatedDatagramSocket? {
        if let socket = sockets[descriptor] { return socket }
        network.violate(.misuse, "descriptor \(descriptor) is not a UDP socket that is open")
        return nil
    }

    var freeBuffers: [Int] { buffers.map { $0.count(where: \.isFree) } }

    // MARK: Receives

    func prepareReceive(_ operation: Operation) {
        guard let socket = socket(operation.descriptor) else { return }
        if socket.receive != nil { network.violate(.misuse, "two receives on socket \(operation.descriptor)") }
        socket.receive = operation
    }

    /// Lets an armed receive go on; false when there is nothing for it to do.
    func pump(_ operation: Operation) -> Bool {
        guard let socket = sockets[operation.descriptor], socket.receive === operation else { return false }
        if socket.pendingError != 0 {
            return end(operation, socket, -take(&socket.pendingError))
        }
        guard !socket.queue.isEmpty else { return false }
        let ring = operation.ring.index
        guard let buffer = buffers[ring].indices.first(where: { buffers[ring][$0].isFree }) else {
            starvationsMet += 1
            return end(operation, socket, -ENOBUFS)
        }
        let (path, bytes, datagramBytes) = takeBatch(of: socket)
        buffers[ring][buffer].isFree = false
        buffers[ring][buffer].path = path
        buffers[ring][buffer].count = bytes.count
        buffers[ring][buffer].datagramBytes = datagramBytes
        _ = buffers[ring][buffer].memory.update(fromContentsOf: bytes)
        let hasMore = !bytes.isEmpty && !network.random.chance(settings.brokenReceives)
        if !hasMore { socket.receive = nil }
        operation.ring.post(operation, Int32(bytes.count), buffer: BufferID(buffer), hasMore: hasMore)
        return true
    }

    /// What one receive brings: a datagram, or as many as the kernel joins, from one end to another and of one size; the last
    /// may be shorter.
    private func takeBatch(
        of socket: SimulatedDatagramSocket
    ) -> (path: DatagramPath, bytes: [UInt8], datagramBytes: Int) {
        let first = socket.queue.removeFirst()
        guard !first.bytes.isEmpty, network.random.chance(settings.batches) else { return (first.path, first.bytes, 0) }
        var bytes = first.bytes
        while let next = socket.queue.first, next.path == first.path, !next.bytes.isEmpty,
            next.bytes.count <= first.bytes.count, bytes.count + next.bytes.count <= SimulatedDatagrams.bufferBytes
        {
            bytes += next.bytes
            socket.queue.removeFirst()
            if next.bytes.count < first.bytes.count { break }
        }
        if bytes.count > first.bytes.count { batchesMet += 1 }
        return (first.path, bytes, bytes.count > first.bytes.count ? first.bytes.count : 0)
    }

    private func end(_ operation: Operation, _ socket: SimulatedDatagramSocket, _ result: Int32) -> Bool {
        socket.receive = nil
        operation.ring.post(operation, result)
        return true
    }

    private func take(_ code: inout Int32) -> Int32 {
        defer { code = 0 }
        return code
    }

    /// A cancellation has ended it.
    func cancelled(_ operation: Operation) { sockets[operation.descriptor]?.receive = nil }

    func clientDatagram(_ ring: Int, _ buffer: BufferID, _ count: Int32) -> ClientDatagram {
        let content = buffers[ring][Int(buffer)]
        if content.isFree { network.violate(.misuse, "buffer \(buffer) was read after it had been given back") }
        return ClientDatagram(path: content.path, payload: batch(ring, buffer, count), isCut: false)
    }

    func batch(_ ring: Int, _ buffer: BufferID, _ count: Int32) -> DatagramBatch {
        let memory = UnsafeRawBufferPointer(buffers[ring][Int(buffer)].memory)
        return DatagramBatch(
            bytes: UnsafeRawBufferPointer(rebasing: memory[..<Int(count)]),
            datagramBytes: buffers[ring][Int(buffer)].datagramBytes)
    }

    func giveBack(_ ring: Int, _ buffer: BufferID) {
        if buffers[ring][Int(buffer)].isFree { network.violate(.misuse, "buffer \(buffer) was given back twice") }
        buffers[ring][Int(buffer)].isFree = true
    }

    // MARK: Sends

    func sendToBackend(_ descriptor: Int32, header: [UInt8] = [], _ batch: DatagramBatch) -> CallResult {
        guard let socket = socket(descriptor) else { return .failure(SystemCallError(code: EBADF)) }
        if socket.pendingError != 0 {
            sendsFailed += 1
            return .failure(SystemCallError(code: take(&socket.pendingError)))
        }
        return send(batch, failingWith: [EAGAIN, ENOBUFS, EMSGSIZE]) { backendReceives(socket, header, $0) }
    }

    func sendToClient(_ descriptor: Int32, _ batch: DatagramBatch, _ path: DatagramPath) -> CallResult {
        guard let socket = socket(descriptor) else { return .failure(SystemCallError(code: EBADF)) }
        return send(batch, failingWith: [EAGAIN]) { clientReceives(path, $0, socket) }
    }

    private func send(_ batch: DatagramBatch, failingWith codes: [Int32], _ deliver: ([UInt8]) -> Void) -> CallResult {
        if network.random.chance(settings.fullSends) {
            sendsFailed += batch.count
            return .failure(SystemCallError(code: network.random.pick(codes)))
        }
        var count = batch.count
        if count > 1 {
            batchesSent += 1
            if network.random.chance(settings.partSends) { count = network.random.within(1...count) }
        }
        leftOver += batch.count - count
        var bytes = 0
        for index in 0..<count {
            deliver(Array(batch[index].bytes))
            bytes += batch[index].bytes.count
        }
        return .success(Int32(bytes))
    }
}

extension SimulatedRing: DatagramOperations {
    private var datagrams: SimulatedDatagrams {
        guard let datagrams = core.datagrams else { preconditionFailure("this simulation has no UDP") }
        return datagrams
    }

    mutating func prepareReceiveFromClients(_ socket: Int32, tag: OperationTag) {
        prepare(Operation(.receiveFromClients, tag: tag, ring: core, descriptor: socket))
    }

    mutating func prepareReceiveFromBackend(_ socket: Int32, tag: OperationTag) {
        prepare(Operation(.receiveFromBackend, tag: tag, ring: core, descriptor: socket))
    }

    private func prepare(_ operation: Operation) {
        datagrams.prepareReceive(operation)
        core.enqueue(operation)
    }

    func clientDatagram(in buffer: BufferID, count: Int32) -> ClientDatagram {
        datagrams.clientDatagram(core.index, buffer, count)
    }

    func backendDatagram(in buffer: BufferID, count: Int32) -> DatagramBatch? {
        datagrams.batch(core.index, buffer, count)
    }

    mutating func giveBackDatagram(_ buffer: BufferID) { datagrams.giveBack(core.index, buffer) }

    mutating func openDatagramSocket(
        for address: UnsafePointer<SocketAddress>,
        from source: UnsafePointer<SocketAddress>?
    ) -> CallResult {
        datagrams.connect(to: address.pointee.port, source: source?.pointee)
    }

    mutating func sendToBackend(_ socket: Int32, _ batch: DatagramBatch) -> CallResult {
        datagrams.sendToBackend(socket, batch)
    }

    mutating func sendToBackend(
        _ socket: Int32, header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer
    ) -> CallResult {
        datagrams.sendToBackend(socket, header: Array(header), DatagramBatch(bytes: payload))
    }

    mutating func sendToClient(
        _ socket: Int32, isIPv4: Bool, _ batch: DatagramBatch, along path: DatagramPath
    ) -> CallResult {
        datagrams.sendToClient(socket, batch, path)
    }
}

// Owns the verdict on what the worker does to connections: which belong together, whether bytes are where they should
// be, whether an end or a reset tells the truth. It sees only what the kernel sees, and trusts no state of the worker.

import Glibc

@testable import ShuttleEngine

/// A session as the kernel can infer it: the sockets that operations of one slot and generation name.
final class SimulatedSession {
    let ring: RingCore
    let slot: UInt32
    let generation: UInt32
    var client: SimulatedConnection?
    /// The latest backend.
    var upstream: SimulatedConnection?
    var triedPorts: [UInt16] = []
    /// Where the present backend was tried from.
    var sourcesTried: [SocketAddress] = []
    /// When each connect began.
    var connectTimes: [UInt64] = []
    /// Its connects that the network failed: to which port, when they began, and when that was.
    fileprivate(set) var failures: [(port: UInt16, began: UInt64, at: UInt64)] = []
    /// The epoch under which it began.
    fileprivate(set) var epoch: UInt64
    fileprivate(set) var establishedAt: UInt64?
    /// When the worker had given it a slot, at the latest.
    fileprivate(set) var knownSince: UInt64 = 0
    var isEstablished = false
    /// The worker has begun to close it.
    var isClosing = false
    /// Whether it might be ended without its peers' doing when the worker decided to.
    var couldAbort = false
    /// Somebody has asked for its end.
    var mayBeEndedByOperator = false
    /// It is held back to its bandwidth, as of the last turn; and when that was last so.
    var isHeld = false
    var lastHeld: UInt64 = 0
    /// It was in the queue of its service, was delayed or was read from before it got a backend.
    var hasWaited: Bool {
        let use = SlotUse(slot: slot, generation: generation)
        return ring.waited.contains(use) || ring.isWaited(use)
    }

    init(ring: RingCore, slot: UInt32, generation: UInt32, epoch: UInt64) {
        self.ring = ring
        self.slot = slot
        self.generation = generation
        self.epoch = epoch
    }

    var isOver: Bool { (client?.isClosePrepared ?? true) && (upstream?.isClosePrepared ?? true) }
}

/// What is known of a backend when one is chosen.
struct BackendLoad {
    let active: Int
    let isUp: Bool
    /// A connect to it has failed and none succeeded since.
    let isResting: Bool
}

/// What was known when a backend was chosen for a client: the epoch, and by the port the backends' sessions and health.
struct Choice {
    let epoch: UInt64
    let loads: [UInt16: BackendLoad]
}

/// Timeouts that apply to a session, in milliseconds; 0 is none.
struct IdleLimits {
    var client = 0
    var server = 0
    var halfClose = 0
    var lifetime = 0
    var lifetimeJitterPercent = 0
    /// The first end of a stream closes both sides.
    var closesAtFirstEnd = false
    /// 0 for none.
    var keepaliveIdle = 60_000
    var userTimeout = 0
}

final class Ledger {
    unowned let network: SimulatedNetwork

    // What the network saw, to be compared with counters. By the backend's port, which no two records share.
    private(set) var acceptedClients = 0
    private(set) var established: [UInt16: Int] = [:]
    private(set) var failedConnects: [UInt16: Int] = [:]
    /// Connects to unix sockets that failed, of those that failed.
    private(set) var failedAtOnce: [UInt16: Int] = [:]
    /// Tries that found the listen queue of a unix socket full.
    private(set) var fullListenQueues: [UInt16: Int] = [:]
    /// When a connect last succeeded.
    private(set) var lastEstablished: [UInt16: UInt64] = [:]
    private(set) var bytesUp: [UInt16: Int] = [:]
    private(set) var bytesDown: [UInt16: Int] = [:]
    /// By the backend's port.
    private(set) var headersSent: [UInt16: Int] = [:]
    private(set) var sourcesUsed: [SocketAddress: Int] = [:]
    /// Sessions that began, in order.
    private(set) var sessions: [SimulatedSession] = []

    // Asked of the driver, who knows the configuration.
    var idleLimits: (SimulatedSession) -> IdleLimits = { _ in IdleLimits() }
    /// Whether the backend at a port drains.
    var isDraining: (_ port: UInt16) -> Bool = { _ in false }
    var connectStarts: (_ session: SimulatedSession, _ port: UInt16) -> Void = { _, _ in }
    var turnedAway: (_ client: SimulatedConnection, RingCore) -> Void = { _, _ in }
    var clientKnown: (SimulatedSession) -> Void = { _ in }
    var reachedBackend: (SimulatedConnection) -> Void = { _ in }
    var loads: () -> [UInt16: BackendLoad] = { [:] }

    init(network: SimulatedNetwork) {
        self.network = network
    }

    // MARK: Who belongs to whom

    func accepted(_ client: SimulatedConnection) {
        acceptedClients += 1
        client.acceptedAt = network.now
    }

    /// The worker is about to choose a backend for a client.
    func willChoose(_ client: SimulatedConnection, ring: RingCore) {
        client.choice = Choice(epoch: ring.viewEpoch, loads: loads())
    }

    private func session(_ ring: RingCore, _ tag: OperationTag) -> SimulatedSession {
        let slot = Int(tag.slot)
        while ring.sessions.count <= slot { ring.sessions.append(nil) }
        if let present = ring.sessions[slot] {
            if present.generation == tag.generation { return present }
            if !present.isOver {
                network.violate(.crossed, "ring \(ring.index): slot \(slot) was given away while its sockets were open")
            }
        }
        let session = SimulatedSession(ring: ring, slot: tag.slot, generation: tag.generation, epoch: ring.viewEpoch)
        session.knownSince = network.now
        ring.sessions[slot] = session
        sessions.append(session)
        return session
    }

    func connecting(_ backend: SimulatedConnection, ring: RingCore, tag: OperationTag) {
        let session = session(ring, tag)
        if let previous = session.upstream, !previous.isClosePrepared {
            network.violate(
                .misuse, "a session connects to port \(backend.port) while it has connection \(previous.key)")
        }
        let lackedPorts = session.upstream?.lackedPorts ?? false
        session.upstream = backend
        backend.session = session
        // The same backend from another address is no further try, also where there was no descriptor for it.
        let isSameTryRefused = lackedPorts && ring.refusedPorts.first == session.triedPorts.last
        session.triedPorts += ring.refusedPorts.dropFirst(isSameTryRefused ? 1 : 0)
        ring.refusedPorts.removeAll()
        let isSameTry = backend.source != nil && lackedPorts && session.triedPorts.last == backend.port
        noteSource(of: backend, session, isSameTry: isSameTry)
        if isSameTry { return }
        network.ledger.connectStarts(session, backend.port)
        session.triedPorts.append(backend.port)
        session.connectTimes.append(network.now)
    }

    /// Each address of the service once for a backend.
    private func noteSource(of backend: SimulatedConnection, _ session: SimulatedSession, isSameTry: Bool) {
        if !isSameTry { session.sourcesTried.removeAll() }
        guard let source = backend.source else { return }
        if session.sourcesTried.contains(source) {
            network.violate(.balance, "port \(backend.port) was tried twice from \(source) for a client")
        }
        session.sourcesTried.append(source)
        sourcesUsed[source, default: 0] += 1
    }

    func connected(_ backend: SimulatedConnection) {
        established[backend.port, default: 0] += 1
        lastEstablished[backend.port] = network.now
        backend.session?.isEstablished = true
        backend.session?.establishedAt = network.now
        backend.session?.client?.restartClock()
        reachedBackend(backend)
    }

    func headerSent(to backend: SimulatedConnection) {
        headersSent[backend.port, default: 0] += 1
    }

    /// The worker takes it for a connect that failed.
    func headerFailed(at backend: SimulatedConnection) {
        established[backend.port, default: 0] -= 1
        failedConnects[backend.port, default: 0] += 1
        backend.session?.isEstablished = false
        backend.session?.establishedAt = nil
    }

    func connectFailed(_ backend: SimulatedConnection, code: Int32) {
        backend.lackedPorts = code == EADDRNOTAVAIL
        guard code != EADDRNOTAVAIL else { return }
        failedConnects[backend.port, default: 0] += 1
        guard let session = backend.session, let began = session.connectTimes.last else { return }
        session.failures.append((backend.port, began, network.now))
    }

    /// Before there was a connection.
    func failsAtOnce(_ port: UInt16) {
        failedConnects[port, default: 0] += 1
        failedAtOnce[port, default: 0] += 1
    }

    /// Of a unix socket; whoever met it asks again.
    func listenQueueWasFull(_ port: UInt16) {
        fullListenQueues[port, default: 0] += 1
    }

    func connectCancelled(_ backend: SimulatedConnection) {
        failedConnects[backend.port, default: 0] += 1
    }

    /// An operation of a session names a socket: always the same client and the connected backend.
    func use(_ connection: SimulatedConnection, _ side: Side, ring: RingCore, tag: OperationTag) {
        let session = session(ring, tag)
        switch side {
        case .downstream:
            if session.client == nil && connection.session == nil && connection.isClient {
                session.client = connection
                connection.session = session
                if session.isEstablished { connection.restartClock() }
                if let choice = connection.choice { session.epoch = choice.epoch }
                clientKnown(session)
            }
            if session.client !== connection {
                network.violate(
                    .crossed, "slot \(tag.slot) uses connection \(connection.key), another session's client")
            }
        case .upstream:
            connection.wasUsed = true
            if session.upstream !== connection {
                network.violate(
                    .crossed, "slot \(tag.slot) uses connection \(connection.key), another session's backend")
            }
        }
    }

    func source(of sink: SimulatedConnection) -> SimulatedConnection? {
        sink.isClient ? sink.session?.upstream : sink.session?.client
    }

    // MARK: Bytes

    /// The kernel takes bytes over from the worker; returns how many of them are no part of the stream, but of what comes
    /// before it.
    func sent(_ bytes: UnsafeRawPointer, count: Int, to sink: SimulatedConnection) -> Int {
        guard let source = source(of: sink) else {
            network.violate(.crossed, "bytes for connection \(sink.key), which has no other side")
            return 0
        }
        let left = source.isPrefaceForwarded ? source.preface.count - sink.prefaceAccepted : 0
        let ofPreface = min(count, left)
        for index in 0..<ofPreface
        where bytes.load(fromByteOffset: index, as: UInt8.self) != source.preface[sink.prefaceAccepted + index] {
            network.violate(.content, "what connection \(source.key) said first came otherwise to \(sink.key)")
        }
        sink.prefaceAccepted += ofPreface
        self.count(ofPreface, from: source, to: sink)
        if count > ofPreface { sent(bytes + ofPreface, count: count - ofPreface, from: source, to: sink) }
        return ofPreface
    }

    private func sent(
        _ bytes: UnsafeRawPointer, count: Int, from source: SimulatedConnection, to sink: SimulatedConnection
    ) {
        let place = "byte \(sink.accepted) to connection \(sink.key) from connection \(source.key)"
        if let wrong = StreamPattern.firstMismatch(bytes, count: count, stream: source.key, offset: sink.accepted) {
            return network.violate(.content, "wrong content \(wrong) after \(place)")
        }
        if sink.accepted + count > source.readByProxy {
            return network.violate(.content, "\(count) bytes after \(place), which has sent \(source.readByProxy)")
        }
        self.count(count, from: source, to: sink)
    }

    /// The kernel moves bytes that the worker has not seen: `offset` is where they stand in the stream of `source`.
    func spliced(_ count: Int, from source: SimulatedConnection, offset: Int, to sink: SimulatedConnection) {
        guard self.source(of: sink) === source else {
            return network.violate(
                .crossed, "bytes of connection \(source.key) are spliced to connection \(sink.key), another session's")
        }
        if offset != sink.accepted {
            return network.violate(
                .content,
                "connection \(sink.key) has \(sink.accepted) bytes and is given those of connection \(source.key) from "
                    + "\(offset) on"
            )
        }
        self.count(count, from: source, to: sink)
    }

    private func count(_ count: Int, from source: SimulatedConnection, to sink: SimulatedConnection) {
        if sink.isClient {
            bytesDown[source.port, default: 0] += count
        } else {
            bytesUp[sink.port, default: 0] += count
        }
    }
}

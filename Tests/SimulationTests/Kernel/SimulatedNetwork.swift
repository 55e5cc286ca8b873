// Owns what all rings of a run share: the virtual clock, the descriptors of the process, listeners, connections and
// the backends' hosts. Leaves to others: operations (RingCore), what peers do (SimulatedPeer), verdicts (Ledger).

import Glibc

@testable import ShuttleEngine

/// A listening socket.
final class SimulatedListener {
    let descriptor: Int32
    let port: UInt16
    let isUnix: Bool
    /// Connections established and not accepted.
    var queue: [SimulatedConnection] = []
    var accepts: [Operation] = []
    /// New handshakes are ignored.
    var isRefusingHandshakes = false
    /// There was no descriptor for somebody in the queue when it was to be emptied.
    var wasShortOfDescriptors = false

    init(descriptor: Int32, port: UInt16, isUnix: Bool) {
        self.descriptor = descriptor
        self.port = port
        self.isUnix = isUnix
    }
}

/// How hard the simulated kernel makes it; rates are percentages.
struct NetworkSettings {
    var kernelQueueBytes = 1...4096
    var descriptorLimit = 1000
    /// Receives return fewer bytes than are there.
    var shortReceives = 0
    /// Multishot receives end without a reason, as when the completion queue is full.
    var brokenMultishots = 0
    /// Multishot receives that took bytes are not told of the reset that came with them.
    var missedResets = 0
    var acceptAborts = 0
    /// Accepts and sockets fail with EMFILE although there is room.
    var descriptorShortages = 0
    /// Connects fail with EADDRNOTAVAIL.
    var portShortages = 0
    /// Addresses from which every connect fails with EADDRNOTAVAIL.
    var exhaustedSources: Set<SocketAddress> = []
    var lostWakes = 0
    /// Whole-path failures: connections end by ETIMEDOUT.
    var pathFailures = 0
    /// Cancels come too late.
    var lateCancels = 30
    /// Completions that come once more when their slot is somebody else's.
    var lateDuplicates = 0
    /// Pipes cannot be had, or not be opened again.
    var pipeFailures = 0
    /// Bytes that are there are not spliced, as when urgent data is in the way; calls are interrupted.
    var spliceRefusals = 0
    /// The peer resets in the middle of a splice to it.
    var resetsUnderSplices = 0
    /// Backends reset before they are told where their clients come from.
    var headerFailures = 0
    /// Where a connection came from is forgotten when it is reset.
    var forgetsThoseWhoReset = false
    /// Backends and services whose ports stand for unix sockets, and what decides which.
    var unixBackends = 0
    var unixListeners = 0
    var unixSalt: UInt64 = 0

    func isUnixBackend(_ port: UInt16) -> Bool { draw(port, 1) % 100 < UInt64(unixBackends) }
    func isUnixListener(_ port: UInt16) -> Bool { draw(port, 2) % 100 < UInt64(unixListeners) }

    /// The same for a port in all of a run.
    func draw(_ port: UInt16, _ turn: UInt64) -> UInt64 { SplitMix.mixed(unixSalt &+ UInt64(port) << 8 &+ turn) >> 8 }
}

final class SimulatedNetwork {
    enum Descriptor {
        case listener(SimulatedListener)
        case connection(SimulatedConnection)
    }

    let random: SeededRandom
    let log: EventLog
    let settings: NetworkSettings
    var mutant: Mutant?
    var splicing = SplicingCoverage()
    private(set) var now: UInt64 = 1000
    /// Grows with everything that happens but turns of workers.
    private(set) var progress = 0

    private var descriptors: [Descriptor?] = [nil, nil, nil]
    private(set) var openDescriptors = 0
    private(set) var connections: [SimulatedConnection] = []
    /// Connections that the kernel or a peer still has business with.
    private(set) var live: [SimulatedConnection] = []
    private(set) var listeners: [SimulatedListener] = []
    private(set) lazy var ledger = Ledger(network: self)

    /// What a backend's host answers to a connect, and after how many milliseconds.
    var fateOfConnect: (_ port: UInt16) -> (ConnectFate, delay: Int) = { _ in (.accept, 0) }
    /// A worker wakes another one's ring; false when that could not be told.
    var wakeRing: (_ ring: Int) -> Bool = { _ in false }
    /// What a backend does with a connection.
    var backendScript: (_ port: UInt16) -> PeerScript = { _ in PeerScript() }

    init(random: SeededRandom, log: EventLog, settings: NetworkSettings) {
        self.random = random
        self.log = log
        self.settings = settings
    }

    func noteProgress() { progress &+= 1 }

    func advance(to time: UInt64) {
        guard time > now else { return }
        now = time
        progress &+= 1
    }

    func violate(_ kind: ViolationKind, _ text: @autoclosure () -> String) {
        if log.violation == nil { log.violate(now, kind, text()) }
    }

    // MARK: Descriptors

    /// The lowest free descriptor, as the kernel gives it: numbers come back as soon as they can.
    private func open(_ make: (Int32) -> Descriptor) -> Int32? {
        guard openDescriptors < settings.descriptorLimit else { return nil }
        openDescriptors += 1
        let free = descriptors.indices.first { $0 >= 3 && descriptors[$0] == nil } ?? descriptors.count
        if free == descriptors.count { descriptors.append(nil) }
        descriptors[free] = make(Int32(free))
        return Int32(free)
    }

    var isOutOfDescriptors: Bool { openDescriptors >= settings.descriptorLimit }

    func give(_ connection: SimulatedConnection) -> Int32? {
        guard let descriptor = open({ _ in .connection(connection) }) else { return nil }
        connection.descriptor = descriptor
        return descriptor
    }

    func listener(at descriptor: Int32) -> SimulatedListener? {
        guard descriptors.indices.contains(Int(descriptor)), case .listener(let found)? = descriptors[Int(descriptor)]
        else {
            violate(.misuse, "descriptor \(descriptor) is not a listener")
            return nil
        }
        return found
    }

    func connection(at descriptor: Int32) -> SimulatedConnection? {
        guard descriptors.indices.contains(Int(descriptor)),
            case .connection(let found)? = descriptors[Int(descriptor)]
        else {
            violate(.misuse, "descriptor \(descriptor) is not a connection's")
            return nil
        }
        if found.isClosePrepared { violate(.misuse, "connection \(found.key) is used after its close") }
        return found
    }

    /// A connection of which something is asked that only TCP knows.
    func tcpConnection(at descriptor: Int32, _ question: String) -> SimulatedConnection? {
        let found = connection(at: descriptor)
        if let found, found.isUnix {
            violate(.misuse, "\(question) of connection \(found.key), which is a unix socket")
        }
        return found
    }

    func release(_ descriptor: Int32) {
        if mutant == .leakDescriptor, openDescriptors > 4 {
            mutant = nil
            return
        }
        openDescriptors -= 1
        descriptors[Int(descriptor)] = nil
    }

    // MARK: Listeners

    /// Control's socket calls do not fail for want of descriptors here: that is refused before anything changes.
    func listen(on port: UInt16, isUnix: Bool = false) -> SimulatedListener? {
        var listener: SimulatedListener?
        _ = open {
            listener = SimulatedListener(descriptor: $0, port: port, isUnix: isUnix)
            return .listener(listener!)
        }
        if let listener { listeners.append(listener) }
        return listener
    }

    func close(_ listener: SimulatedListener) {
        if !listener.accepts.isEmpty { violate(.misuse, "listener \(listener.port) closed under an armed accept") }
        if !listener.queue.isEmpty && !listener.wasShortOfDescriptors {
            violate(.end, "listener \(listener.port) closed with \(listener.queue.count) connections in its queue")
        }
        for waiting in listener.queue { waiting.proxyCloses(reset: true) }
        listeners.removeAll { $0 === listener }
        openDescriptors -= 1
        descriptors[Int(listener.descriptor)] = nil
    }

    // MARK: Connections

    func makeConnection(isClient: Bool, port: UInt16) -> SimulatedConnection {
        let connection = SimulatedConnection(key: connections.count, isClient: isClient, port: port, network: self)
        connections.append(connection)
        live.append(connection)
        return connection
    }

    /// A client connects; nil when nobody listens there or handshakes are ignored.
    func arrive(at port: UInt16, script: PeerScript, client number: Int? = nil) -> SimulatedConnection? {
        guard let listener = listeners.first(where: { $0.port == port && !$0.isRefusingHandshakes }) else { return nil }
        let client = makeConnection(isClient: true, port: port)
        let host = 0x0a00_0001 + UInt32(number ?? client.key % 7)
        client.isUnix = listener.isUnix
        client.address = client.isUnix ? .process(Int32(host)) : .ipv4(host, port: UInt16(1024 + client.key % 60_000))
        client.preface = script.preface
        client.isPrefaceForwarded = script.isPrefaceForwarded
        client.conveyed = script.conveyed
        client.wasEstablished()
        client.peer = SimulatedPeer(client, script: script)
        listener.queue.append(client)
        log.note(now, "connection %: a client arrives at port %", client.key, Int(port))
        noteProgress()
        return client
    }

    /// Lets one connection's kernel work go on; false when there was none.
    func pump(_ connection: SimulatedConnection) -> Bool {
        if settings.pathFailures > 0, connection.isEstablished, !connection.isProxyClosed, random.below(1000) == 0,
            random.chance(settings.pathFailures)
        {
            connection.peerResets(code: ETIMEDOUT)
        }
        var didWork = false
        let receivesFirst = random.chance(50)
        if receivesFirst { didWork = pumpReads(connection) }
        // An acknowledgement makes room that a waiting send takes at once.
        didWork = connection.transfer() || didWork
        didWork = pump(connection.sendOperation) || didWork
        didWork = pump(connection.writeReadiness) || didWork
        if !receivesFirst { didWork = pumpReads(connection) || didWork }
        return pump(connection.connectOperation) || didWork
    }

    private func pumpReads(_ connection: SimulatedConnection) -> Bool {
        let didReceive = pump(connection.receiveOperation)
        return pump(connection.readReadiness) || didReceive
    }

    private func pump(_ operation: Operation?) -> Bool {
        guard let operation else { return false }
        return operation.ring.pump(operation)
    }

    func pump(_ listener: SimulatedListener) -> Bool {
        guard !listener.accepts.isEmpty else { return false }
        let operation = random.pick(listener.accepts)
        return operation.ring.pump(operation)
    }

    /// Counts resets that meet bytes on their way through a pipe.
    func noteReset(of connection: SimulatedConnection) {
        if connection.inPipe > 0 { splicing.sourceResets += 1 }
        if ledger.source(of: connection)?.inPipe ?? 0 > 0 { splicing.sinkResets += 1 }
    }

    /// Forgets connections that are over on both ends.
    func sweep() {
        live.removeAll { $0.isProxyClosed && ($0.peer?.isGone ?? true) }
    }
}

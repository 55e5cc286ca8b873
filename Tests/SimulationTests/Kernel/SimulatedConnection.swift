// Owns one TCP connection between the proxy and a peer, as the proxy's kernel sees it: what is queued where, who has
// ended, what a call would return. The rules are those measured on Linux; see each method.
// Leaves to others: when things happen (SimulatedNetwork), what the peer wants (SimulatedPeer).

import Glibc

@testable import ShuttleEngine

final class SimulatedConnection {
    /// Its index among all connections of the run; also the stream that its peer sends.
    let key: Int
    /// Whether the peer is the client; else it is a backend.
    let isClient: Bool
    /// Where it was accepted, or where it connected to.
    let port: UInt16
    /// Its ends are unix sockets: what was sent is the peer's at once, and no close takes it away.
    var isUnix = false
    /// Where a client comes from.
    var address = SocketAddress.loopbackIPv4(port: 1)
    /// The proxy's descriptor while it has one.
    var descriptor: Int32 = -1
    /// Owns this connection, and outlives it.
    unowned(unsafe) let network: SimulatedNetwork
    let createdAt: UInt64
    /// Nil until a connect has succeeded.
    var peer: SimulatedPeer?

    // From the peer to the proxy.
    private(set) var sentByPeer = 0
    private(set) var readByProxy = 0
    private(set) var hasPeerFinished = false
    private(set) var hasPeerReset = false
    private(set) var resetAt: UInt64 = 0
    /// The peer's application is gone: what arrives there is answered by a reset.
    private(set) var isPeerClosed = false
    /// The error the next call gets, then nobody.
    private(set) var pendingError: Int32 = 0

    // From the proxy to the peer.
    private(set) var accepted = 0
    private(set) var acknowledged = 0
    var readByPeer = 0
    private(set) var hasProxyFinished = false
    /// When the proxy took it that it ended its stream.
    private(set) var proxyFinishedAt: UInt64 = 0
    private(set) var isProxyClosed = false
    private(set) var hasProxyReset = false

    /// Bytes each queue holds at most.
    let receiveCapacity: Int
    let sendCapacity: Int
    let peerCapacity: Int

    // Operations the proxy has armed, or prepared to.
    var receiveOperation: Operation?
    var sendOperation: Operation?
    var connectOperation: Operation?
    /// Waits until it can be read, and until it can be written.
    var readReadiness: Operation?
    var writeReadiness: Operation?
    var isEstablished = false
    /// Its close is prepared: nothing more may be asked of it.
    var isClosePrepared = false
    var keepalive: Keepalive?
    var userTimeout = 0
    /// Where the proxy has it come from; nil leaves it to the kernel.
    var source: SocketAddress?
    /// Its connect failed for want of ports.
    var lackedPorts = false

    // What a client says before its stream begins: bytes for the proxy, which are not counted with those of the stream.
    var preface: [UInt8] = []
    private var prefaceSent = 0
    private(set) var prefaceRead = 0
    /// It is passed on all the same.
    var isPrefaceForwarded = false
    /// Of the other side's preface.
    var prefaceAccepted = 0
    /// What it tells of where the client comes from.
    var conveyed: ConveyedAddresses?
    /// Where a client comes from by all that is known.
    var told: SocketAddress { conveyed?.source ?? address }
    /// Which header a backend was sent.
    var header: ProxyProtocolVersion?

    // Splicing of what the peer sends.
    /// The worker was told that this can be read and has not acted on it yet.
    var isReportedReadable = false
    /// Bytes of this peer that lie in a pipe.
    var inPipe = 0
    /// The latest bytes that were spliced did not fit into the sink at once.
    var wasPipeLeftFull = false
    private var isSpliced = false
    /// A mutant has the worker believe that the stream has ended.
    var endsFalsely = false

    // What the ledger knows.
    /// Bytes were sent or received on it, or tried to.
    var wasUsed = false
    var session: SimulatedSession?
    /// When the kernel gave it to the proxy.
    var acceptedAt: UInt64 = 0
    /// What its backend was chosen from.
    var choice: Choice?
    /// When the proxy was told of the reset.
    private(set) var toldOfResetAt: UInt64?
    /// A receive reported the end.
    private(set) var wasEndRead = false
    private(set) var endReadAt: UInt64 = 0
    private(set) var lastRead: UInt64
    /// When bytes to the peer were last accepted or acknowledged.
    private(set) var lastProgress: UInt64
    /// When bytes were last sent to the peer and acknowledged by it, which is one moment here.
    private(set) var lastAcknowledgement: UInt64

    init(key: Int, isClient: Bool, port: UInt16, network: SimulatedNetwork) {
        self.key = key
        self.isClient = isClient
        self.port = port
        self.network = network
        createdAt = network.now
        let sizes = network.settings.kernelQueueBytes
        receiveCapacity = network.random.within(sizes)
        sendCapacity = network.random.within(sizes)
        peerCapacity = network.random.within(sizes)
        lastRead = network.now
        lastProgress = network.now
        lastAcknowledgement = network.now
    }

    // MARK: What the peer does

    /// Bytes the peer could send now.
    var peerRoom: Int { isPeerClosed || hasPeerReset ? 0 : receiveCapacity - unread }

    func peerSendsPreface(_ count: Int) {
        prefaceSent += count
        network.noteProgress()
    }

    func peerSends(_ count: Int) {
        sentByPeer += count
        network.noteProgress()
    }

    func peerReads(_ count: Int) {
        readByPeer += count
        // Nobody else can tell that bytes have come, and who sends only while there is no room.
        guard isUnix, sendOperation != nil || writeReadiness != nil else { return }
        (lastProgress, lastAcknowledgement) = (network.now, network.now)
    }

    func peerFinishes() {
        hasPeerFinished = true
        network.noteProgress()
        network.log.note(network.now, "connection %: the peer finished after % bytes", key, sentByPeer)
    }

    /// Linux, `tcp_reset`: what was received stays readable; what was not sent is dropped; the error is EPIPE when the
    /// peer had finished before, so that receives go on to report that end.
    func peerResets(code: Int32 = ECONNRESET) {
        guard !hasPeerReset else { return }
        hasPeerReset = true
        resetAt = network.now
        isPeerClosed = true
        pendingError = hasPeerFinished ? EPIPE : code
        network.noteReset(of: self)
        network.noteProgress()
        network.log.note(network.now, "connection %: reset by the peer after % bytes", key, sentByPeer)
    }

    /// close(2): with bytes unread the peer's kernel sends a reset, else the end of the stream.
    func peerCloses() {
        if acknowledged > readByPeer && !hasProxyReset { return peerResets() }
        if !hasPeerFinished { peerFinishes() }
        isPeerClosed = true
    }

    /// Everything the proxy sent is read, and nothing more comes.
    var hasPeerSeenEnd: Bool {
        hasProxyFinished && !hasProxyReset && acknowledged == accepted && readByPeer == accepted
    }

    // MARK: What the network does

    /// Moves bytes on to the peer's kernel, which acknowledges them. On a unix socket there is one kernel.
    func transfer() -> Bool {
        if isUnix {
            guard isPeerClosed, unacknowledged > 0, !hasPeerReset else { return false }
            peerResets()
            return true
        }
        let waiting = accepted - acknowledged
        guard waiting > 0, !hasPeerReset, !hasProxyReset else { return false }
        if isPeerClosed {
            peerResets()
            return true
        }
        let room = peerCapacity - (acknowledged - readByPeer)
        guard room > 0 else { return false }
        acknowledged += network.random.within(1...min(room, waiting))
        lastProgress = network.now
        lastAcknowledgement = network.now
        network.noteProgress()
        return true
    }

    // MARK: What the proxy's calls find

    var unread: Int { sentByPeer - readByProxy + unreadPreface }
    var unreadPreface: Int { prefaceSent - prefaceRead }
    /// As TCP_INFO's state CLOSE: reset, or ended by both and all acknowledged.
    var isDead: Bool {
        hasPeerReset || hasProxyReset || hasProxyFinished && hasPeerFinished && acknowledged == accepted
    }

    /// As `tcp_poll` tells, whether or not it was received.
    var hasEnded: Bool { hasPeerFinished || pendingError != 0 || isDead }

    /// SIOCOUTQ: of a unix socket what the peer has not read; a reset leaves it as it was.
    var unacknowledged: Int { accepted - (isUnix ? readByPeer : acknowledged) }

    enum ReceiveOutcome {
        case bytes(Int)
        case end
        case failure(Int32)
        case nothing
    }

    /// The order of `tcp_recvmsg`: queued bytes, the end if it was received, the pending error, the end again for a
    /// connection that is over.
    func receivable() -> ReceiveOutcome {
        if unread > 0 { return .bytes(unread) }
        if hasPeerFinished { return .end }
        if pendingError != 0 { return .failure(pendingError) }
        return isDead ? .end : .nothing
    }

    /// `time`: what the worker takes for the present, if it reads by itself.
    func read(_ count: Int, at time: UInt64? = nil) {
        let ofPreface = min(count, unreadPreface)
        prefaceRead += ofPreface
        readByProxy += count - ofPreface
        lastRead = max(lastRead, time ?? network.now)
        network.noteProgress()
    }

    func endReported() {
        if !wasEndRead { endReadAt = network.now }
        wasEndRead = true
        network.noteProgress()
    }

    func takePendingError() -> Int32 {
        let code = pendingError
        pendingError = 0
        if code != EPIPE, toldOfResetAt == nil { toldOfResetAt = network.now }
        network.noteProgress()
        return code
    }

    /// What a send is told; on a unix socket the error stays for the receive.
    func takeSendError() -> Int32 { isUnix || pendingError == 0 ? EPIPE : takePendingError() }

    /// The proxy learned of the reset by other means than the error itself: its send ended part-way, or by EPIPE.
    func noteToldOfReset() {
        if toldOfResetAt == nil { toldOfResetAt = network.now }
    }

    /// The error was taken by a call that did not say so.
    func losePendingError() {
        pendingError = 0
    }

    var sendRoom: Int { sendCapacity - unacknowledged }

    /// As `tcp_poll` tells: bytes, the end, an error.
    var isReadable: Bool {
        if case .nothing = receivable() { return false }
        return true
    }

    /// As `tcp_poll` tells: a third of the queue is free, or there is an error to be told.
    var isWritable: Bool {
        pendingError != 0 || hasPeerReset || hasProxyFinished || sendRoom > 0 && 2 * sendRoom >= unacknowledged
    }

    /// The worker goes over to splicing what the peer sends, or back to receiving it.
    func willSplice(_ network: SimulatedNetwork) {
        if !isSpliced { network.splicing.toSplicing += 1 }
        isSpliced = true
    }

    func willReceive(_ network: SimulatedNetwork) {
        isReportedReadable = false
        guard isSpliced else { return }
        isSpliced = false
        network.splicing.toCopying += 1
        if wasPipeLeftFull { network.splicing.toCopyingAfterFullSink += 1 }
    }

    func accept(_ count: Int) {
        accepted += count
        lastProgress = network.now
        if isUnix { (acknowledged, lastAcknowledgement) = (accepted, network.now) }
        network.noteProgress()
    }

    /// Times of inactivity count from here.
    func restartClock() {
        lastProgress = network.now
        lastRead = network.now
        lastAcknowledgement = network.now
    }

    func wasEstablished() {
        isEstablished = true
        restartClock()
    }

    func proxyFinishes(at time: UInt64) {
        hasProxyFinished = true
        proxyFinishedAt = time
        network.noteProgress()
        network.log.note(network.now, "connection %: the proxy finished after % bytes", key, accepted)
    }

    /// close(2) of the proxy's descriptor: a reset when asked for by SO_LINGER or when bytes were left unread.
    func proxyCloses(reset: Bool) {
        isClosePrepared = true
        descriptor = -1
        isProxyClosed = true
        network.noteProgress()
        let isReset = (reset || unread > 0) && !isDead && !isUnix
        network.log.note(
            network.now,
            "connection %: the proxy closed, reset %; % bytes of its stream taken, % acknowledged",
            key, isReset ? 1 : 0, accepted, acknowledged
        )
        if isReset {
            hasProxyReset = true
        } else {
            hasProxyFinished = true
        }
    }

    /// A peer that sends to a socket that is closed gets a reset back.
    func answerByReset() {
        hasProxyReset = true
    }
}

// Owns the two ends of the world: clients and backends, as scripts of what they send, when they end, how they read.

@testable import ShuttleEngine

/// What a peer does with its connection: a program of steps, and a way of reading that runs beside it.
struct PeerScript {
    enum Step: Equatable {
        case send(Int)
        /// So many more bytes of the preface.
        case sendPreface(Int)
        /// Until so many bytes were read in all; an end seen ends the wait.
        case awaitBytes(Int)
        case awaitEnd
        case pause(Int)
        /// shutdown(SHUT_WR).
        case finish
        /// close(2).
        case close
        case reset
    }

    /// What its stream begins with that is for the proxy, and what that tells of it.
    var preface: [UInt8] = []
    var conveyed: ConveyedAddresses?
    /// A preface that is passed on.
    var isPrefaceForwarded = false
    /// Done in order; at their end the peer waits for the other side's end and closes.
    var steps: [Step] = []
    /// Bytes of one send, at most.
    var sendChunk = 1000
    /// Bytes of one read, at most.
    var readChunk = 1000
    /// After having read so many bytes, reading rests for some milliseconds.
    var readPauses: [(offset: Int, milliseconds: Int)] = []
    /// Waits give up after so long without anything happening, and so does the peer at last.
    var patience = 120_000
}

final class SimulatedPeer {
    let connection: SimulatedConnection
    private let script: PeerScript
    private var position = 0
    private var sentInStep = 0
    private var pauseUntil: UInt64?
    private var readPausesDone = 0
    private var readPauseUntil: UInt64?
    private var lastActivity: UInt64

    /// How the stream from the proxy ended, as the peer's application sees it.
    private(set) var sawEnd = false
    private(set) var sawReset = false
    private(set) var endSeenAt: UInt64?
    /// The application has closed its socket.
    private(set) var isGone = false

    private var network: SimulatedNetwork { connection.network }
    private var now: UInt64 { network.now }

    init(_ connection: SimulatedConnection, script: PeerScript) {
        self.connection = connection
        self.script = script
        lastActivity = connection.network.now
    }

    /// Does something, if there is something to do.
    func step() -> Bool {
        guard !isGone else { return false }
        if connection.hasPeerReset {
            // The path failed under it.
            isGone = true
            return true
        }
        if network.random.chance(50) { return read() || run() }
        return run() || read()
    }

    /// When there may be something to do that depends on time alone.
    var nextDeadline: UInt64? {
        guard !isGone else { return nil }
        var deadline = lastActivity + UInt64(script.patience)
        if let pauseUntil { deadline = min(deadline, pauseUntil) }
        if let readPauseUntil { deadline = min(deadline, readPauseUntil) }
        return deadline
    }

    // MARK: Reading

    private func read() -> Bool {
        guard !sawEnd, !sawReset else { return false }
        let readable = connection.acknowledged - connection.readByPeer
        if readable > 0 {
            if let until = readPauseUntil {
                guard now >= until else { return false }
                readPauseUntil = nil
            }
            var limit = min(readable, script.readChunk)
            if readPausesDone < script.readPauses.count {
                let pause = script.readPauses[readPausesDone]
                let distance = pause.offset - connection.readByPeer
                if distance <= 0 {
                    readPausesDone += 1
                    readPauseUntil = now + UInt64(pause.milliseconds)
                    return true
                }
                limit = min(limit, distance)
            }
            connection.peerReads(network.random.within(1...limit))
            return didSomething()
        }
        if connection.hasProxyReset {
            sawReset = true
            endSeenAt = now
            isGone = true
            return didSomething()
        }
        if connection.hasPeerSeenEnd {
            sawEnd = true
            endSeenAt = now
            return didSomething()
        }
        return false
    }

    // MARK: The program

    private func run() -> Bool {
        guard position < script.steps.count else { return runOut() }
        switch script.steps[position] {
        case .send(let count):
            return send(count) { connection.peerSends($0) }
        case .sendPreface(let count):
            return send(count) { connection.peerSendsPreface($0) }
        case .awaitBytes(let count):
            guard connection.readByPeer >= count || sawEnd || hasLostPatience else { return false }
            return stepDone()
        case .awaitEnd:
            guard sawEnd || hasLostPatience else { return false }
            return stepDone()
        case .pause(let milliseconds):
            guard let until = pauseUntil else {
                pauseUntil = now + UInt64(milliseconds)
                return true
            }
            guard now >= until else { return false }
            pauseUntil = nil
            return stepDone()
        case .finish:
            connection.peerFinishes()
            return stepDone()
        case .close:
            connection.peerCloses()
            isGone = true
            return didSomething()
        case .reset:
            connection.peerResets()
            isGone = true
            return didSomething()
        }
    }

    private func send(_ count: Int, _ take: (Int) -> Void) -> Bool {
        if connection.isProxyClosed {
            // Nobody reads it any more. What has arrived here can still be read.
            connection.answerByReset()
            position = script.steps.count
            return didSomething()
        }
        if hasLostPatience { return stepDone() }
        let limit = min(connection.peerRoom, script.sendChunk, count - sentInStep)
        if limit > 0 {
            let piece = network.random.within(1...limit)
            take(piece)
            sentInStep += piece
            lastActivity = now
        }
        guard sentInStep == count else { return limit > 0 }
        sentInStep = 0
        return stepDone()
    }

    /// Nothing left to say: waits for the end and closes.
    private func runOut() -> Bool {
        guard sawEnd || hasLostPatience else { return false }
        connection.peerCloses()
        isGone = true
        return didSomething()
    }

    private var hasLostPatience: Bool { now >= lastActivity + UInt64(script.patience) }

    private func stepDone() -> Bool {
        position += 1
        return didSomething()
    }

    private func didSomething() -> Bool {
        lastActivity = now
        network.noteProgress()
        return true
    }
}

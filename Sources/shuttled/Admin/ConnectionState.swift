// Owns how far an admin connection is and how long it may stay there: pure bookkeeping, with the time handed in.
// Leaves to others: sockets, timers and messages (ConnectionHandler), and who makes room for whom (ConnectionTable).

import NIOCore

/// The life of one connection: requests one after the other, each read, answered and taken by the client in bounded
/// time.
struct ConnectionState {
    enum Phase: Equatable {
        /// For the header of the first request, or of the next one.
        case waiting
        /// Header passed on, the end of the body not seen yet.
        case receiving
        /// The request is complete; it is being carried out or answered.
        case answering
        /// The last answer is out; what still comes in is dropped.
        case lingering
    }

    enum Answer: Equatable {
        case none
        case begun
        /// Written, not yet taken by the kernel to the last byte.
        case ended
    }

    /// What a deadline that has passed calls for.
    enum Overdue: Equatable {
        /// Nothing was said that could be answered.
        case close
        case head
        case body
    }

    let limits: AdminLimits
    private(set) var phase = Phase.waiting
    private(set) var answer = Answer.none
    /// Whether the connection ends with the answer under way, or the next one.
    private(set) var isLast = false
    /// Whether the server has been asked to stop.
    private(set) var isStopping = false
    /// Whether the answer under way has no end of its own: it goes on as long as its client takes it.
    private var isStreaming = false
    /// Whether a request's header has ever been complete.
    private(set) var hasSpoken = false
    /// Whether a part of the header that is waited for has come.
    private(set) var hasPartOfHead = false

    /// When the phase has lasted too long whatever happens.
    private var phaseDeadline: NIODeadline
    /// Since when nothing has moved: neither what comes in nor what goes out.
    private var lastProgress: NIODeadline
    private var answerBytes = 0
    /// What the client had taken of a stream when it was last looked at.
    private var takenBytes = 0
    private var answerDeadline = NIODeadline.distantFuture
    private var unsentBytes = 0
    private var droppedBytes = 0

    init(limits: AdminLimits, now: NIODeadline) {
        self.limits = limits
        phaseDeadline = now + limits.headTimeout
        lastProgress = now
    }

    // MARK: Input

    /// Bytes came; called after what they complete.
    mutating func inputArrived(now: NIODeadline) {
        guard phase == .waiting, !hasPartOfHead else {
            return
        }
        hasPartOfHead = true
        if hasSpoken {
            // From the first byte of a further request, the time for a header runs instead of that for doing nothing.
            phaseDeadline = now + limits.headTimeout
        }
    }

    /// `bodyBytes` is the length that the header declares.
    mutating func headArrived(bodyBytes: Int?, keepsAlive: Bool, now: NIODeadline) {
        assert(phase == .waiting)
        phase = .receiving
        answer = .none
        isStreaming = false
        hasSpoken = true
        hasPartOfHead = false
        isLast = isLast || !keepsAlive
        let bytes = max(0, min(bodyBytes ?? .max, limits.configurationBytesMax))
        phaseDeadline = now + limits.duration(of: bytes, pause: limits.bodyTimeout)
        lastProgress = now
    }

    mutating func bodyArrived(now: NIODeadline) {
        lastProgress = now
    }

    mutating func requestEnded(now: NIODeadline) {
        assert(phase == .receiving)
        phase = .answering
        // What it takes from here to the answer is not the client's doing.
        phaseDeadline = .distantFuture
        lastProgress = now
    }

    /// Whether input is no longer for anybody.
    var dropsInput: Bool {
        phase == .lingering || (isLast && answer != .none && phase != .answering)
    }

    /// Counts input that is dropped; false when that has been enough.
    mutating func inputDropped(_ bytes: Int) -> Bool {
        droppedBytes += bytes
        return droppedBytes <= limits.lingerBytesMax
    }

    // MARK: Answers

    /// Notes that an answer begins; true when it has to say that the connection ends with it.
    mutating func answerBegan(now: NIODeadline) -> Bool {
        assert(answer == .none)
        answer = .begun
        answerBytes = 0
        lastProgress = now
        // Answered before it was complete: what still comes of it must not be taken for the next request.
        isLast = isLast || phase != .answering
        return isLast
    }

    /// The answer that comes is a stream. The connection ends with it.
    mutating func answerStreams(now: NIODeadline) {
        isStreaming = true
        isLast = true
        takenBytes = 0
        lastProgress = now
    }

    mutating func answerGrew(_ bytes: Int) {
        answerBytes += bytes
    }

    mutating func answerEnded(now: NIODeadline) {
        answer = .ended
        answerDeadline = now + limits.duration(of: answerBytes, pause: limits.answerTimeout)
        unsentBytes = .max
        lastProgress = now
    }

    /// The kernel has the whole answer. True when the next request may come, false when the connection lingers.
    mutating func answerFlushed(now: NIODeadline) -> Bool {
        answer = .none
        answerDeadline = .distantFuture
        lastProgress = now
        guard !isLast else {
            linger(now: now)
            return false
        }
        phase = .waiting
        phaseDeadline = now + limits.idleTimeout
        return true
    }

    /// From now on nothing more is said.
    mutating func linger(now: NIODeadline) {
        isLast = true
        phase = .lingering
        phaseDeadline = now + (isStopping ? limits.stopLingerTimeout : limits.lingerTimeout)
        lastProgress = now
    }

    /// No further request is taken.
    mutating func makeLast() {
        isLast = true
    }

    /// The server is asked to stop. True when nothing is under way here.
    mutating func stop(now: NIODeadline) -> Bool {
        isLast = true
        isStopping = true
        if phase == .lingering {
            phaseDeadline = min(phaseDeadline, now + limits.stopLingerTimeout)
        }
        return phase == .waiting
    }

    // MARK: Time

    /// When to look again at the latest.
    func nextDeadline(now: NIODeadline) -> NIODeadline? {
        var deadline = min(phaseDeadline, answerDeadline)
        if phase == .receiving {
            deadline = min(deadline, lastProgress + limits.bodyTimeout)
        }
        if answer == .ended || isStreaming {
            // How much of it has gone is only seen by looking.
            deadline = min(deadline, now + limits.stallTimeout)
        }
        return deadline == .distantFuture ? nil : deadline
    }

    /// Whether time is up; `unsentBytes` is what the kernel has not taken yet.
    mutating func overdue(unsentBytes: Int, now: NIODeadline) -> Overdue? {
        if answer == .ended {
            if unsentBytes < self.unsentBytes {
                self.unsentBytes = unsentBytes
                lastProgress = now
            }
            return now >= answerDeadline || now >= lastProgress + limits.answerTimeout ? .close : nil
        }
        if isStreaming, answer == .begun {
            // It grows meanwhile: what counts is what has gone.
            let taken = answerBytes - unsentBytes
            if unsentBytes == 0 || taken > takenBytes {
                lastProgress = now
            }
            takenBytes = taken
            return now >= lastProgress + limits.answerTimeout ? .close : nil
        }
        switch phase {
        case .waiting:
            return now >= phaseDeadline ? (hasPartOfHead ? .head : .close) : nil
        case .receiving:
            let isUp = now >= phaseDeadline || now >= lastProgress + limits.bodyTimeout
            return isUp ? (answer == .none ? .body : .close) : nil
        case .answering:
            return nil
        case .lingering:
            return now >= phaseDeadline ? .close : nil
        }
    }

    /// How readily the connection gives up its place, and since when; `nil` while it is of use to somebody.
    func expendability(now: NIODeadline) -> (rank: Int, since: NIODeadline)? {
        switch phase {
        case .lingering:
            return (0, lastProgress)
        case .waiting:
            guard hasPartOfHead || now >= lastProgress + limits.undisturbedTime else {
                return nil
            }
            return (hasSpoken ? 2 : 1, lastProgress)
        case .receiving, .answering:
            let dependsOnClient = phase == .receiving || answer == .ended
            return dependsOnClient && now >= lastProgress + limits.stallTimeout ? (3, lastProgress) : nil
        }
    }
}

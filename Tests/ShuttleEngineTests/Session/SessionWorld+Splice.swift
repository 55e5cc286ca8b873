// Owns the splicing of the smallest world: waits for readiness, pipes, and the part of the worker that moves bytes
// through them. A splice may come out in several ways, each of which is tried.

@testable import ShuttleEngine

extension SessionWorld {
    enum SpliceOutcome: Hashable, CaseIterable {
        case everything
        /// One byte goes out, then the sink is full.
        case part
        case sinkIsFull
        /// One byte goes out; the reset that follows in the same call is told by the next one.
        case resetInBetween
        case noPipe
        /// Nothing is moved though there is something.
        case refused
    }

    func addWaitEvents(_ side: Side, to events: inout [Event]) {
        let peer = self[side]
        if let report = peer.waitReport {
            let outcomes = report ? SpliceOutcome.allCases : [.everything]
            for outcome in outcomes where canHappen(outcome, side) { events.append(.waitSeen(side, outcome)) }
        } else if session.flow(from: side).isReadinessArmed {
            // A sink takes something sooner or later, or has an error.
            if peer.wasWaitCancelled || peer.awaitsSink || receivable(side) != nil {
                events.append(.waitCompletes(side))
            }
        }
    }

    private func canHappen(_ outcome: SpliceOutcome, _ side: Side) -> Bool {
        let bytes = max(self[side].piped, self[side].queued)
        switch outcome {
        case .everything: return true
        case .part: return bytes > 1
        case .sinkIsFull: return bytes > 0
        case .resetInBetween: return bytes > 1 && !self[side.other].hasReset
        case .noPipe, .refused: return self[side].piped == 0
        }
    }

    // MARK: Readiness

    mutating func awaitReadiness(_ side: Side) {
        let flow = session.flow(from: side)
        if flow.isReadinessArmed || flow.isReceiveArmed || flow.isSendInFlight {
            object("a wait beside something else")
        }
        self[side].awaitsSink = flow.owedBytes > 0
        self[side].isReportedReadable = false
        session.withFlow(from: side) { $0.readinessSubmitted() }
    }

    mutating func cancelWait(_ side: Side) {
        if self[side].wasWaitCancelled { object("a wait was cancelled twice") }
        let flow = session.flow(from: side)
        if !flow.isDiscarding && !(session.isEnding && flow.owedBytes == 0) {
            object("a wait was cancelled without a reason")
        }
        session.withFlow(from: side) { $0.readinessCancelSubmitted() }
        self[side].wasWaitCancelled = true
    }

    mutating func completeWait(_ side: Side) {
        self[side].waitReport = !self[side].wasWaitCancelled
        self[side].isReportedReadable = !self[side].wasWaitCancelled && !self[side].awaitsSink
    }

    mutating func seeWait(_ side: Side, _ outcome: SpliceOutcome) {
        guard let isReady = self[side].waitReport else { return }
        self[side].waitReport = nil
        self[side].wasWaitCancelled = false
        spliceOutcome = outcome
        session.withFlow(from: side) { $0.readinessCompleted(isReady: isReady) }
    }

    // MARK: One step, as in Worker+Splice

    mutating func splice(_ side: Side) {
        if session.flow(from: side).owedBytes == 0, !spliceIn(side) { return }
        if spliceOut(side) { session.withFlow(from: side) { $0.spliceStepEnded() } }
    }

    private mutating func spliceIn(_ side: Side) -> Bool {
        if spliceOutcome == .noPipe {
            session.withFlow(from: side) { $0.stopSplicing() }
            return false
        }
        if !self[side].isReportedReadable { object("a splice without a readiness of its own") }
        self[side].isReportedReadable = false
        switch receivable(side) {
        case .bytes(let count) where spliceOutcome != .refused:
            self[side].queued = 0
            self[side].piped = count
            session.withFlow(from: side) { $0.splicedIn(count, policy) }
            return true
        case .reset:
            self[side].pendingErrorIsPipe = nil
            session.receiveFailed(from: side)
        case nil:
            object("a splice that waits for ever")
        default:
            session.withFlow(from: side) { $0.stopSplicing() }
        }
        return false
    }

    private mutating func spliceOut(_ side: Side) -> Bool {
        let sink = side.other
        if self[sink].wasFinished { object("a splice after the end") }
        if self[sink].hasReset {
            let isPipe = self[sink].pendingErrorIsPipe ?? true
            self[sink].pendingErrorIsPipe = nil
            session.sendFailed(to: sink, afterEnd: isPipe)
            return false
        }
        switch spliceOutcome {
        case .sinkIsFull:
            break
        case .part where self[side].piped > 1:
            moveOut(1, side)
        case .resetInBetween where self[side].piped > 1:
            moveOut(1, side)
            self[sink].hasReset = true
            session.sendFailed(to: sink, afterEnd: false)
            return false
        default:
            moveOut(self[side].piped, side)
            return true
        }
        session.withFlow(from: side) { $0.spliceStepEnded() }
        return false
    }

    private mutating func moveOut(_ count: Int, _ side: Side) {
        self[side].piped -= count
        self[side.other].delivered += count
        session.withFlow(from: side) { $0.splicedOut(count) }
    }

    /// What is in a pipe is owed by a flow that is spliced.
    mutating func checkPipes() {
        for side in [Side.downstream, .upstream] {
            let flow = session.flow(from: side)
            if self[side].piped > 0, !flow.isSplicing || Int(flow.owedBytes) != self[side].piped {
                object("\(self[side].piped) bytes from \(side) are left in a pipe")
            }
        }
    }
}

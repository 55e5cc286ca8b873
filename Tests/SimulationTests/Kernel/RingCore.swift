// Owns one simulated ring: its buffers, its submissions, and completions that come in any order but that of one
// operation's own. Leaves to others: what an operation does to its socket (RingCore+Operations), calls on sockets
// (RingCore+Sockets).

import Glibc

@testable import ShuttleEngine

/// A slot in the time of one session.
struct SlotUse: Hashable {
    var slot: UInt32
    var generation: UInt32
}

/// Sizes and habits of one ring.
struct RingSettings {
    var bufferCount = 64
    var bufferSize = 256
    /// Buffers lying ready in the kernel, at most.
    var providedMax = 16
    /// Pipes there are, and bytes that each holds at most.
    var pipeLimit = 64
    var pipeBytes = 1...4096
    /// Multishot receives with a byte limit; else each receive is armed anew.
    var hasReceiveLimit = true
    /// A receive fills several buffers.
    var hasBundles = false
    /// Waits a moment for several completions.
    var hasMinimumWait = false
    /// Wakes by a message; else by an eventfd that is read anew after each.
    var hasMessageWake = true
    /// Pieces of one send.
    var piecesMax = 32
    /// Submissions that fit before the ring submits by itself.
    var submissionsMax = 64
    var batchMax = 32
}

final class RingCore {
    let index: Int
    let network: SimulatedNetwork
    let settings: RingSettings
    var pool: BufferPool

    // Buffers that the kernel holds, in the order in which it fills them.
    var provided: [BufferID] = []
    /// Those, and the ones in completions that were not handled: free in the eyes of the worker.
    private var lentCount = 0
    /// The buffers of a completion by the one that it names.
    private var bundles: [BufferID: [BufferID]] = [:]
    private enum Place: UInt8 {
        case poolOrQueue
        case kernel
        case completion
    }
    private var places: [Place]

    /// UDP, where a simulation has it.
    var datagrams: SimulatedDatagrams?
    var pipes: [SimulatedPipe] = []
    /// Readable, as completions say that the worker has not read yet.
    var reportedReadable: [OperationTag: SimulatedConnection] = [:]

    private var submissions: [Operation] = []
    var armed: [Operation] = []
    /// Completions nobody has seen yet.
    private(set) var posted: [Completion] = []
    /// Those the worker reads at present.
    private(set) var batch: [Completion] = []

    /// Sessions by the slot that their operations name.
    var sessions: [SimulatedSession?] = []
    /// Sessions that were seen in the queue of their service.
    var waited: Set<SlotUse> = []
    /// Whether a session has joined the queue in this very turn.
    var isWaited: (SlotUse) -> Bool = { _ in false }
    /// The epoch the worker runs on in this turn; set by the driver.
    var viewEpoch: UInt64 = 0
    /// The epoch that the worker leaves in this turn, until its submission: connects that waited are started by it, and
    /// so are the further tries of those that fail at once.
    var leavingEpoch: UInt64?
    /// A backend to which bytes were sent that wait for more.
    var corked: SimulatedConnection?
    /// Set by the driver when it has told the worker to end sessions.
    var isCut = false

    /// Backends whose socket could not be opened in the course of the present completion.
    var refusedPorts: [UInt16] = []
    /// Sessions that ask a full listen queue again, and whose.
    var askingAgain: [SlotUse: UInt16] = [:]

    private var waitDeadline: UInt64?
    /// Until then the worker sleeps unless so many completions have come.
    private var batchDeadline: UInt64 = 0
    private var batchSize = 1
    /// What the worker takes for the present.
    var timeTold: UInt64 = 0
    private var wasWaitReady = true
    private var isWakeArmed = true
    private var pendingWakes = 0

    /// Receives that found no buffer.
    private(set) var starvationsReported = 0
    private(set) var submittedReceives = 0
    private(set) var duplicates = 0
    /// Receives that were not told of a reset.
    var missedResets = 0
    private var remembered: [Completion] = []

    init(index: Int, network: SimulatedNetwork, settings: RingSettings) {
        self.index = index
        self.network = network
        self.settings = settings
        guard let pool = BufferPool(bufferCount: settings.bufferCount, bufferSize: settings.bufferSize) else {
            preconditionFailure("no memory for a simulated pool")
        }
        self.pool = pool
        places = Array(repeating: .poolOrQueue, count: settings.bufferCount)
    }

    // MARK: Buffers

    var freeBufferCount: Int { pool.freeCount + lentCount }

    func replenish() {
        if network.mutant == .leakBuffer, pool.takeFree() != nil { network.mutant = nil }
        while provided.count < settings.providedMax, let buffer = pool.provideNext() {
            if places[Int(buffer)] != .poolOrQueue { network.violate(.leak, "buffer \(buffer) was free and in use") }
            places[Int(buffer)] = .kernel
            provided.append(buffer)
            lentCount += 1
        }
    }

    /// Called by operations that fill buffers: the next ones in the order in which they were provided. The completion
    /// names the first.
    func takeProvided(_ count: Int = 1) -> BufferID? {
        guard provided.count >= count, let first = provided.first else { return nil }
        bundles[first] = Array(provided[0..<count])
        for buffer in provided[0..<count] { places[Int(buffer)] = .completion }
        provided.removeFirst(count)
        return first
    }

    /// The buffers of a completion that is not handled yet.
    func bundle(_ first: BufferID) -> [BufferID] { bundles[first] ?? [] }

    /// The worker has taken the buffers of a completion of `count` bytes over.
    func takeFromCompletion(_ first: BufferID, count: Int) {
        guard places[Int(first)] == .completion, let bundle = bundles.removeValue(forKey: first) else {
            return network.violate(.misuse, "buffer \(first) does not come from a completion")
        }
        if bundle.count != max(1, (count + settings.bufferSize - 1) / settings.bufferSize) {
            network.violate(.misuse, "\(count) bytes are taken from \(bundle.count) buffers")
        }
        for buffer in bundle { places[Int(buffer)] = .poolOrQueue }
        lentCount -= bundle.count
    }

    /// `queued`: buffers in the queues of this worker's sessions.
    func checkBuffers(queued: Int) {
        let inCompletions = posted.reduce(0) { $0 + ($1.buffer.map { bundle($0).count } ?? 0) }
        guard lentCount == provided.count + inCompletions,
            pool.freeCount + lentCount + queued == pool.bufferCount
        else {
            return network.violate(
                .leak,
                "ring \(index): \(pool.freeCount) free + \(provided.count) provided + \(inCompletions) in completions + "
                    + "\(queued) queued buffers are not \(pool.bufferCount)"
            )
        }
    }

    // MARK: Submission

    func enqueue(_ operation: Operation) {
        if submissions.count >= settings.submissionsMax { submit() }
        submissions.append(operation)
    }

    private func submit() {
        let operations = submissions
        submissions.removeAll(keepingCapacity: true)
        for operation in operations {
            if operation.kind == .cancel {
                cancel(operation.target!)
                continue
            }
            if operation.kind == .close {
                finishClose(operation)
                continue
            }
            armed.append(operation)
            if operation.kind == .receiveDownstream || operation.kind == .receiveUpstream { submittedReceives += 1 }
            start(operation)
        }
    }

    /// With the last closes.
    func shutdown() { submit() }

    /// The time is counted from what the worker takes for the present: in truth it sleeps here and now.
    func submitAndWait(_ deadline: UInt64?, for batch: WaitBatch = .first) {
        checkCorked()
        submit()
        leavingEpoch = nil
        // Else it is the same sleep, which the driver has looked into.
        waitDeadline = wasWaitReady ? deadline : [waitDeadline, deadline].compactMap(\.self).min()
        if wasWaitReady {
            let isLimited = batch.completions <= 1 || batch.microseconds > 0
            batchSize = isLimited && !settings.hasMinimumWait ? 1 : Int(batch.completions)
            batchDeadline = isLimited ? (batchSize > 1 ? network.now + 1 : 0) : .max
        }
        wasWaitReady = isBatchReady || isDeadlineReached || batch.completions == 0
        if let deadline, !posted.isEmpty, deadline > network.now, network.random.chance(5) {
            // A worker is not always given the processor at once.
            network.advance(to: min(deadline, network.now + UInt64(network.random.below(3))))
        }
    }

    private var isDeadlineReached: Bool { waitDeadline.map { $0 <= network.now } ?? false }

    private var isBatchReady: Bool {
        posted.count >= batchSize || !posted.isEmpty && network.now >= batchDeadline
    }

    /// Whether the worker would be running: it has not come to wait yet, or what it waits for is there.
    var isRunnable: Bool { wasWaitReady || isBatchReady || isDeadlineReached }

    /// It sleeps on for more than it has got.
    var isCollecting: Bool { !posted.isEmpty && !isRunnable }

    /// When the worker wakes up by itself.
    var nextDeadline: UInt64? { posted.isEmpty ? waitDeadline : min(waitDeadline ?? .max, batchDeadline) }

    // MARK: Completions

    func post(_ operation: Operation, _ result: Int32, buffer: BufferID? = nil, hasMore: Bool = false) {
        post(Completion(tag: operation.tag, result: result, buffer: buffer, hasMore: hasMore))
        if !hasMore { finish(operation) }
    }

    func post(_ completion: Completion) {
        if network.mutant == .loseCompletion, completion.tag.kind == .sendDownstream {
            network.mutant = nil
            return
        }
        if -completion.result == ENOBUFS { starvationsReported += 1 }
        // Failures that come again at once are what a spinning worker lives on.
        if completion.result >= 0 { network.noteProgress() }
        posted.append(completion)
    }

    private func finish(_ operation: Operation) {
        armed.removeAll { $0 === operation }
        if let connection = operation.connection {
            if connection.receiveOperation === operation { connection.receiveOperation = nil }
            if connection.sendOperation === operation { connection.sendOperation = nil }
            if connection.connectOperation === operation { connection.connectOperation = nil }
            if connection.readReadiness === operation { connection.readReadiness = nil }
            if connection.writeReadiness === operation { connection.writeReadiness = nil }
        }
        if let listener = operation.listener { listener.accepts.removeAll { $0 === operation } }
    }

    /// A batch of what is posted: any operation first, each operation's own completions in their order.
    func peekCompletions() -> Int {
        guard batch.isEmpty else {
            network.violate(.misuse, "completions were read again before those at hand were released")
            return batch.count
        }
        guard wasWaitReady, !posted.isEmpty else { return 0 }
        let count = network.random.within(1...min(posted.count, settings.batchMax))
        for _ in 0..<count {
            let tag = posted[network.random.below(posted.count)].tag
            let first = posted.firstIndex { $0.tag == tag }!
            batch.append(posted.remove(at: first))
        }
        applyMutant()
        rememberForDuplicates()
        return batch.count
    }

    func completion(at index: Int) -> Completion {
        refusedPorts.removeAll()
        let completion = batch[index]
        reportedReadable.removeValue(forKey: completion.tag)?.isReportedReadable = true
        if completion.tag.kind == .accept, completion.result >= 0 { willChoose(completion.result) }
        return completion
    }

    func advance(_ count: Int) {
        if count != batch.count { network.violate(.misuse, "\(count) of \(batch.count) completions were released") }
        batch.removeAll(keepingCapacity: true)
    }

    /// Whether a completion of this operation waits to be read.
    func hasPosted(_ tag: OperationTag) -> Bool { posted.contains { $0.tag == tag } }

    /// The worker chooses a backend now; it connects to it later.
    func willChoose(_ descriptor: Int32) {
        guard let client = network.connection(at: descriptor) else { return }
        network.ledger.willChoose(client, ring: self)
    }

    // MARK: Wakes

    func wake() {
        // Messages are lost when the completion queue is full: then the worker is not asleep.
        if !posted.isEmpty, posted.count > 64 || network.random.chance(network.settings.lostWakes) { return }
        if settings.hasMessageWake {
            posted.append(Completion(tag: .wake, result: 0))
        } else if isWakeArmed {
            isWakeArmed = false
            posted.append(Completion(tag: .wake, result: 8))
        } else {
            pendingWakes += 1
        }
    }

    /// A worker that could not tell another tries again.
    func wakeByAnother() -> Bool {
        if !posted.isEmpty, network.random.chance(network.settings.lostWakes) { return false }
        wake()
        return true
    }

    func rearmWake() {
        guard !settings.hasMessageWake else { return }
        isWakeArmed = true
        guard pendingWakes > 0 else { return }
        pendingWakes = 0
        isWakeArmed = false
        posted.append(Completion(tag: .wake, result: 8))
    }

    // MARK: Completions out of place

    /// Late duplicates carry the generation of a session that is over: the worker must drop them. They have no buffer,
    /// which the kernel gives to one completion only.
    private func rememberForDuplicates() {
        guard network.settings.lateDuplicates > 0 else { return }
        for completion in batch where completion.tag.kind != .wake && completion.tag.kind != .cancel {
            guard completion.tag.kind != .accept, network.random.chance(network.settings.lateDuplicates) else {
                continue
            }
            remembered.append(completion)
        }
        if remembered.count > 64 { remembered.removeFirst(remembered.count - 64) }
    }

    /// Posts one remembered completion whose slot has another user, or none, by now.
    func postLateDuplicate() -> Bool {
        let due = remembered.firstIndex { completion in
            let slot = Int(completion.tag.slot)
            return sessions.indices.contains(slot)
                && (sessions[slot]?.isOver ?? true || sessions[slot]?.generation != completion.tag.generation)
        }
        guard let due else { return false }
        let completion = remembered.remove(at: due)
        duplicates += 1
        network.log.note(network.now, "ring %: a late duplicate for slot %", index, Int(completion.tag.slot))
        posted.append(Completion(tag: completion.tag, result: completion.result))
        return true
    }

    private func applyMutant() {
        switch network.mutant {
        case .swapCompletions:
            let kinds: [OperationKind] = [.receiveDownstream, .receiveUpstream]
            for left in batch.indices where batch[left].result > 0 && kinds.contains(batch[left].tag.kind ?? .cancel) {
                // Both of full length and both armed on, so that only the order of the bytes differs.
                for right in batch.indices
                where right > left && batch[right].tag == batch[left].tag && batch[right].result > 0
                    && batch[left].hasMore && batch[right].hasMore
                {
                    batch.swapAt(left, right)
                    network.mutant = nil
                    return
                }
            }
        case .duplicateToNewUser:
            adoptForNewUser()
        default: break
        }
    }

    /// A completion of an earlier user of a slot, made to look as if it were the present one's: what would happen if
    /// generations were not compared.
    private func adoptForNewUser() {
        for completion in batch where completion.tag.kind == .receiveDownstream && completion.result > 0 {
            let slot = Int(completion.tag.slot)
            guard sessions.indices.contains(slot), let present = sessions[slot],
                present.generation == completion.tag.generation
            else { continue }
            guard let earlier = remembered.first else {
                remembered = [completion]
                continue
            }
            if earlier.tag.slot == completion.tag.slot, earlier.tag.generation < completion.tag.generation,
                let buffer = takeProvided()
            {
                batch.append(Completion(tag: completion.tag, result: 1, buffer: buffer, hasMore: completion.hasMore))
                network.mutant = nil
                return
            }
        }
    }
}

// Owns somebody who looks through the sessions of a run again and again and ends some of them: the control thread's part
// of Engine+Sessions, at moments drawn from a sequence of its own.
// Leaves to others: the worker's part, which is the real one; who may be ended (Ledger).

import Synchronization

@testable import ShuttleEngine

/// Asks one ring after the other. What is found is held against what the network knows.
final class SimulatedOperator {
    private let plan: OperatorPlan
    private let random: SeededRandom
    private let network: SimulatedNetwork
    private let rings: [RingCore]
    private let links: [UnsafeMutablePointer<WorkerLink>]
    private var asked: (ring: Int, inspection: UnsafeMutablePointer<SessionInspection>)?
    /// Found by the last list, to be ended.
    private var chosen: [SessionTarget] = []
    private var place: UInt32 = 0

    private(set) var listed = 0
    private(set) var ended = 0
    private(set) var pages = 0

    init(
        _ plan: OperatorPlan, seed: UInt64, network: SimulatedNetwork, rings: [RingCore],
        links: [UnsafeMutablePointer<WorkerLink>]
    ) {
        self.plan = plan
        random = SeededRandom(seed: seed ^ 0x09e7_a702_0000_0000)
        self.network = network
        self.rings = rings
        self.links = links
    }

    deinit {
        // The workers have ended.
        free()
    }

    /// Does something now and then; called before every turn of a ring.
    func act() {
        guard let (ring, inspection) = asked else {
            if random.chance(plan.asksPercent) { ask() }
            return
        }
        guard inspection.pointee.isDone.load(ordering: .acquiring) else {
            // As Engine does, since a wake can be lost.
            if random.chance(5) { rings[ring].wake() }
            return
        }
        switch inspection.pointee.work {
        case .list: take(ring, inspection)
        case .look: break
        case .end: ended += inspection.pointee.endedCount
        }
        free()
        guard !chosen.isEmpty, random.chance(plan.endsPercent) else { return }
        end(at: ring)
    }

    private func free() {
        guard let (_, inspection) = asked.take() else { return }
        inspection.deinitialize(count: 1)
        inspection.deallocate()
    }

    private func put(_ inspection: consuming SessionInspection, to ring: Int) {
        let pointer = UnsafeMutablePointer<SessionInspection>.allocate(capacity: 1)
        pointer.initialize(to: inspection)
        asked = (ring, pointer)
        _ = links[ring].pointee.inspections.put(pointer)
        links[ring].pointee.command(WorkerLink.inspectCommand)
        rings[ring].wake()
    }

    private func ask() {
        var match = SessionMatch()
        if random.chance(30) { match.ageMinMilliseconds = UInt64(random.below(500)) }
        if random.chance(30) { match.idleMinMilliseconds = UInt64(random.below(500)) }
        if random.chance(30) { match.bytesMin = UInt64(random.below(2000)) }
        put(
            SessionInspection(
                .list, match: match, wantsClients: random.chance(50), from: place, rowCapacity: random.within(1...5)),
            to: random.below(rings.count))
    }

    private func take(_ ring: Int, _ inspection: UnsafeMutablePointer<SessionInspection>) {
        pages += 1
        chosen = []
        let rows = inspection.pointee.rows[..<inspection.pointee.rowCount]
        for row in rows {
            listed += 1
            let match = inspection.pointee.match
            if row.target.place < place || !match.matches(row) {
                network.violate(.misuse, "ring \(ring) listed a session that was not asked for: \(row.target)")
            }
            place = row.target.place + 1
            check(row, ring)
            chosen.append(row.target)
        }
        // Where the next page goes on, on whichever ring: places are places.
        place = inspection.pointee.isComplete || random.chance(30) ? 0 : inspection.pointee.next
    }

    private func check(_ row: SessionRow, _ ring: Int) {
        guard let session = session(row.target, ring) else { return }
        let upstream = session.upstream
        let accepted = ((upstream?.accepted ?? 0) + (upstream?.prefaceAccepted ?? 0), session.client?.accepted ?? 0)
        if Int(row.sentBytes) > accepted.0 && session.triedPorts.count <= 1 || Int(row.receivedBytes) > accepted.1 {
            network.violate(
                .counters,
                "a session on ring \(ring) counts \(row.sentBytes) and \(row.receivedBytes) bytes; the network took \(accepted)"
            )
        }
    }

    private func session(_ target: SessionTarget, _ ring: Int) -> SimulatedSession? {
        let sessions = rings[ring].sessions
        guard sessions.indices.contains(Int(target.place)), let session = sessions[Int(target.place)],
            session.generation == target.generation
        else { return nil }
        return session
    }

    /// Some of those that were found a while ago: they may be gone, and others have their places.
    private func end(at ring: Int) {
        let targets = chosen.filter { _ in random.chance(70) }
        chosen = []
        for target in targets {
            session(target, ring)?.mayBeEndedByOperator = true
        }
        put(SessionInspection(.end, targets: targets, rowCapacity: 0), to: ring)
    }
}

/// How busy the operator of a run is.
struct OperatorPlan {
    /// Of the turns in which nothing is asked, how many begin with a question.
    var asksPercent = 10
    /// Of the pages, how many lead to ends.
    var endsPercent = 50
}

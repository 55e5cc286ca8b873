// Owns the scenarios of sessions that are listed, and ended by an operator: nobody is held up, nothing leaks, and only
// those are ended that were meant.

import Synchronization
import Testing

@testable import ShuttleEngine

@Suite struct InspectionScenarioTests {
    /// Sessions that would run for a long time, ended one after the other by somebody who looks for them.
    @Test func endedByAnOperator() {
        var plan = SimulationPlan.oneService("ended by an operator", backends: 3, rings: 2)
        plan.slots = 100
        plan.sessionCapacity = 100
        plan.arrive(60, PeerScript(steps: [.send(300), .pause(50_000), .send(10), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.send(200), .awaitEnd]) }
        plan.operatorPlan = OperatorPlan(asksPercent: 60, endsPercent: 60)
        expectClean(plan, seeds: 1...6) { simulation in
            let found = simulation.sessionOperator
            let counted = simulation.control.serviceRecords[0].record.pointee.counters.sum {
                $0.operatorEnds.load(ordering: .relaxed)
            }
            #expect(counted == UInt64(found?.ended ?? 0), "each is counted once")
            #expect(counted > 20, "\(counted) were ended")
            let byBackend = simulation.control.backends.reduce(0) { sum, backend in
                sum + backend.record.pointee.counters.sum { $0.operatorEnds.load(ordering: .relaxed) }
            }
            #expect(byBackend <= counted)
        }
    }

    /// Who waits in a queue can be ended as well: the place in it goes to nobody, and the others move up.
    @Test func endedWhileTheyWait() {
        var plan = SimulationPlan.oneService("ended in a queue", backends: 1, rings: 2)
        plan.slots = 100
        plan.sessionCapacity = 100
        plan.services[0].connectionsMax = 3
        plan.services[0].queueLimit = 50
        plan.services[0].queueTimeout = 60_000
        plan.arrive(30, PeerScript(steps: [.send(10), .pause(3000), .finish]))
        plan.backendScript = { _, _ in PeerScript(steps: [.awaitEnd]) }
        plan.operatorPlan = OperatorPlan(asksPercent: 40, endsPercent: 30)
        expectClean(plan, seeds: 1...6) { simulation in
            let record = simulation.control.serviceRecords[0].record
            #expect(record.pointee.counters.queued == 0 && record.pointee.occupied.load(ordering: .relaxed) == 0)
        }
    }

    /// Looking alone changes nothing.
    @Test func listing() {
        var plan = SimulationPlan.oneService("listing", backends: 2, rings: 2)
        plan.slots = 40
        plan.sessionCapacity = 40
        plan.isCalm = true
        plan.arrive(80, PeerScript(steps: [.send(500), .pause(20), .send(500), .finish]))
        plan.operatorPlan = OperatorPlan(asksPercent: 60, endsPercent: 0)
        expectClean(plan, seeds: 1...6) { simulation in
            #expect(simulation.sessionOperator?.ended == 0)
            #expect(simulation.sessionOperator?.listed ?? 0 > 20)
        }
    }

    // MARK: How long it takes

    private static let sessionCount = 100_000

    /// A worker with so many sessions that have only begun: what they do is not looked at here.
    private func crowded() -> Simulation {
        var plan = SimulationPlan.oneService("a large table", backends: 1)
        plan.slots = InspectionScenarioTests.sessionCount
        plan.sessionCapacity = plan.slots
        let simulation = Simulation(plan, seed: 1)
        #expect(simulation.control.commit(plan.services))
        guard let service = simulation.control.compiledService(named: plan.services[0].name) else { return simulation }
        for _ in 0..<InspectionScenarioTests.sessionCount {
            simulation.workers[0].openSession(-1, UnsafePointer(service.table), backend: nil, client: nil, draw: 0)
        }
        return simulation
    }

    private func withInspection(
        _ inspection: consuming SessionInspection, _ body: (UnsafeMutablePointer<SessionInspection>) -> Void
    ) {
        let pointer = UnsafeMutablePointer<SessionInspection>.allocate(capacity: 1)
        pointer.initialize(to: inspection)
        body(pointer)
        pointer.deinitialize(count: 1)
        pointer.deallocate()
    }

    /// However many sessions there are, a turn looks at so many slots and no more.
    @Test(arguments: [true, false])
    func aTurnLooksAtAFewSlots(everyoneMatches: Bool) {
        let simulation = crowded()
        let count = InspectionScenarioTests.sessionCount
        var match = SessionMatch()
        if !everyoneMatches { match.bytesMin = 1 }
        withInspection(SessionInspection(.list, match: match, rowCapacity: count)) { inspection in
            simulation.workers[0].inspection = inspection
            var turns = 0
            var durations: [Duration] = []
            while !inspection.pointee.isDone.load(ordering: .acquiring) {
                let before = inspection.pointee.next
                durations.append(ContinuousClock().measure { simulation.workers[0].continueInspection() })
                turns += 1
                let looked = Int(inspection.pointee.next) - Int(before)
                #expect(looked <= 16 || before >= count, "\(looked) slots in one turn")
                if turns > 2 * count { return }
            }
            #expect(turns == (count + 15) / 16 + (count % 16 == 0 ? 1 : 0))
            #expect(inspection.pointee.rowCount == (everyoneMatches ? count : 0) && inspection.pointee.isComplete)
            #expect(simulation.links[0].pointee.inspectionTurns.summary().count == UInt64(turns))
            durations.sort()
            // Not a bound: what else the machine does is in it.
            let (half, most) = (durations[turns / 2], durations[turns * 99 / 100])
            print("\(count) slots in \(turns) turns: half of them took \(half) at most, 99 of 100 \(most)")
        }
    }

    /// Nor are more ended in a turn than a few.
    @Test func aTurnEndsAFewSessions() {
        let simulation = crowded()
        let targets = (0..<1000).map { SessionTarget(place: UInt32($0 * 90), generation: 1) }
        withInspection(
            SessionInspection(
                .end,
                targets: targets + [
                    SessionTarget(place: 5, generation: 2), SessionTarget(place: 700_000, generation: 1),
                ],
                rowCapacity: 0)
        ) { inspection in
            simulation.workers[0].inspection = inspection
            var turns = 0
            while !inspection.pointee.isDone.load(ordering: .acquiring), turns < 10_000 {
                let before = inspection.pointee.endedCount
                simulation.workers[0].continueInspection()
                turns += 1
                #expect(inspection.pointee.endedCount - before <= 16)
            }
            #expect(
                inspection.pointee.endedCount == 1000, "those of another generation and those that never were are not")
            #expect(turns == (1002 + 15) / 16)
        }
    }
}

// Owns how simulations are run by tests: over some seeds, with a failure that says how to see it again.

import Glibc
import Synchronization
import Testing

@testable import ShuttleEngine

/// Runs `plan` with each seed and each habit of splicing, and records the first violation with the last events.
///
/// - Parameter check: asked after each run that went well: what the scenario itself promises.
func expectClean(
    _ plan: SimulationPlan,
    seeds: ClosedRange<UInt64> = 1...20,
    splicing habits: [SplicingHabit] = SplicingHabit.allCases,
    sourceLocation: SourceLocation = #_sourceLocation,
    check: (Simulation) -> Void = { _ in }
) {
    for habit in habits {
        var plan = plan
        plan.splicePolicies = habit.policies
        for seed in seeds {
            let simulation = Simulation(plan, seed: seed)
            if let violation = simulation.run() {
                let events = simulation.log.lines.joined(separator: "\n")
                Issue.record(
                    "\(plan.name), splicing \(habit), seed \(seed): \(violation)\n\(events)",
                    sourceLocation: sourceLocation
                )
                return
            }
            check(simulation)
        }
    }
}

/// The same with a run of UDP.
func expectClean(
    _ plan: DatagramSimulation.Plan, seeds: ClosedRange<UInt64> = 1...40,
    sourceLocation: SourceLocation = #_sourceLocation, check: (DatagramSimulation) -> Void = { _ in }
) {
    for seed in seeds {
        let simulation = DatagramSimulation(plan, seed: seed)
        if let violation = simulation.run() {
            Issue.record("\(plan.name), seed \(seed): \(violation)", sourceLocation: sourceLocation)
            return
        }
        check(simulation)
    }
}

/// A number that the environment gives; nil when it gives none.
func environmentNumber(_ name: String) -> UInt64? {
    guard let text = getenv(name).map({ String(cString: $0) }), !text.isEmpty else { return nil }
    guard let number = UInt64(text) else { preconditionFailure("\(name) must be a decimal number, not '\(text)'") }
    return number
}

extension Simulation {
    /// The peers of a client's session, with the backend it reached at last.
    func pair(of client: Int) -> (client: SimulatedConnection, upstream: SimulatedConnection)? {
        guard let connection = clients[client], let upstream = connection.session?.upstream else { return nil }
        return (connection, upstream)
    }

    /// The first service's record.
    func counters(of service: String) -> (sent: UInt64, received: UInt64, errors: UInt64, connections: UInt64) {
        guard let record = control.serviceRecords.first(where: { $0.name == service })?.record else {
            return (0, 0, 0, 0)
        }
        return (
            record.pointee.counters.sum { $0.sentBytes.load(ordering: .relaxed) },
            record.pointee.counters.sum { $0.receivedBytes.load(ordering: .relaxed) },
            record.pointee.counters.sum { $0.errors.load(ordering: .relaxed) },
            record.pointee.counters.sum { $0.connections.load(ordering: .relaxed) }
        )
    }
}

// Owns the jobs that end many connections over a time: what each is to do, how far it is, and which are remembered.
// Leaves to others: when the next connection is ended (DisconnectPace), ending it (ControlPlane+Connections).

import ShuttleEngine

/// How fast connections are ended.
struct DisconnectRate: Equatable, Sendable {
    var count: Int
    var unit: Unit

    enum Unit: String, CaseIterable, Sendable {
        case second = "s"
        case minute = "m"
        case hour = "h"

        var nanoseconds: UInt64 {
            switch self {
            case .second: 1_000_000_000
            case .minute: 60_000_000_000
            case .hour: 3_600_000_000_000
            }
        }
    }

    static let counts = 1...100_000
    static let standard = DisconnectRate(count: 100, unit: .second)

    /// From one to the next, rounded up, so that no more are ended than it says.
    var interval: UInt64 { (unit.nanoseconds + UInt64(count) - 1) / UInt64(count) }

    var text: String { "\(count)/\(unit.rawValue)" }
}

/// What is asked for: which connections, and how they are to be ended.
struct DisconnectRequest: Equatable, Sendable {
    var filter: SessionFilter
    var rate = DisconnectRate.standard
    var jitterPercent = 50
}

/// A job as it is told of.
struct DisconnectReport: Equatable, Sendable {
    enum State: String, Sendable {
        case running, finished, cancelled
    }

    var id: Int
    var state = State.running
    var request: DisconnectRequest
    var peer: String
    var token: String?
    var startedMilliseconds: Int
    /// Nil while it runs.
    var endedMilliseconds: Int?
    /// Connections that were found when it was asked for. Those that come later are let alone.
    var matched: Int
    /// Of these, those that it has ended.
    var ended = 0
    /// Of these, those that had ended by themselves when their turn came.
    var gone = 0

    var remaining: Int { matched - ended - gone }
}

/// The jobs of this process; nothing of them outlives it. Confined to the control loop.
final class Disconnects {
    /// Jobs at a time.
    static let runningMax = 8
    /// Jobs that are remembered, those that run included.
    static let keptMax = 64

    /// The oldest first.
    private(set) var reports: [DisconnectReport] = []
    private var lastID = 0

    var runningCount: Int { reports.count { $0.state == .running } }

    func begin(
        _ request: DisconnectRequest, matched: Int, peer: String, token: String?, milliseconds: Int
    ) -> DisconnectReport {
        lastID += 1
        if reports.count >= Disconnects.keptMax, let oldest = reports.firstIndex(where: { $0.state != .running }) {
            reports.remove(at: oldest)
        }
        let report = DisconnectReport(
            id: lastID, request: request, peer: peer, token: token, startedMilliseconds: milliseconds,
            matched: matched
        )
        reports.append(report)
        return report
    }

    func report(_ id: Int) -> DisconnectReport? { reports.first { $0.id == id } }

    func progressed(_ id: Int, ended: Int, gone: Int) {
        update(id) {
            $0.ended += ended
            $0.gone += gone
        }
    }

    /// Ends a job that runs; others stay as they are.
    func end(_ id: Int, as state: DisconnectReport.State, milliseconds: Int) {
        update(id) {
            guard $0.state == .running else {
                return
            }
            $0.state = state
            $0.endedMilliseconds = milliseconds
        }
    }

    /// Forgets a job: one that runs is cancelled. Returns what it was.
    func remove(_ id: Int, milliseconds: Int) -> DisconnectReport? {
        end(id, as: .cancelled, milliseconds: milliseconds)
        return reports.firstIndex { $0.id == id }.map { reports.remove(at: $0) }
    }

    private func update(_ id: Int, _ change: (inout DisconnectReport) -> Void) {
        if let index = reports.firstIndex(where: { $0.id == id }) {
            change(&reports[index])
        }
    }
}

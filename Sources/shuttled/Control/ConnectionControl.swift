// Owns what can be asked about connections, and the answers. Leaves to others: asking the rings
// (ControlPlane+Connections), jobs that end many (Disconnects).

import NIOCore
import ShuttleEngine

/// Where a list of connections goes on: stable though connections come and go, since each keeps its place.
struct ConnectionCursor: Equatable, Sendable {
    var ring: Int
    var place: UInt32
}

/// Which connections are to be listed.
struct ConnectionQuery: Equatable, Sendable {
    var filter = SessionFilter()
    var limit = 100
    var after: ConnectionCursor?
    /// Between the two looks that rates come from; zero for one look and no rates.
    var interval = ConnectionQuery.intervalStandard

    static let limits = 1...1000
    static let intervalStandard: TimeAmount = .milliseconds(250)
    static let intervalMax: TimeAmount = .seconds(10)
}

/// A connection, and what it has done between two looks.
struct ConnectionReport: Equatable, Sendable {
    /// As it was at the last look.
    var session: SessionReport
    /// Time of day, since 1970.
    var startedMilliseconds: Int
    /// Bytes per second; nil where it was looked at once.
    var sentPerSecond: UInt64?
    var receivedPerSecond: UInt64?
}

struct ConnectionPage: Equatable, Sendable {
    var connections: [ConnectionReport]
    /// Nil after the last one.
    var next: ConnectionCursor?
}

/// Why connections are not ended.
enum DisconnectRefusal: Error, Equatable, Sendable {
    case unknownConnection
    case shuttingDown
    case tooMany(running: Int)
}

/// The control plane as it is asked about connections.
protocol ConnectionControl: Sendable {
    func connections(_ query: ConnectionQuery) async -> ConnectionPage
    func connection(_ identifier: SessionIdentifier, interval: TimeAmount) async -> ConnectionReport?
    /// Whether there is such a service or backend, or was, and has connections.
    func hasConnections(ofService service: String?, backend: String?) async -> Bool
    /// How many match now.
    func countConnections(_ filter: SessionFilter) async -> Int
    /// Ends one, and returns what it was.
    func disconnect(
        _ identifier: SessionIdentifier, origin: ChangeOrigin
    ) async throws(DisconnectRefusal) -> ConnectionReport
    /// Begins to end those that match.
    func disconnect(
        _ request: DisconnectRequest, origin: ChangeOrigin
    ) async throws(DisconnectRefusal) -> DisconnectReport
    /// The newest first.
    func disconnectJobs() async -> [DisconnectReport]
    /// Stops a job where it runs, and forgets it; nil where there is none.
    func cancelDisconnect(_ id: Int, origin: ChangeOrigin) async -> DisconnectReport?
}

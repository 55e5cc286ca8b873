// Owns the fixed shapes of load whose instructions are counted.

struct Scenario {
    /// What the instructions are divided by.
    enum Unit: String {
        case request
        case buffer
        case splice
        case connection
        /// Of a session that has ended.
        case record
    }

    let name: String
    let unit: Unit
    /// At a time; where connections are counted, all that wait to be accepted, one a turn.
    var connections = 1
    var requestBytes = 100
    var responseBytes = 100
    /// Buffers that one completion of a receive may bring; one completion a turn.
    var buffersPerReceive = 1
    var splicePolicy = SplicePolicy.standard
    var idleTimeoutMilliseconds = 0
    var unitsToWarmUp = 2000
    var unitsToMeasure = 20_000

    static let record = Scenario(name: "record", unit: .record)

    static let all = [
        Scenario(name: "request-1-connection", unit: .request),
        Scenario(name: "request-50-connections", unit: .request, connections: 50, idleTimeoutMilliseconds: 60_000),
        // One answer without end.
        Scenario(
            name: "bulk-copied",
            unit: .buffer,
            responseBytes: .max / 2,
            buffersPerReceive: 8,
            splicePolicy: .never
        ),
        Scenario(name: "bulk-spliced", unit: .splice, responseBytes: .max / 2, buffersPerReceive: 8),
        Scenario(name: "connection", unit: .connection, connections: 1000, unitsToMeasure: 5000),
        record,
    ]
}

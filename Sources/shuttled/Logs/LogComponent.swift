// Owns which parts of the program have log levels of their own, and making a logger one of such a part.
// Leaves to others: the levels (LogLevels), writing lines (Observability/Logging).

import Logging

/// A part of the program, as log lines name it. The raw values are its names on the wire.
enum LogComponent: String, CaseIterable, Sendable {
    /// Requests of the admin API.
    case admin
    /// Changes of the configuration, their history, connections that are ended.
    case control
    /// The data plane.
    case engine
    /// Checks of backends, and what is made of their traffic.
    case health
    /// Host names and what they stand for.
    case names
    /// Start and end, signals, files that are read again.
    case process

    /// The metadata by which a line says it; handlers go by it.
    static let metadataKey = "component"

    static let list = allCases.map(\.rawValue).joined(separator: ", ")
}

extension Logger {
    /// The same logger, for a part of the program.
    func of(_ component: LogComponent) -> Logger {
        var logger = self
        logger[metadataKey: LogComponent.metadataKey] = .string(component.rawValue)
        return logger
    }
}

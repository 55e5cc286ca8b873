// Owns rates: what the difference between two looks at the counters comes to.
// Leaves to others: looking (WatchCommand), showing (StatisticsTables).

import NIOCore

/// What happened in a second, between two looks.
struct Rates: Equatable, Sendable {
    var connections: Double
    var errors: Double
    var sent: Double
    var received: Double
}

/// Remembers the last look.
struct RateBook: Sendable {
    private var last: (time: NIODeadline, traffic: [String: TrafficView])?

    static func key(_ service: ServiceView, _ backend: BackendView) -> String { "\(service.name)/\(backend.name)" }

    /// The rates since the last look, by `service` and `service/backend`. Where there is nothing to compare with (the first
    /// look, something new, counters that began anew) there is none.
    mutating func rates(of services: [ServiceView], at time: NIODeadline) -> [String: Rates] {
        var traffic: [String: TrafficView] = [:]
        for service in services {
            traffic[service.name] = service.traffic
            for backend in service.backends {
                traffic[RateBook.key(service, backend)] = backend.traffic
            }
        }
        defer { last = (time, traffic) }
        guard let last, time > last.time else {
            return [:]
        }
        let seconds = Double((time - last.time).nanoseconds) / 1e9
        var rates: [String: Rates] = [:]
        for (key, now) in traffic {
            guard let before = last.traffic[key], now.connections >= before.connections, now.errors >= before.errors,
                now.sent >= before.sent, now.received >= before.received
            else {
                continue
            }
            rates[key] = Rates(
                connections: Double(now.connections - before.connections) / seconds,
                errors: Double(now.errors - before.errors) / seconds,
                sent: Double(now.sent - before.sent) / seconds,
                received: Double(now.received - before.received) / seconds
            )
        }
        return rates
    }
}

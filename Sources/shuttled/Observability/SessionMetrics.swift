// Owns the histograms of sessions that have ended, by service, and at which bounds they are shown.
// Leaves to others: counting (the engine's SessionHistograms), printing (MetricsText).

import ShuttleEngine

/// A histogram of a service's sessions.
struct SessionMetric: Sendable {
    let family: MetricFamily
    let distribution: @Sendable (SessionDistributions) -> MagnitudeDistribution
    /// As labels.
    let bounds: [String]
    /// What one of the engine's units is in that of the metric.
    let unit: Double
}

enum SessionMetrics {
    /// Powers of two, since the rings count in those: what is shown is exact. In nanoseconds from 66 µs to 4.3 s, durations
    /// from 1 ms to 9.8 h; bytes from 256 to 4 GiB.
    static let bounds = DistributionBounds(
        times: [16, 18, 20, 21, 22, 23, 24, 25, 26, 28, 30, 32],
        durations: [20, 23, 26, 28, 30, 32, 34, 36, 38, 40, 42, 45],
        bytes: [8, 10, 12, 14, 16, 18, 20, 24, 28, 32]
    )

    private static func seconds(_ exponents: [Int]) -> [String] {
        exponents.map { "le=\"\(Double(UInt64(1) << UInt64($0)) / 1e9)\"" }
    }

    private static func times(
        _ name: String, _ help: String, _ exponents: [Int],
        _ distribution: @escaping @Sendable (SessionDistributions) -> MagnitudeDistribution
    ) -> SessionMetric {
        SessionMetric(
            family: MetricFamily(name, .histogram, help), distribution: distribution, bounds: seconds(exponents),
            unit: 1e-9)
    }

    private static func bytes(
        _ name: String, _ help: String,
        _ distribution: @escaping @Sendable (SessionDistributions) -> MagnitudeDistribution
    ) -> SessionMetric {
        SessionMetric(
            family: MetricFamily(name, .histogram, help), distribution: distribution,
            bounds: bounds.bytes.map { "le=\"\(UInt64(1) << UInt64($0))\"" }, unit: 1)
    }

    static let all: [SessionMetric] = [
        times(
            "shuttle_session_connect_seconds", "Time that connects to backends took that succeeded.", bounds.times,
            { $0.connect }),
        times(
            "shuttle_session_first_byte_seconds",
            "Time from the connect, of UDP from the first datagram, to the first byte of the backend.", bounds.times,
            { $0.firstByte }),
        times(
            "shuttle_session_wait_seconds", "Time that sessions waited for a place or a rate limit, of those that did.",
            bounds.times, { $0.wait }),
        times(
            "shuttle_session_duration_seconds", "Time from accepting a client to the end of its session.",
            bounds.durations, { $0.duration }),
        bytes("shuttle_session_sent_bytes", "Bytes that a session sent on to its backend.", { $0.sent }),
        bytes("shuttle_session_received_bytes", "Bytes that a session sent on to its client.", { $0.received }),
    ]
}

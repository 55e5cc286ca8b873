// Owns the metrics of services. Leaves to others: the numbers (ServiceStatistics), printing (MetricsText).

import ShuttleEngine

enum ServiceMetrics {
    static let all: [Metric<ServiceReport>] = [
        Metric("shuttle_service_sessions", .gauge, "Sessions that have a place now.") {
            .count($0.statistics.active)
        },
        Metric("shuttle_service_sessions_limit", .gauge, "Sessions that may be at a time; absent without a limit.") {
            let limit =
                $0.configuration.network == .udp ? $0.configuration.udpSessionsMax : $0.configuration.connectionsMax
            return limit == 0 ? nil : .count(limit)
        },
        Metric("shuttle_service_connections_total", .counter, "Connections accepted, or UDP sessions begun.") {
            .whole($0.statistics.connections)
        },
        Metric(
            "shuttle_service_bytes_total", .counter, "Bytes sent on to backends, and received from them and sent on.",
            by: "direction",
            [
                "sent": { .whole($0.statistics.sentBytes) },
                "received": { .whole($0.statistics.receivedBytes) },
            ]),
        Metric(
            "shuttle_service_errors_total", .counter,
            "Connects that failed, resets by backends, and clients for whom no backend was usable."
        ) { .whole($0.statistics.errors) },
        Metric(
            "shuttle_service_turned_away_total", .counter, "Clients that were closed without getting to a backend.",
            by: "reason",
            [
                "refused": { .whole($0.statistics.refused) },
                "client_limit": { .whole($0.statistics.refusedPerClient) },
                "denied": { .whole($0.statistics.denied) },
                "rate_limited": { .whole($0.statistics.refusedByRate) },
                "queue_full": { .whole($0.statistics.queueOverflows) },
                "queue_timeout": { .whole($0.statistics.queueTimeouts) },
                "preread_failed": { .whole($0.statistics.prereadFailures) },
                "preread_timeout": { .whole($0.statistics.prereadTimeouts) },
            ]),
        Metric("shuttle_service_queued_sessions", .gauge, "Clients that wait for a place now.") {
            .count($0.statistics.queued)
        },
        Metric("shuttle_service_queue_limit", .gauge, "Clients that may wait; absent without a queue.") {
            $0.configuration.queueLimit == 0 ? nil : .count($0.configuration.queueLimit)
        },
        Metric("shuttle_service_delayed_sessions", .gauge, "Clients that wait for the rate limit now.") {
            .count($0.statistics.delayed)
        },
        Metric("shuttle_service_delays_total", .counter, "Clients that had to wait for the rate limit.") {
            .whole($0.statistics.delays)
        },
        Metric(
            "shuttle_service_bandwidth_holds_total", .counter, "Times that a session was held back to its bandwidth."
        ) {
            .whole($0.statistics.bandwidthHolds)
        },
        Metric("shuttle_service_retries_total", .counter, "Further backends tried after a connect that failed.") {
            .whole($0.statistics.retried)
        },
        Metric("shuttle_service_routed_total", .counter, "Clients that routes have led to other services.") {
            .whole($0.statistics.routed)
        },
        Metric("shuttle_service_draining_sessions", .gauge, "Sessions on backends that drain or were removed.") {
            .count($0.statistics.draining)
        },
        Metric(
            "shuttle_service_ended_sessions_total", .counter, "Sessions that were ended here and not by their peers.",
            by: "reason",
            [
                "idle": { .whole($0.statistics.ended.idle) },
                "half_close": { .whole($0.statistics.ended.halfClose) },
                "lifetime": { .whole($0.statistics.ended.lifetime) },
                "drain": { .whole($0.statistics.ended.drain) },
            ]),
        Metric(
            "shuttle_service_passive_panics_total", .counter,
            "Times that a backend was let stay although its traffic fails."
        ) { .whole($0.statistics.panics) },
        Metric("shuttle_service_maintenance", .gauge, "1 where the service is in maintenance.") {
            .flag($0.configuration.isInMaintenance)
        },
        Metric("shuttle_service_backends", .gauge, "Backends that are configured.") { .count($0.backends.count) },
        Metric("shuttle_service_backends_up", .gauge, "Backends that can get sessions: up, ready, with a weight.") {
            .count($0.backends.count(where: BackendMetrics.isUsable))
        },
        Metric(
            "shuttle_service_datagrams_total", .counter, "Datagrams sent on to backends and to clients; of UDP.",
            by: "direction",
            [
                "sent": { ofDatagrams($0) { $0.sent } },
                "received": { ofDatagrams($0) { $0.received } },
            ]),
        Metric("shuttle_service_datagrams_dropped_total", .counter, "Datagrams that were not sent on; of UDP.") {
            ofDatagrams($0) { $0.dropped }
        },
        Metric("shuttle_service_datagrams_limited_total", .counter, "Datagrams dropped for a bandwidth limit; of UDP.")
        {
            ofDatagrams($0) { $0.limited }
        },
        Metric(
            "shuttle_service_refused_sessions_total", .counter, "Sessions that ended as their backend refused; of UDP."
        ) { ofDatagrams($0) { $0.refused } },
        Metric("shuttle_service_evicted_sessions_total", .counter, "Sessions that made room for others; of UDP.") {
            ofDatagrams($0) { $0.evicted }
        },
    ]

    private static func ofDatagrams(_ report: ServiceReport, _ value: (DatagramStatistics) -> UInt64) -> MetricValue? {
        report.configuration.network == .udp ? .whole(value(report.statistics.datagrams)) : nil
    }
}

enum BackendMetrics {
    static func isUsable(_ report: BackendReport) -> Bool {
        report.statistics.isUp && report.configuration.state == .ready && report.configuration.weight > 0
    }

    static let all: [Metric<BackendReport>] = [
        Metric("shuttle_backend_up", .gauge, "1 where checks call it up and its traffic has not taken it out.") {
            .flag($0.statistics.isUp)
        },
        Metric("shuttle_backend_ready", .gauge, "1 where its state is ready, 0 in drain and maintenance.") {
            .flag($0.configuration.state == .ready)
        },
        Metric("shuttle_backend_weight", .gauge, "Its share of new connections, as configured.") {
            .count($0.configuration.weight)
        },
        Metric("shuttle_backend_sessions", .gauge, "Sessions now, those still connecting included.") {
            .count($0.statistics.active)
        },
        Metric("shuttle_backend_sessions_limit", .gauge, "Sessions that may be at a time; absent without a limit.") {
            $0.configuration.connectionsMax == 0 ? nil : .count($0.configuration.connectionsMax)
        },
        Metric("shuttle_backend_connections_total", .counter, "Connections established, or UDP sessions begun.") {
            .whole($0.statistics.connections)
        },
        Metric(
            "shuttle_backend_bytes_total", .counter, "Bytes sent on to it, and received from it and sent on.",
            by: "direction",
            [
                "sent": { .whole($0.statistics.sentBytes) },
                "received": { .whole($0.statistics.receivedBytes) },
            ]),
        Metric("shuttle_backend_errors_total", .counter, "Connects that failed, and resets by it.") {
            .whole($0.statistics.errors)
        },
        Metric("shuttle_backend_retries_total", .counter, "Tries that came to it as others had failed.") {
            .whole($0.statistics.retried)
        },
        Metric(
            "shuttle_backend_checks_total", .counter, "Health checks that succeeded and that failed.", by: "result",
            [
                "success": { .whole($0.statistics.checkSuccesses) },
                "fail": { .whole($0.statistics.checkFailures) },
            ]),
        Metric(
            "shuttle_backend_check_duration_seconds", .gauge,
            "How long the last health check took; absent before the first."
        ) { $0.statistics.lastCheck.map { .real(Double($0.durationMicroseconds) / 1e6) } },
        Metric("shuttle_backend_ejected", .gauge, "1 where failures of its traffic have taken it out.") {
            .flag($0.statistics.isEjected)
        },
        Metric("shuttle_backend_ejections_total", .counter, "Times that they have.") {
            .whole($0.statistics.ejections)
        },
        Metric("shuttle_backend_draining_sessions", .gauge, "Sessions that are to end as it drains.") {
            .count($0.statistics.draining)
        },
    ]
}

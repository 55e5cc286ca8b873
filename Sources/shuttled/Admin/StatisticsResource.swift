// Owns `/`: every service with what it has done and is doing.
// Leaves to others: single services and backends (ServiceResource, BackendResource).

import Hummingbird

struct StatisticsResource: Sendable {
    let control: any AdminControl

    func get() async -> Response {
        .json(StatisticsEncoder.bytes(of: await control.statistics()))
    }
}

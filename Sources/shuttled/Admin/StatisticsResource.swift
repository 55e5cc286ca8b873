// Owns `/`: every service with what it has done and is doing.
// Leaves to others: single services and backends (ServiceResource, BackendResource).

import Hummingbird
import ShuttleEngine

struct StatisticsResource: Sendable {
    let control: any AdminControl

    func get() async -> Response {
        let live = await control.statistics()
        let services = live.services
        let count = services.reduce(services.count) { $0 + $1.backends.count }
        return .json(
            await HeavyWork.run(isLong: count >= HeavyWork.objectsMin) { StatisticsEncoder.bytes(of: services) },
            headers: live.versions.tag(of: .whole)?.headers ?? [:]
        )
    }
}

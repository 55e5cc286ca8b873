// Owns `/v1/rings`: what each ring has done, and how long it was busy with adopting snapshots.
// Leaves to others: services and their backends (StatisticsResource).

import Hummingbird

struct RingsResource: Sendable {
    let control: any AdminControl

    func get() async -> Response {
        .json(StatisticsEncoder.bytes(of: await control.ringStatistics()))
    }
}

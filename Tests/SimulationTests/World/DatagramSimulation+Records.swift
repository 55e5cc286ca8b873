// Owns what must hold of the records that UDP sessions leave, once all have ended: one each, and with what the counters say.

import Synchronization

@testable import ShuttleEngine

extension DatagramSimulation {
    func checkRecords() {
        var recorded: [SessionRecord] = []
        for link in links {
            var cursor: UInt64 = 0
            let lost = link.pointee.records.take(from: &cursor, limit: .max) { recorded.append($0) }
            if lost > 0 { network.violate(.counters, "\(lost) records were overwritten") }
        }
        let counted = [
            connections, record.pointee.counters.sum { $0.sentBytes.load(ordering: .relaxed) },
            record.pointee.counters.sum { $0.receivedBytes.load(ordering: .relaxed) }, evicted, refused,
        ]
        let told = [
            UInt64(recorded.count), recorded.reduce(0) { $0 + $1.sentBytes },
            recorded.reduce(0) { $0 + $1.receivedBytes }, UInt64(recorded.count { $0.reason == .evicted }),
            UInt64(recorded.count { $0.reason == .backendRefused }),
        ]
        if counted != told {
            network.violate(
                .counters,
                "records tell \(told) of sessions, bytes sent and received, evicted and refused; counters \(counted)")
        }
        let addresses = clients.map(\.path).map { path in
            RawAddress(.ipv6(high: path.clientHigh, low: path.clientLow, port: path.clientPort)).address
        }
        if let stranger = recorded.first(where: { !addresses.contains($0.client) || !$0.isOfDatagrams }) {
            network.violate(.counters, "a record is of \(stranger.client?.description ?? "nobody")")
        }
    }
}

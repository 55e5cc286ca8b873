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
        // Of all services that have had the address.
        func sum(_ count: (UnsafeMutablePointer<ServiceRecord>) -> UInt64) -> UInt64 {
            records.reduce(0) { $0 + count($1) }
        }
        let counted = [
            sum { $0.pointee.counters.sum { $0.connections.load(ordering: .relaxed) } },
            sum { $0.pointee.counters.sum { $0.sentBytes.load(ordering: .relaxed) } },
            sum { $0.pointee.counters.sum { $0.receivedBytes.load(ordering: .relaxed) } },
            sum { $0.pointee.datagrams.sum { $0.evicted.load(ordering: .relaxed) } },
            sum { $0.pointee.datagrams.sum { $0.refused.load(ordering: .relaxed) } },
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
        // As a header has told where one is wanted, which it may be from a change on.
        let addresses = clients.flatMap { client in
            [RawAddress(client.path.clientAddress).address, client.conveyed.flatMap { RawAddress($0).address }]
        }
        if let stranger = recorded.first(where: { !addresses.contains($0.client) || !$0.isOfDatagrams }) {
            network.violate(.counters, "a record is of \(stranger.client?.description ?? "nobody")")
        }
    }
}

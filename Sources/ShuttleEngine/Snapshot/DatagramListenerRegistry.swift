// Owns the places of UDP listeners: which address has its sockets where, and which of them close. Control thread only.
// Leaves to others: receiving (Worker), asking for changes (Engine).

/// A UDP listener's place in a snapshot.
struct DatagramListenerEntry: Equatable {
    /// `open`, `closing`, or `none` for an empty place.
    var state: ListenerState
    /// Grows whenever the place is given to another listener.
    var generation: UInt32
    /// Where in the snapshot's list its sockets begin, one for each ring.
    var firstSocket: Int
    var isIPv4: Bool
    /// The service that datagrams received here belong to; nil while it closes.
    var table: UnsafePointer<ServiceTable>?
}

/// Listeners by place, as `ListenerRegistry`. One closes in one step: nothing that waits in its sockets could be answered
/// once they are gone.
final class DatagramListenerRegistry {
    private struct Place {
        var generation: UInt32 = 0
        var state = ListenerState.none
        var sockets: DatagramSockets?
    }

    private var places: [Place] = []

    /// Of open places.
    var openSockets: [DatagramSockets] { places.compactMap { $0.state == .open ? $0.sockets : nil } }
    var count: Int { places.count }
    var hasClosing: Bool { places.contains { $0.state == .closing } }

    func open(_ sockets: DatagramSockets) {
        let index =
            places.firstIndex { $0.state == .none }
            ?? {
                places.append(Place())
                return places.count - 1
            }()
        places[index].generation &+= 1
        places[index].state = .open
        places[index].sockets = sockets
    }

    /// Has the rings let go of every open place whose address `keep` does not hold.
    func startClosing(exceptAddresses keep: Set<SocketAddress>) {
        for index in places.indices where places[index].state == .open {
            guard let sockets = places[index].sockets, !keep.contains(sockets.address) else { continue }
            places[index].state = .closing
        }
    }

    /// Every ring has let go of them.
    func finishClosing() {
        for index in places.indices where places[index].state == .closing {
            places[index].state = .none
            places[index].sockets = nil
        }
    }

    /// What a snapshot says of every place, and the list of sockets that it refers to.
    func entries(
        serving tables: [SocketAddress: CompiledService]
    ) -> (entries: [DatagramListenerEntry], sockets: [Int32]) {
        var sockets: [Int32] = []
        let entries = places.map { place in
            let first = sockets.count
            guard let group = place.sockets else {
                return DatagramListenerEntry(
                    state: .none, generation: place.generation, firstSocket: first, isIPv4: false, table: nil)
            }
            sockets += group.descriptors
            return DatagramListenerEntry(
                state: place.state, generation: place.generation, firstSocket: first, isIPv4: group.isIPv4,
                table: place.state == .open ? tables[group.address].map { UnsafePointer($0.table) } : nil
            )
        }
        return (entries, sockets)
    }
}

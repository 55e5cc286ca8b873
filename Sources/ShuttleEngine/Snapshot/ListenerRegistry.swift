// Owns the places of listeners: which address listens where, and how far a closing one has come. Control thread only.
// Leaves to others: accepting (Worker), asking for changes (Engine).

/// Listeners by place. A place keeps its index while its address is configured, whatever service has the address.
final class ListenerRegistry {
    private struct Place {
        var generation: UInt32 = 0
        var state = ListenerState.none
        var socket: ListeningSocket?
        /// The service that what is still queued belongs to, once closing.
        var departing: CompiledService?
    }

    private var places: [Place] = []

    /// Listening sockets of open places.
    var openSockets: [ListeningSocket] {
        places.compactMap { $0.state == .open ? $0.socket : nil }
    }

    var count: Int { places.count }

    var hasClosing: Bool { places.contains { $0.state == .closing } }
    var hasDraining: Bool { places.contains { $0.state == .draining } }

    /// Services whose queued connections are still to be served.
    var departing: [CompiledService] { places.compactMap(\.departing) }

    func open(_ socket: ListeningSocket) {
        let index =
            places.firstIndex { $0.state == .none }
            ?? {
                places.append(Place())
                return places.count - 1
            }()
        places[index].generation &+= 1
        places[index].state = .open
        places[index].socket = socket
    }

    /// Starts closing every open place whose address `keep` does not hold; `service` is whose queue it is.
    func startClosing(exceptAddresses keep: Set<SocketAddress>, service: (SocketAddress) -> CompiledService?) {
        for index in places.indices where places[index].state == .open {
            guard let socket = places[index].socket, !keep.contains(socket.address) else { continue }
            socket.refuseNewHandshakes()
            places[index].state = .closing
            places[index].departing = service(socket.address)
        }
    }

    /// No ring waits on a closing listener any more: what is queued can be taken without waiting. What is queued at a socket that
    /// was handed to this process is left to whoever has it next.
    func startDraining() {
        for index in places.indices where places[index].state == .closing {
            if places[index].socket?.isHanded == true {
                free(index)
            } else {
                places[index].socket?.setNonBlocking()
                places[index].state = .draining
            }
        }
    }

    /// The queues are empty.
    func finishClosing() {
        for index in places.indices where places[index].state == .draining { free(index) }
    }

    private func free(_ index: Int) {
        places[index].state = .none
        places[index].socket = nil
        places[index].departing = nil
    }

    /// What a snapshot says of every place.
    func entries(serving tables: [SocketAddress: CompiledService]) -> [ListenerEntry] {
        places.map { place in
            guard let socket = place.socket else {
                return ListenerEntry(state: .none, generation: place.generation, socket: -1, table: nil)
            }
            let service = place.departing ?? tables[socket.address]
            return ListenerEntry(
                state: place.state,
                generation: place.generation,
                socket: socket.descriptor,
                table: service.map { UnsafePointer($0.table) }
            )
        }
    }
}

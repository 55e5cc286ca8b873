// Owns the listening sockets that a service manager has handed over, and whether they go with the configuration.
// Leaves to others: listening on them (ShuttleEngine's Engine, AdminListener).

import Logging
import ShuttleEngine

/// Why sockets that were handed over cannot be used; a line for each.
struct HandedSocketsRefusal: Error, Equatable, Sendable {
    var lines: [String]
}

/// Sockets of socket activation, by sd_listen_fds(3).
struct HandedSockets: Sendable {
    let sockets: [HandedSocket]

    static let none = HandedSockets(sockets: [])

    /// Takes the descriptors that follow each other from the first one on.
    static func take(_ names: [String]) throws(HandedSocketsRefusal) -> HandedSockets {
        var sockets: [HandedSocket] = []
        var problems: [String] = []
        for (index, name) in names.enumerated() {
            let descriptor = ManagerEnvironment.firstDescriptor + Int32(index)
            do throws(HandedSocket.Unfit) {
                sockets.append(try HandedSocket(name: name, descriptor: descriptor))
            } catch {
                problems.append("\(title(name, descriptor)) \(explanation(of: error))")
            }
        }
        for (index, socket) in sockets.enumerated() {
            if let other = sockets[..<index].first(where: { $0.address == socket.address }) {
                problems.append(
                    "\(title(socket.name, socket.descriptor)) listens on \(socket.address), as \(title(other.name, other.descriptor)) "
                        + "does; hand over one for each address")
            }
        }
        guard problems.isEmpty else {
            throw HandedSocketsRefusal(lines: problems)
        }
        return HandedSockets(sockets: sockets)
    }

    private static func title(_ name: String, _ descriptor: Int32) -> String {
        "descriptor \(descriptor) of LISTEN_FDS (\(name.isEmpty ? "without a name" : "named \(Quoted(name))"))"
    }

    private static func explanation(of unfit: HandedSocket.Unfit) -> String {
        switch unfit {
        case .closed: "is not open; LISTEN_FDS must be the number of sockets that follow each other from 3 on"
        case .noSocket: "is no socket; only listening sockets can be handed over (ListenStream= of systemd)"
        case .noStream:
            "is no stream socket; of datagrams each ring binds a socket of its own: leave out ListenDatagram=, and let shuttled "
                + "bind the address"
        case .notListening: "does not listen; use ListenStream= with Accept=no"
        case .otherFamily: "is of another family than IPv4, IPv6 and unix sockets; leave it out"
        }
    }

    /// Says of each socket who takes it; where one is named after a service that listens elsewhere nobody would, and its clients
    /// would wait in vain: that is refused.
    func check(
        _ services: [ServiceConfiguration], adminAddress: ShuttleEngine.SocketAddress?, logger: Logger
    ) throws(HandedSocketsRefusal) {
        var problems: [String] = []
        for socket in sockets {
            let takers = services.filter {
                HandedSockets.addresses(of: $0).contains(socket.address) && $0.network == .tcp
            }
            let metadata: Logger.Metadata = ["name": "\(socket.name)", "address": "\(socket.address)"]
            if let service = takers.first {
                logger.info("socket handed over", metadata: metadata.merging(["service": "\(service.name)"]) { $1 })
            } else if adminAddress == socket.address {
                logger.info("socket handed over", metadata: metadata.merging(["for": "admin"]) { $1 })
            } else if let namesake = services.first(where: { $0.name == socket.name }), !HandedSockets.isNamed(namesake)
            {
                problems.append(
                    "\(HandedSockets.title(socket.name, socket.descriptor)) listens on \(socket.address), and the service of "
                        + "that name on \(Quoted(namesake.address)); make ListenStream= and the service's address the same"
                )
            } else {
                logger.warning(
                    "nobody takes a socket that was handed over: its clients wait until a service listens at its address",
                    metadata: metadata)
            }
        }
        guard problems.isEmpty else {
            throw HandedSocketsRefusal(lines: problems)
        }
    }

    /// Whose address is a host name, which is resolved later.
    private static func isNamed(_ service: ServiceConfiguration) -> Bool {
        addresses(of: service).isEmpty && !service.address.isEmpty
    }

    /// What an address means without asking anybody; `:port` may come to either family.
    private static func addresses(of service: ServiceConfiguration) -> [ShuttleEngine.SocketAddress] {
        guard let address = try? ListenAddress(parsing: service.address) else {
            return []
        }
        switch address {
        case .unix(let unix): return [SocketAddress(unix)]
        case .tcp(.host(let host, let port)): return NumericHost.address(host, port: port).map { [$0] } ?? []
        case .tcp(.wildcard(let port)): return [.anyIPv6(port: UInt16(port)), .anyIPv4(port: UInt16(port))]
        }
    }
}

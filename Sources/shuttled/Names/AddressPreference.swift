// Owns which address of a host is used first, where there are several.
// Leaves to others: finding them (SystemNames), staying with one (NameMemory).

import Glibc
import ShuttleEngine

/// The order of RFC 6724, as far as it matters to a program that connects: what this machine can reach comes first,
/// IPv6 before IPv4. Among equals the order is the server's, which spreads the clients of a name by changing it.
enum AddressPreference {
    static func sorted(_ addresses: [ShuttleEngine.SocketAddress]) -> [ShuttleEngine.SocketAddress] {
        sorted(addresses, source: source(for:))
    }

    /// `source` is the address that the machine would connect from, nil where it has no way to go.
    static func sorted(
        _ addresses: [ShuttleEngine.SocketAddress],
        source: (ShuttleEngine.SocketAddress) -> ShuttleEngine.SocketAddress?
    ) -> [ShuttleEngine.SocketAddress] {
        var seen: Set<ShuttleEngine.SocketAddress> = []
        let unique = addresses.filter { seen.insert($0).inserted }
        guard unique.count > 1 else {
            return unique
        }
        // `localhost` sorts ::1 first, while most programs listen on 127.0.0.1 only.
        let isLoopback = unique.allSatisfy(\.isLoopback)
        let ranked = unique.enumerated().map { index, address in
            let rank = isLoopback ? (address.family == AF_INET ? 0 : 1) : rank(address, source: source(address))
            return (rank: rank, index: index, address: address)
        }
        return ranked.sorted { ($0.rank, $0.index) < ($1.rank, $1.index) }.map(\.address)
    }

    private static func rank(
        _ address: ShuttleEngine.SocketAddress, source: ShuttleEngine.SocketAddress?
    ) -> Int {
        guard let source else {
            return 4
        }
        guard address.family == AF_INET6 else {
            return 1
        }
        // A network of its own has such addresses without a way to the world.
        guard source.isUniqueLocal == address.isUniqueLocal else {
            return 3
        }
        return address.isUniqueLocal ? 2 : 0
    }

    /// Asks the routing table: a datagram socket that connects sends nothing.
    private static func source(for address: ShuttleEngine.SocketAddress) -> ShuttleEngine.SocketAddress? {
        let descriptor = socket(address.family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else {
            return nil
        }
        defer { close(descriptor) }
        let isReachable = address.with(port: 9).withSockAddr {
            connect(descriptor, $0.assumingMemoryBound(to: sockaddr.self), $1) == 0
        }
        return isReachable ? ShuttleEngine.SocketAddress.local(of: descriptor) : nil
    }
}

// Owns the sockets of one UDP address, one for each ring: how they are bound, so that the kernel gives all datagrams of a
// client to the same one. Leaves to others: receiving on them (LinuxRing+Datagrams), when they open and close (Engine).

import CURing
import Glibc

/// Sockets that share an address by SO_REUSEPORT; the kernel chooses one by a hash of both ends. Their number is that of
/// the rings, which is fixed, so the choice is as well. Control thread only; they close when this is dropped.
final class DatagramSockets {
    let address: SocketAddress
    /// By ring.
    let descriptors: [Int32]

    /// A burst waits here while a ring is busy; the kernel caps it at net.core.rmem_max.
    static let receiveBytes: Int32 = 4 << 20

    /// Binds a socket for each of `count` rings. They hear nothing until all are bound: whoever came before would belong to
    /// another one afterwards.
    ///
    /// - Parameter overlapping: sockets on the same port whose address overlaps without being equal, as in
    ///   `ListeningSocket.open`.
    static func open(
        _ address: SocketAddress, count: Int, overlapping: [DatagramSockets] = []
    ) -> Result<DatagramSockets, SystemCallError> {
        var descriptors: [Int32] = []
        for index in 0..<count {
            // The first asks for the address alone, so that one that another program has is refused.
            let sharesPort = index > 0 || !overlapping.isEmpty
            switch bound(to: address, sharesPort: sharesPort) {
            case .success(let descriptor):
                descriptors.append(descriptor)
                if count > 1 { _ = Socket.setOption(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
            case .failure(let error):
                for descriptor in descriptors { Socket.close(descriptor) }
                return .failure(error)
            }
        }
        for descriptor in descriptors { Socket.setDeaf(descriptor, false) }
        return .success(DatagramSockets(address: address, descriptors: descriptors))
    }

    private static func bound(to address: SocketAddress, sharesPort: Bool) -> CallResult {
        let opened = Socket.openDatagram(family: address.family)
        guard case .success(let descriptor) = opened else { return opened }
        Socket.setDeaf(descriptor, true)
        if sharesPort { _ = Socket.setOption(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        if address.family == AF_INET6 {
            _ = Socket.setOption(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, address.isWildcard ? 0 : 1)
        }
        if address.isWildcard { Socket.tellLocalAddress(descriptor, family: address.family) }
        _ = Socket.setOption(descriptor, SOL_SOCKET, SO_RCVBUF, receiveBytes)
        let outcome = address.withSockAddr { pointer, length in
            Socket.result(of: bind(descriptor, pointer.assumingMemoryBound(to: sockaddr.self), length))
        }
        if case .failure = outcome {
            Socket.close(descriptor)
            return outcome
        }
        return .success(descriptor)
    }

    var isIPv4: Bool { address.family == AF_INET }

    /// Whether binding both would collide though they are not equal.
    func overlaps(_ other: SocketAddress) -> Bool {
        address != other && address.port == other.port && (address.isWildcard || other.isWildcard)
    }

    private init(address: SocketAddress, descriptors: [Int32]) {
        self.address = address
        self.descriptors = descriptors
    }

    deinit {
        for descriptor in descriptors { Socket.close(descriptor) }
    }
}

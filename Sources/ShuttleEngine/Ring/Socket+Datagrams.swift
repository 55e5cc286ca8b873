// Owns the calls on UDP sockets that rings and listeners make. Leaves to others: when to make them.

import CURing
import Glibc

extension Socket {
    // Written out: the names of the C library are of types whose conversion looks other types up at run time.
    /// IPPROTO_IP and IPPROTO_IPV6, the levels of control messages.
    static var levelIPv4: Int32 { 0 }
    static var levelIPv6: Int32 { 41 }
    /// MSG_TRUNC of recvmsg(2).
    static var messageWasCut: UInt32 { 0x20 }
    /// IP_PKTINFO of ip(7), both the option and the control message.
    static var packetInformation: Int32 { 8 }
    /// IPV6_RECVPKTINFO of ipv6(7), the option.
    private static var receivePacketInformation6: Int32 { 49 }
    /// IPV6_PKTINFO of ipv6(7), the control message.
    static var packetInformation6: Int32 { 50 }

    /// A blocking datagram socket, as `openStream`.
    static func openDatagram(family: Int32) -> CallResult {
        let opened = result(of: socket(family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        // Where the kernel knows no such option each datagram comes by itself.
        if case .success(let descriptor) = opened { _ = setOption(descriptor, levelUDP, joinDatagrams, 1) }
        return opened
    }

    /// SOL_UDP, UDP_SEGMENT and UDP_GRO, udp(7).
    static var levelUDP: Int32 { 17 }
    static var splitDatagrams: Int32 { 103 }
    static var joinDatagrams: Int32 { 104 }

    /// Has each datagram tell the local address that it was sent to.
    static func tellLocalAddress(_ socket: Int32, family: Int32) {
        if family == AF_INET {
            _ = setOption(socket, Int32(IPPROTO_IP), packetInformation, 1)
        } else {
            _ = setOption(socket, Int32(IPPROTO_IPV6), receivePacketInformation6, 1)
        }
    }

    /// Datagrams from and to nobody else, and ICMP errors as errors of the socket. Nothing is sent.
    static func connectDatagram(_ socket: Int32, _ address: UnsafePointer<SocketAddress>) -> CallResult {
        let pointer = UnsafeRawPointer(address).assumingMemoryBound(to: sockaddr.self)
        return result(of: shuttle_connect(socket, pointer, address.pointee.length))
    }

    /// Drops whatever comes from now on, or no longer: classic BPF of one instruction.
    static func setDeaf(_ socket: Int32, _ isDeaf: Bool) {
        guard isDeaf else {
            _ = setOption(socket, SOL_SOCKET, SO_DETACH_FILTER, 0)
            return
        }
        var drop = sock_filter(code: 0x06, jt: 0, jf: 0, k: 0)
        withUnsafeMutablePointer(to: &drop) { instruction in
            var filter = sock_fprog(len: 1, filter: instruction)
            _ = setsockopt(
                socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, socklen_t(MemoryLayout<sock_fprog>.size))
        }
    }
}

// Owns what a ring asks the kernel of a socket, by system calls that do not wait. Leaves to others: the calls (Socket).

extension LinuxRing {
    func peerAddress(of socket: Int32) -> SocketAddress? { SocketAddress.peer(of: socket) }
    func localAddress(of socket: Int32) -> SocketAddress? { SocketAddress.local(of: socket) }
    func unacknowledgedBytes(_ socket: Int32) -> Int { Socket.unacknowledgedBytes(socket) }
    func acknowledgedBytes(_ socket: Int32) -> UInt64 { Socket.acknowledgedBytes(socket) }
    func millisecondsSinceSent(_ socket: Int32) -> UInt64 { Socket.millisecondsSinceSent(socket) }
    func tcpInformation(_ socket: Int32) -> TCPInformation? { Socket.tcpInformation(socket) }
    func isDead(_ socket: Int32) -> Bool { Socket.isDead(socket) }
    func hasEnded(_ socket: Int32) -> Bool { Socket.hasEnded(socket) }
}

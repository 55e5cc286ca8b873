// Owns one listening socket: how it is bound, how it is taken out of use without losing a connection.
// Leaves to others: accepting on it (LinuxRing), when it opens and closes (Engine).

import CURing
import Glibc

/// A socket that listens on one address, shared by all rings. Control thread only; closes itself when dropped.
final class ListeningSocket {
    let address: SocketAddress
    let descriptor: Int32
    /// Of a unix socket that has one.
    let file: UnixSocketFile?
    /// Whether somebody else has the socket as well, who goes on listening when it closes here.
    let isHanded: Bool

    /// The kernel caps this at net.core.somaxconn.
    static let backlog: Int32 = 4096

    /// Binds and listens.
    ///
    /// - Parameter overlapping: listeners on the same port whose address overlaps without being equal (a wildcard and
    ///   one of its addresses). For the moment of binding they agree to share the port by SO_REUSEPORT; afterwards a
    ///   stranger is refused again.
    /// - Parameter access: of the file of a unix socket.
    static func open(
        _ address: SocketAddress,
        access: SocketFileAccess = SocketFileAccess(),
        overlapping: [ListeningSocket] = []
    ) -> Result<ListeningSocket, ListenError> {
        if let path = address.unixPath { return openFile(path, address, access) }
        let descriptor: Int32
        switch Socket.openStream(family: address.family) {
        case .failure(let error): return .failure(ListenError(.listen, error.code))
        case .success(let value): descriptor = value
        }
        for other in overlapping { _ = Socket.setOption(other.descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        defer { for other in overlapping { _ = Socket.setOption(other.descriptor, SOL_SOCKET, SO_REUSEPORT, 0) } }
        switch bindAndListen(descriptor, address, sharesPort: !overlapping.isEmpty) {
        case .success:
            return .success(ListeningSocket(address: address, descriptor: descriptor))
        case .failure(let error):
            Socket.close(descriptor)
            return .failure(ListenError(.listen, error.code))
        }
    }

    private static func openFile(
        _ path: String, _ address: SocketAddress, _ access: SocketFileAccess
    ) -> Result<ListeningSocket, ListenError> {
        do throws(ListenError) {
            let (file, descriptor) = try UnixSocketFile.listen(at: path, access, backlog: backlog, isNonBlocking: false)
            return .success(ListeningSocket(address: address, descriptor: descriptor, file: file))
        } catch {
            return .failure(error)
        }
    }

    private static func bindAndListen(_ descriptor: Int32, _ address: SocketAddress, sharesPort: Bool) -> CallResult {
        if !address.isUnix { setOptions(descriptor, address, sharesPort: sharesPort) }
        let bound = address.withSockAddr { pointer, length in
            Socket.result(of: bind(descriptor, pointer.assumingMemoryBound(to: sockaddr.self), length))
        }
        guard case .success = bound else { return bound }
        let listening = Socket.result(of: listen(descriptor, backlog))
        if sharesPort { _ = Socket.setOption(descriptor, SOL_SOCKET, SO_REUSEPORT, 0) }
        return listening
    }

    private static func setOptions(_ descriptor: Int32, _ address: SocketAddress, sharesPort: Bool) {
        _ = Socket.setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if sharesPort { _ = Socket.setOption(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        if address.family == AF_INET6 {
            // A wildcard listens dual-stack whatever net.ipv6.bindv6only says.
            _ = Socket.setOption(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, address.isWildcard ? 0 : 1)
        }
        // Set on the listener, so that accepted sockets inherit it without a call each.
        Socket.setNoDelay(descriptor)
    }

    private init(address: SocketAddress, descriptor: Int32, file: UnixSocketFile? = nil) {
        self.address = address
        self.descriptor = descriptor
        self.file = file
        isHanded = false
    }

    /// One that listens already, and whose descriptor is this one's to close.
    init(handed descriptor: Int32, at address: SocketAddress) {
        self.address = address
        self.descriptor = descriptor
        file = nil
        isHanded = true
    }

    deinit {
        file?.remove()
        Socket.close(descriptor)
    }

    /// Whether binding both would collide though they are not equal.
    func overlaps(_ other: SocketAddress) -> Bool {
        !address.isUnix && address != other && address.port == other.port && (address.isWildcard || other.isWildcard)
    }

    /// Lets the kernel ignore new handshakes, so that the queue can be emptied for good. A client whose SYN is ignored
    /// tries again within a second and then meets whoever has the address, or nobody. A unix socket refuses at once, and
    /// its file goes first: whoever comes later may have the path.
    ///
    /// Of a socket that somebody else has as well nothing changes: clients go on queueing there, for who has it next.
    func refuseNewHandshakes() {
        guard !isHanded else { return }
        if address.isUnix {
            file?.remove()
            return Socket.shutdownListening(descriptor)
        }
        // Classic BPF over the TCP header: drop when SYN is set without ACK.
        var program = [
            sock_filter(code: 0x30, jt: 0, jf: 0, k: 13),  // A = flags
            sock_filter(code: 0x54, jt: 0, jf: 0, k: 0x12),  // A &= SYN | ACK
            sock_filter(code: 0x15, jt: 0, jf: 1, k: 0x02),  // A == SYN?
            sock_filter(code: 0x06, jt: 0, jf: 0, k: 0),  // drop
            sock_filter(code: 0x06, jt: 0, jf: 0, k: .max),  // keep
        ]
        program.withUnsafeMutableBufferPointer { instructions in
            var filter = sock_fprog(len: UInt16(instructions.count), filter: instructions.baseAddress)
            _ = setsockopt(
                descriptor,
                SOL_SOCKET,
                SO_ATTACH_FILTER,
                &filter,
                socklen_t(MemoryLayout<sock_fprog>.size)
            )
        }
    }

    /// From now on accepting does not wait.
    func setNonBlocking() {
        _ = Socket.setNonBlocking(descriptor)
    }
}

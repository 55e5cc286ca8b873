// Owns the socket calls that rings and listeners make. Leaves to others: when to make them.

import CURing
import Glibc

/// System calls on sockets, each with its errno as a value.
enum Socket {
    /// A unix socket that is connected. Connecting to one does not wait: EAGAIN says that the listen queue is full. Only the
    /// socket's later calls wait, as those of all others do.
    static func connectUnix(_ address: UnsafePointer<SocketAddress>) -> CallResult {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return result(of: descriptor) }
        let pointer = UnsafeRawPointer(address).assumingMemoryBound(to: sockaddr.self)
        guard connect(descriptor, pointer, address.pointee.length) == 0 else {
            let code = errno
            close(descriptor)
            return .failure(SystemCallError(code: code))
        }
        shuttle_set_blocking(descriptor, true)
        return .success(descriptor)
    }

    /// A blocking stream socket. Blocking, since ring operations on non-blocking ones were seen to complete with
    /// EAGAIN in the middle of a send.
    static func openStream(family: Int32) -> CallResult {
        result(of: socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
    }

    /// Accepted sockets inherit it from their listener.
    static func setNoDelay(_ socket: Int32) {
        _ = setOption(socket, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    }

    /// The idle time counts from the last packet, also of those before the call.
    static func setKeepalive(_ socket: Int32, _ keepalive: Keepalive) {
        _ = setOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1)
        _ = setOption(socket, Int32(IPPROTO_TCP), TCP_KEEPIDLE, Int32(keepalive.idleSeconds))
        _ = setOption(socket, Int32(IPPROTO_TCP), TCP_KEEPINTVL, Int32(keepalive.intervalSeconds))
        _ = setOption(socket, Int32(IPPROTO_TCP), TCP_KEEPCNT, Int32(keepalive.count))
    }

    /// Bytes that the peer does not acknowledge for so long end the connection.
    static func setUserTimeout(_ socket: Int32, milliseconds: UInt32) {
        let limited = Int32(clamping: milliseconds)
        _ = setOption(socket, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, limited)
    }

    /// Has the connection come from an address. The port is chosen only when it connects (IP_BIND_ADDRESS_NO_PORT, ip(7)), so
    /// that each backend has all ports of the address for itself.
    static func bindSource(_ socket: Int32, _ source: UnsafePointer<SocketAddress>) -> CallResult {
        let bindAddressNoPort: Int32 = 24
        _ = setOption(socket, Int32(IPPROTO_IP), bindAddressNoPort, 1)
        let address = UnsafeRawPointer(source).assumingMemoryBound(to: sockaddr.self)
        return result(of: bind(socket, address, source.pointee.length))
    }

    /// The handshake's last acknowledgement waits for the first data. On a socket that connects TCP_DEFER_ACCEPT, tcp(7),
    /// does just that.
    static func deferAcknowledgement(_ socket: Int32) {
        _ = setOption(socket, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, 1)
    }

    /// Sends without waiting; with `moreFollow` the kernel keeps the bytes for the segment of the next send (MSG_MORE,
    /// send(2)).
    static func sendNow(_ socket: Int32, _ bytes: UnsafeRawBufferPointer, moreFollow: Bool) -> CallResult {
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT) | (moreFollow ? Int32(MSG_MORE) : 0)
        return result(of: Int32(truncatingIfNeeded: send(socket, bytes.baseAddress, bytes.count, flags)))
    }

    static func setOption(_ socket: Int32, _ level: Int32, _ name: Int32, _ value: Int32) -> CallResult {
        var value = value
        return result(of: setsockopt(socket, level, name, &value, socklen_t(MemoryLayout<Int32>.size)))
    }

    static func setNonBlocking(_ socket: Int32) -> CallResult {
        let flags = fcntl(socket, F_GETFL)
        guard flags >= 0 else { return result(of: flags) }
        return result(of: fcntl(socket, F_SETFL, flags | O_NONBLOCK))
    }

    /// Takes a waiting connection; the descriptor is blocking whatever the listener is.
    static func accept(_ listener: Int32) -> CallResult {
        result(of: shuttle_accept(listener))
    }

    /// Has a unix socket refuse connections; those that wait can still be accepted.
    static func shutdownListening(_ socket: Int32) {
        _ = Glibc.shutdown(socket, Int32(SHUT_RD))
    }

    static func shutdownWrite(_ socket: Int32) {
        _ = Glibc.shutdown(socket, Int32(SHUT_WR))
    }

    /// The peer will get RST and what it has not received is dropped: SO_LINGER with time 0, socket(7).
    static func dropOnClose(_ socket: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    static func close(_ socket: Int32) {
        // EBADF would be our bug: a descriptor closed twice may be somebody else's the second time.
        if Glibc.close(socket) != 0 && errno == EBADF { preconditionFailure("descriptor \(socket) is not open") }
    }

    /// SIOCOUTQ, tcp(7): bytes in the send queue that the peer has not acknowledged. Of a unix socket: memory of what the
    /// peer has not read.
    static func unacknowledgedBytes(_ socket: Int32) -> Int {
        var bytes: Int32 = 0
        let outputQueueRequest: UInt = 0x5411
        return ioctl(socket, outputQueueRequest, &bytes) == 0 ? Int(bytes) : 0
    }

    /// `tcpi_bytes_acked` of TCP_INFO (RFC 4898 tcpEStatsAppHCThruOctetsAcked), which glibc's struct leaves out.
    static func acknowledgedBytes(_ socket: Int32) -> UInt64 {
        withInformation(socket) { bytes in
            bytes.count >= 128 ? bytes.loadUnaligned(fromByteOffset: 120, as: UInt64.self) : 0
        }
    }

    /// `tcpi_last_data_sent` of TCP_INFO.
    static func millisecondsSinceSent(_ socket: Int32) -> UInt64 {
        withInformation(socket) { bytes in
            bytes.count >= 48 ? UInt64(bytes.loadUnaligned(fromByteOffset: 44, as: UInt32.self)) : 0
        }
    }

    /// `tcpi_rtt` and `tcpi_total_retrans` of TCP_INFO.
    static func tcpInformation(_ socket: Int32) -> TCPInformation? {
        withInformation(socket) { bytes in
            guard bytes.count >= 104 else { return nil }
            return TCPInformation(
                roundTripMicroseconds: bytes.loadUnaligned(fromByteOffset: 68, as: UInt32.self),
                retransmits: bytes.loadUnaligned(fromByteOffset: 100, as: UInt32.self))
        }
    }

    /// Whether the state of TCP_INFO is CLOSE: a connection that ended in both directions, as after a reset.
    static func isDead(_ socket: Int32) -> Bool {
        let stateClose: UInt8 = 7
        return withInformation(socket) { $0.count > 0 && $0[0] == stateClose }
    }

    /// As poll(2) tells without waiting: POLLRDHUP, or what it tells unasked of an error.
    static func hasEnded(_ socket: Int32) -> Bool {
        let peerEnded: Int16 = 0x2000
        var question = pollfd(fd: socket, events: peerEnded, revents: 0)
        return poll(&question, 1, 0) > 0 && question.revents & (peerEnded | Int16(POLLERR | POLLHUP)) != 0
    }

    private static func withInformation<R>(_ socket: Int32, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { buffer in
            var length = socklen_t(buffer.count)
            guard getsockopt(socket, Int32(IPPROTO_TCP), TCP_INFO, buffer.baseAddress, &length) == 0 else {
                return body(UnsafeRawBufferPointer(start: nil, count: 0))
            }
            return body(UnsafeRawBufferPointer(rebasing: buffer[0..<Int(length)]))
        }
    }

    static func result(of value: Int32) -> CallResult {
        value >= 0 ? .success(value) : .failure(SystemCallError(code: errno))
    }
}

// Owns one listening socket that this process was started with, as a service manager hands them over.
// Leaves to others: how they are handed (shuttled/Manager), which listener takes which (Engine).

import CURing
import Glibc

/// A descriptor that somebody else has bound and listens on, and keeps open as well.
///
/// A listener at its address takes a copy of it (dup(2)) and never closes what it is a copy of: the one who handed it would queue
/// clients in it that nobody accepts, and the next listener at the address needs it again.
public struct HandedSocket: Sendable, Equatable {
    public let name: String
    public let descriptor: Int32
    public let address: SocketAddress

    /// Why a descriptor is none that a listener can take.
    public enum Unfit: Error, Equatable, Sendable {
        case closed
        case noSocket
        /// SOCK_DGRAM or another.
        case noStream
        case notListening
        case otherFamily
    }

    /// Looks at the descriptor; it is closed on exec from here on.
    public init(name: String, descriptor: Int32) throws(Unfit) {
        guard fcntl(descriptor, F_GETFD) >= 0 else { throw .closed }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { throw .noSocket }
        guard HandedSocket.option(descriptor, SO_TYPE) == Int32(SOCK_STREAM.rawValue) else { throw .noStream }
        guard HandedSocket.option(descriptor, SO_ACCEPTCONN) == 1 else { throw .notListening }
        guard let address = HandedSocket.address(of: descriptor) else { throw .otherFamily }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        self.name = name
        self.descriptor = descriptor
        self.address = address
    }

    /// A copy for who listens, or errno, negated: blocking, as rings need it, or not. The mode is the socket's, and so everybody's
    /// who has it.
    public func copy(isNonBlocking: Bool) -> Int32 {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { return -errno }
        shuttle_set_blocking(copy, !isNonBlocking)
        if !address.isUnix { Socket.setNoDelay(copy) }
        return copy
    }

    private static func address(of descriptor: Int32) -> SocketAddress? {
        if let address = SocketAddress.local(of: descriptor) { return address }
        guard option(descriptor, SO_DOMAIN) == AF_UNIX else { return nil }
        var address = sockaddr_un()
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let outcome = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        let start = MemoryLayout<sa_family_t>.size
        guard outcome == 0, Int(length) > start else { return nil }
        let bytes = withUnsafeBytes(of: address) { Array($0[start..<min(Int(length), $0.count)]) }
        let isAbstract = bytes[0] == 0
        let name = isAbstract ? bytes.dropFirst() : bytes.prefix { $0 != 0 }
        guard !name.isEmpty, name.count <= UnixAddress.lengthMax else { return nil }
        return .unix(name: String(decoding: name, as: UTF8.self), isAbstract: isAbstract)
    }

    private static func option(_ descriptor: Int32, _ name: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }
}

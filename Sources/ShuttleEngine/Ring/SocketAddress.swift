// Owns the binary form of a socket address and its comparison: IPv4, IPv6, unix sockets.
// Leaves to others: parsing what users write (Configuration/Endpoint) and resolving names (shuttled/Control).

import CURing
import Glibc

/// An IPv4 or IPv6 address with its port, or the address of a unix socket, as the kernel takes it; 116 bytes, no pointers.
/// Too large to be kept for each session: sessions point to the one of their backend.
public struct SocketAddress: Sendable {
    private struct Words {
        var a: UInt32 = 0
        var b: UInt32 = 0
        var c: UInt32 = 0
        var d: UInt32 = 0
    }

    /// As large as a sockaddr_un; the other two use the beginning. No tuple, whose type would be looked up at run time where
    /// an address is optional.
    private struct Storage {
        var inet = sockaddr_in6()
        // Without a gap before it, whose bytes a copy would not keep.
        var process: UInt32 = 0
        var name1 = Words()
        var name2 = Words()
        var name3 = Words()
        var name4 = Words()
        var name5 = Words()
    }

    private var storage: Storage
    /// Bytes of the address that are meaningful, as passed to bind(2) and connect(2).
    public private(set) var length: UInt32

    private init(storage: Storage, length: UInt32) {
        self.storage = storage
        self.length = length
    }

    /// Copies a `struct sockaddr` of family `AF_INET` or `AF_INET6`; `nil` for every other family or a short length.
    public init?(copying address: UnsafeRawPointer, length: Int) {
        guard length >= MemoryLayout<sa_family_t>.size else { return nil }
        let family = Int32(address.loadUnaligned(as: sa_family_t.self))
        let needed: Int
        switch family {
        case AF_INET: needed = MemoryLayout<sockaddr_in>.size
        case AF_INET6: needed = MemoryLayout<sockaddr_in6>.size
        default: return nil
        }
        guard length >= needed else { return nil }
        var storage = Storage()
        withUnsafeMutableBytes(of: &storage) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: needed))
            if family == AF_INET {
                // sin_zero is padding that bind(2) ignores; equality must too.
                for index in 8..<16 { $0[index] = 0 }
            }
        }
        self.init(storage: storage, length: UInt32(needed))
    }

    /// `0.0.0.0:port`.
    public static func anyIPv4(port: UInt16) -> SocketAddress {
        ipv4(0, port: port)
    }

    /// An IPv4 address given in host byte order.
    public static func ipv4(_ address: UInt32, port: UInt16) -> SocketAddress {
        var inet = sockaddr_in()
        inet.sin_family = sa_family_t(AF_INET)
        inet.sin_port = port.bigEndian
        inet.sin_addr.s_addr = address.bigEndian
        return withUnsafeBytes(of: inet) { SocketAddress(copying: $0.baseAddress!, length: $0.count)! }
    }

    /// `127.0.0.1:port`.
    public static func loopbackIPv4(port: UInt16) -> SocketAddress {
        ipv4(0x7f00_0001, port: port)
    }

    /// `[::]:port`.
    public static func anyIPv6(port: UInt16) -> SocketAddress {
        var inet = sockaddr_in6()
        inet.sin6_family = sa_family_t(AF_INET6)
        inet.sin6_port = port.bigEndian
        return SocketAddress(storage: Storage(inet: inet), length: UInt32(MemoryLayout<sockaddr_in6>.size))
    }

    /// An IPv6 address given as its two halves in host byte order.
    static func ipv6(high: UInt64, low: UInt64, port: UInt16) -> SocketAddress {
        var inet = sockaddr_in6()
        inet.sin6_family = sa_family_t(AF_INET6)
        inet.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &inet.sin6_addr) {
            $0.storeBytes(of: high.bigEndian, as: UInt64.self)
            $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return SocketAddress(storage: Storage(inet: inet), length: UInt32(MemoryLayout<sockaddr_in6>.size))
    }

    /// Where the path or the name of a unix socket begins.
    private static let nameOffset = MemoryLayout<sa_family_t>.size

    /// A unix socket by the path of its file or by its name in the abstract namespace, of at most
    /// `UnixAddress.lengthMax` bytes.
    static func unix(name: String, isAbstract: Bool) -> SocketAddress {
        let bytes = name.utf8
        precondition(bytes.count <= UnixAddress.lengthMax, "the name of a unix socket was not validated")
        var storage = Storage()
        storage.inet.sin6_family = sa_family_t(AF_UNIX)
        let start = nameOffset + (isAbstract ? 1 : 0)
        withUnsafeMutableBytes(of: &storage) { $0[start...].copyBytes(from: bytes) }
        // A path ends with a zero; a name begins with one and is as long as the address says.
        return SocketAddress(storage: storage, length: UInt32(nameOffset + bytes.count + 1))
    }

    public init(_ address: UnixAddress) {
        self = .unix(name: address.name, isAbstract: address.isAbstract)
    }

    /// The process at the other end of a unix socket: what clients there are told apart by, since they have no address.
    static func process(_ identifier: Int32) -> SocketAddress {
        var storage = Storage()
        storage.inet.sin6_family = sa_family_t(AF_UNIX)
        storage.process = UInt32(bitPattern: identifier)
        return SocketAddress(storage: storage, length: UInt32(nameOffset))
    }

    public var family: Int32 { Int32(storage.inet.sin6_family) }
    public var isUnix: Bool { family == AF_UNIX }

    /// The path of a unix socket that has a file.
    var unixPath: String? {
        guard isUnix, length > SocketAddress.nameOffset else { return nil }
        return withUnsafeBytes(of: storage) { bytes in
            let name = bytes[SocketAddress.nameOffset..<Int(length)]
            return name.first == 0 ? nil : String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// The port in host byte order; it stands at the same place in both families of IP. 0 for a unix socket.
    public var port: UInt16 { isUnix ? 0 : UInt16(bigEndian: storage.inet.sin6_port) }

    /// What clients are told apart by: the host without the port, as the two halves of an IPv6 address; an IPv4 address
    /// as the one that stands for it among IPv6 addresses (::ffff:a.b.c.d), and the process behind a unix socket as one
    /// that no connection can come from (of ff00::/8).
    var hostWords: (high: UInt64, low: UInt64) {
        withUnsafeBytes(of: storage) { bytes in
            if isUnix { return (.max, UInt64(storage.process)) }
            if family == AF_INET {
                return (
                    0,
                    0xffff_0000_0000
                        | UInt64(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
                )
            }
            return (
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            )
        }
    }

    /// The host in host byte order where it is an IPv4 address, as such or among IPv6 addresses.
    var ipv4Host: UInt32? {
        let (high, low) = hostWords
        return high == 0 && low >> 32 == 0xffff ? UInt32(truncatingIfNeeded: low) : nil
    }

    /// The same address; an IPv4 address that came in the form that IPv6 has for it as the IPv4 address that it is.
    var unmapped: SocketAddress {
        guard family == AF_INET6, let host = ipv4Host else { return self }
        return .ipv4(host, port: port)
    }

    /// Whether the address part is all zero: 0.0.0.0 or ::.
    public var isWildcard: Bool {
        !isUnix
            && withUnsafeBytes(of: storage) { bytes in
                let range = family == AF_INET ? 4..<8 : 8..<24
                return bytes[range].allSatisfy { $0 == 0 }
            }
    }

    /// Calls `body` with a `struct sockaddr` and its length in bytes, as system calls take them.
    public func withSockAddr<R>(_ body: (UnsafeRawPointer, UInt32) throws -> R) rethrows -> R {
        try withUnsafePointer(to: storage) { try body(UnsafeRawPointer($0), length) }
    }

    /// The address of the other end, of a unix socket the process; `nil` when that is not known, or it is gone.
    static func peer(of socket: Int32) -> SocketAddress? {
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 8) { buffer in
            var length = socklen_t(buffer.count)
            let address = buffer.baseAddress!
            guard shuttle_peer_address(socket, address, &length) == 0 else { return nil }
            if length >= socklen_t(nameOffset), address.loadUnaligned(as: sa_family_t.self) == AF_UNIX {
                // 0 where this process cannot see the other one: they are in different namespaces.
                let process = shuttle_peer_process(socket)
                return process > 0 ? .process(process) : nil
            }
            return SocketAddress(copying: address.assumingMemoryBound(to: sockaddr.self), length: Int(length))
        }
    }

    /// The address a socket is bound to; `nil` when it has none of the families kept here.
    public static func local(of socket: Int32) -> SocketAddress? {
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 8) { buffer in
            var length = socklen_t(buffer.count)
            let address = buffer.baseAddress!.assumingMemoryBound(to: sockaddr.self)
            guard getsockname(socket, address, &length) == 0 else { return nil }
            return SocketAddress(copying: address, length: Int(length))
        }
    }
}

extension SocketAddress: Hashable {
    public static func == (left: SocketAddress, right: SocketAddress) -> Bool {
        left.length == right.length
            && withUnsafeBytes(of: left.storage) { leftBytes in
                withUnsafeBytes(of: right.storage) { leftBytes.elementsEqual($0) }
            }
    }

    public func hash(into hasher: inout Hasher) {
        // What comes after is zero but for processes, of which there are no tables by this.
        withUnsafeBytes(of: storage) { hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: $0[0..<Int(length)])) }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `192.0.2.1:80` or `[2001:db8::1]:80`, numeric; `unix:/path`, `unix:@name`, or `unix:` and the number of a process.
    public var description: String {
        if isUnix { return "unix:\(unixName)" }
        return inetDescription
    }

    private var unixName: String {
        if let unixPath { return unixPath }
        guard length > SocketAddress.nameOffset else { return String(storage.process) }
        return withUnsafeBytes(of: storage) { bytes in
            "@" + String(decoding: bytes[(SocketAddress.nameOffset + 1)..<Int(length)], as: UTF8.self)
        }
    }

    private var inetDescription: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
            let isIPv4 = family == AF_INET
            let printed = withUnsafeBytes(of: storage) {
                inet_ntop(family, $0.baseAddress! + (isIPv4 ? 4 : 8), text.baseAddress!, socklen_t(text.count))
            }
            guard let printed else { return "unprintable address" }
            let host = String(cString: printed)
            return isIPv4 ? "\(host):\(port)" : "[\(host)]:\(port)"
        }
    }
}

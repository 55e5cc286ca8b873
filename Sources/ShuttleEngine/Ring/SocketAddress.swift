// Owns the binary form of a socket address and its comparison.
// Leaves to others: parsing what users write (Configuration/Endpoint) and resolving names (shuttled/Control).

import CURing
import Glibc

/// An IPv4 or IPv6 address with its port, as the kernel takes it; 28 bytes, no pointers.
public struct SocketAddress: Sendable {
    // A sockaddr_in6 is as large as any address kept here; sockaddr_in uses its first 16 bytes.
    private var storage: sockaddr_in6
    /// Bytes of the address that are meaningful, as passed to bind(2) and connect(2).
    public private(set) var length: UInt32

    private init(storage: sockaddr_in6, length: UInt32) {
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
        var storage = sockaddr_in6()
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
        return SocketAddress(storage: inet, length: UInt32(MemoryLayout<sockaddr_in6>.size))
    }

    public var family: Int32 { Int32(storage.sin6_family) }

    /// The port in host byte order; it stands at the same place in both families.
    public var port: UInt16 { UInt16(bigEndian: storage.sin6_port) }

    /// The host without the port, as the two halves of an IPv6 address; an IPv4 address as the one that stands for it
    /// among IPv6 addresses (::ffff:a.b.c.d).
    var hostWords: (high: UInt64, low: UInt64) {
        withUnsafeBytes(of: storage) { bytes in
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

    /// Whether the address part is all zero: 0.0.0.0 or ::.
    public var isWildcard: Bool {
        withUnsafeBytes(of: storage) { bytes in
            let range = family == AF_INET ? 4..<8 : 8..<24
            return bytes[range].allSatisfy { $0 == 0 }
        }
    }

    /// Calls `body` with a `struct sockaddr` and its length in bytes, as system calls take them.
    public func withSockAddr<R>(_ body: (UnsafeRawPointer, UInt32) throws -> R) rethrows -> R {
        try withUnsafePointer(to: storage) { try body(UnsafeRawPointer($0), length) }
    }

    /// The address of the other end; `nil` when it has none of the families kept here, or is gone.
    static func peer(of socket: Int32) -> SocketAddress? {
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 8) { buffer in
            var length = socklen_t(buffer.count)
            let address = buffer.baseAddress!
            guard shuttle_peer_address(socket, address, &length) == 0 else { return nil }
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
        withUnsafeBytes(of: storage) { hasher.combine(bytes: $0) }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `192.0.2.1:80` or `[2001:db8::1]:80`, numeric.
    public var description: String {
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

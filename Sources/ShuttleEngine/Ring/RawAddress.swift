// Owns a client's address as the kernel writes it, kept without looking at it: what a session costs is a copy of four words.
// Leaves to others: what it says (SocketAddress).

import Glibc

/// The first 32 bytes of a `struct sockaddr`; all zero where there is none.
struct RawAddress: Equatable {
    // No tuple, whose type would be looked up at run time where it is compared or optional.
    var first: UInt64 = 0
    var second: UInt64 = 0
    var third: UInt64 = 0
    var fourth: UInt64 = 0

    /// Of an address of IP; all zero for another.
    init(_ address: SocketAddress) {
        guard !address.isUnix else { return }
        address.withSockAddr { bytes, length in
            withUnsafeMutableBytes(of: &self) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: bytes, count: min($0.count, Int(length))))
            }
        }
    }

    @inline(__always)
    init() {}

    init(_ first: UInt64, _ second: UInt64, _ third: UInt64, _ fourth: UInt64) {
        (self.first, self.second, self.third, self.fourth) = (first, second, third, fourth)
    }

    /// An IPv4 address that came as one of IPv6 is told as what it is. Nil where it is not of IP.
    var address: SocketAddress? {
        let address = withUnsafeBytes(of: self) { SocketAddress(copying: $0.baseAddress!, length: $0.count) }
        guard let address, address.family == AF_INET6, let host = address.ipv4Host else { return address }
        return .ipv4(host, port: address.port)
    }
}

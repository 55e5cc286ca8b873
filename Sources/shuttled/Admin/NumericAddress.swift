// Owns comparing IP addresses whatever way they are written.
// Leaves to others: what addresses are allowed to do.

import CNIOLinux
import Glibc
import NIOCore

/// An IP address without port, IPv4 as it is embedded in IPv6: `127.0.0.1` and `::ffff:127.0.0.1` are the same.
struct NumericAddress: Equatable, Sendable {
    /// In the order of the network, 16 of them.
    private var bytes: [UInt8]

    /// Reads the strict forms only. What the resolver would take beyond them (`127.1`, `0x7f.0.0.1`) is a name here.
    init?(_ text: String) {
        var ipv4 = in_addr()
        if inet_pton(AF_INET, text, &ipv4) == 1 {
            self.init(ipv4)
            return
        }
        var ipv6 = in6_addr()
        guard inet_pton(AF_INET6, text, &ipv6) == 1 else {
            return nil
        }
        self.init(ipv6)
    }

    /// The IP address of a socket, if it has one.
    init?(_ address: NIOCore.SocketAddress) {
        guard let text = address.ipAddress else {
            return nil
        }
        self.init(text)
    }

    private init(_ address: in_addr) {
        bytes = Array(repeating: 0, count: 10) + [0xFF, 0xFF] + withUnsafeBytes(of: address) { Array($0) }
    }

    private init(_ address: in6_addr) {
        bytes = withUnsafeBytes(of: address) { Array($0) }
    }

    /// 127.0.0.0/8 or ::1.
    var isLoopback: Bool {
        if bytes.starts(with: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]) {
            return bytes[12] == 127
        }
        return bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
    }
}

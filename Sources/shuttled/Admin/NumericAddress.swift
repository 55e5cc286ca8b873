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
        let parsed: [UInt8]? = withUnsafeTemporaryAllocation(byteCount: 16, alignment: 4) { buffer in
            if inet_pton(AF_INET, text, buffer.baseAddress) == 1 {
                return [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF] + buffer[..<4]
            }
            return inet_pton(AF_INET6, text, buffer.baseAddress) == 1 ? Array(buffer) : nil
        }
        guard let parsed else {
            return nil
        }
        bytes = parsed
    }

    /// The IP address of a socket, if it has one.
    init?(_ address: NIOCore.SocketAddress) {
        guard let text = address.ipAddress else {
            return nil
        }
        self.init(text)
    }

    /// 127.0.0.0/8 or ::1.
    var isLoopback: Bool {
        if bytes.starts(with: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]) {
            return bytes[12] == 127
        }
        return bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
    }
}

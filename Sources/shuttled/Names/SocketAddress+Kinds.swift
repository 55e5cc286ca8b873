// Owns what the control side has to know about socket addresses beyond their bytes: loopback, mapped forms, ports.
// Leaves to others: the bytes themselves (ShuttleEngine's SocketAddress) and where they come from (SystemNames).

import Glibc
import ShuttleEngine

extension ShuttleEngine.SocketAddress {
    /// Whether only this machine can reach it: 127.0.0.0/8 or ::1.
    var isLoopback: Bool {
        withBytes { bytes in
            if family == AF_INET {
                return bytes[4] == 127
            }
            return bytes[8..<23].allSatisfy { $0 == 0 } && bytes[23] == 1
        }
    }

    /// Whether it is of fc00::/7: of a network that has nothing to do with others.
    var isUniqueLocal: Bool {
        family == AF_INET6 && withBytes { $0[8] & 0xFE == 0xFC }
    }

    /// The address alone, without brackets: `192.0.2.1` or `2001:db8::1`.
    var host: String {
        let text = description.dropLast(String(port).utf8.count + 1)
        return text.hasPrefix("[") ? String(text.dropFirst().dropLast()) : String(text)
    }

    /// The same host with another port.
    func with(port: UInt16) -> ShuttleEngine.SocketAddress {
        withBytes { bytes in
            withUnsafeTemporaryAllocation(byteCount: bytes.count, alignment: 8) { copy in
                copy.copyMemory(from: bytes)
                // The port stands at the same place in both families, in network order.
                copy.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
                // Both families are ones it takes, and the length came from an address of this type.
                return ShuttleEngine.SocketAddress(
                    copying: copy.baseAddress!, length: Int(length)
                )!
            }
        }
    }

    /// The IPv4 address that `::ffff:a.b.c.d` stands for, any other address as it is: a socket of either form is the
    /// same socket to the kernel.
    var unmapped: ShuttleEngine.SocketAddress {
        guard family == AF_INET6 else {
            return self
        }
        let mapped: UInt32? = withBytes { bytes in
            guard bytes[8..<18].allSatisfy({ $0 == 0 }), bytes[18] == 0xFF, bytes[19] == 0xFF else {
                return nil
            }
            return bytes[20..<24].reduce(0) { $0 << 8 | UInt32($1) }
        }
        return mapped.map { .ipv4($0, port: port) } ?? self
    }

    private func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withSockAddr { address, length in
            body(UnsafeRawBufferPointer(start: address, count: Int(length)))
        }
    }
}

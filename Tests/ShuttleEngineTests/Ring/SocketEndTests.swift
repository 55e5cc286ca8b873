// Owns that a socket tells of its peer's end, whether it was received or not, and of no other thing.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct SocketEndTests {
    private struct NoSocket: Error {}

    /// Two ends of a connection over the loopback.
    private func connection() throws -> (Int32, Int32) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let isConnected = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, length) == 0 && listen(listener, 1) == 0
                    && getsockname(listener, address, &length) == 0 && connect(client, address, length) == 0
            }
        }
        guard isConnected else { throw NoSocket() }
        return (client, accept(listener, nil, nil))
    }

    /// The loopback delivers before the call that sends returns.
    @Test(arguments: [false, true], [false, true])
    func anEndIsToldBeforeItIsReceived(hasUnreadBytes: Bool, isReset: Bool) throws {
        let (near, far) = try connection()
        defer { close(near) }
        #expect(!Socket.hasEnded(near))
        if hasUnreadBytes { #expect(write(far, "x", 1) == 1) }
        #expect(!Socket.hasEnded(near), "bytes are no end")
        if isReset { Socket.dropOnClose(far) }
        close(far)
        #expect(Socket.hasEnded(near))
    }

    @Test func aHalfClosedPeerHasEndedAndTheOtherSideHasNot() throws {
        let (near, far) = try connection()
        defer {
            close(near)
            close(far)
        }
        Socket.shutdownWrite(far)
        #expect(Socket.hasEnded(near) && !Socket.hasEnded(far))
    }

    @Test func theEndOfAUnixSocketIsToldAsWell() {
        var ends: [Int32] = [-1, -1]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        defer { close(ends[0]) }
        #expect(write(ends[1], "x", 1) == 1 && !Socket.hasEnded(ends[0]))
        close(ends[1])
        #expect(Socket.hasEnded(ends[0]))
    }
}

// Owns when a session gets its keepalive, and that the kernel takes the options as they are meant.

import Glibc
import Testing

@testable import ShuttleEngine

@Suite struct KeepaliveTests {
    private func keepalive(idle: UInt16) -> Keepalive { Keepalive(idleSeconds: idle, intervalSeconds: 7, count: 3) }

    /// Always before the kernel would have sent its first probe.
    @Test(arguments: [UInt16(1), 2, 10, 59, 60, 61, 3600, .max])
    func itIsThereInTime(idle: UInt16) {
        let deadline = keepalive(idle: idle).deadline(now: 5000)
        #expect(deadline > 5000 && deadline < 5000 + UInt64(idle) * 1000)
        #expect(deadline <= 35_000)
    }

    @Test func anHourIsNoReasonToWaitLonger() {
        #expect(keepalive(idle: 60).deadline(now: 100) == 30_100)
        #expect(keepalive(idle: 3600).deadline(now: 100) == 30_100)
        #expect(keepalive(idle: 4).deadline(now: 100) == 2100)
    }

    @Test func noneIsNeverDue() {
        #expect(keepalive(idle: 0).deadline(now: 5000) == .max)
    }

    @Test func theKernelTakesTheOptions() throws {
        let socket = try Socket.openStream(family: AF_INET).get()
        defer { Socket.close(socket) }
        Socket.setKeepalive(socket, Keepalive(idleSeconds: 32_767, intervalSeconds: 32_767, count: 127))
        #expect(option(socket, SOL_SOCKET, SO_KEEPALIVE) == 1)
        #expect(option(socket, Int32(IPPROTO_TCP), TCP_KEEPIDLE) == 32_767)
        #expect(option(socket, Int32(IPPROTO_TCP), TCP_KEEPINTVL) == 32_767)
        #expect(option(socket, Int32(IPPROTO_TCP), TCP_KEEPCNT) == 127)
        Socket.setUserTimeout(socket, milliseconds: 86_400_000)
        #expect(option(socket, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT) == 86_400_000)
    }

    private func option(_ socket: Int32, _ level: Int32, _ name: Int32) -> Int32 {
        var value: Int32 = -1
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(socket, level, name, &value, &length) == 0 ? value : -1
    }
}

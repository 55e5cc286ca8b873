// Owns that a service manager gets what it is told, in order, also when it does not take everything at once.

import Glibc
import Testing

@testable import shuttled

@Suite struct ManagerSocketTests {
    /// A manager's end, with room for little.
    private final class Receiver {
        let descriptor: Int32
        let path: String

        init(in folder: TemporaryFolder) throws {
            path = folder.path("notify")
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
            let outcome = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            try #require(outcome == 0)
        }

        deinit { close(descriptor) }

        func next() -> String? {
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
        }
    }

    @Test func linesAreOneDatagram() throws {
        let folder = try TemporaryFolder()
        let receiver = try Receiver(in: folder)
        let socket = try ManagerSocket(receiver.path)
        #expect(socket.tell(["READY=1", "STATUS=serving"]))
        #expect(receiver.next() == "READY=1\nSTATUS=serving")
        #expect(receiver.next() == nil)
    }

    /// The kernel keeps few datagrams of a unix socket (net.unix.max_dgram_qlen): what comes then waits here, the oldest is given
    /// up first.
    @Test func whatIsNotTakenWaits() throws {
        let folder = try TemporaryFolder()
        let receiver = try Receiver(in: folder)
        let socket = try ManagerSocket(receiver.path)
        for number in 0..<600 {
            #expect(socket.tell(["N=\(number)"]))
        }
        var got: [Int] = []
        func drain() {
            while let text = receiver.next() { got.append(Int(text.dropFirst(2))!) }
        }
        drain()
        let atFirst = got.count
        #expect(atFirst > 0 && atFirst < 600 && got == Array(0..<atFirst))
        // The last sixteen of what waited, in order, with what is new: as many at a time as the kernel takes.
        for number in 600...603 {
            #expect(socket.tell(["N=\(number)"]))
            drain()
        }
        #expect(Array(got.dropFirst(atFirst)) == Array(585...603))
    }

    @Test func nobodyThere() throws {
        let folder = try TemporaryFolder()
        let socket = try ManagerSocket(folder.path("none"))
        #expect(!socket.tell(["READY=1"]))
        #expect(!socket.tell(["READY=1"]))
    }

    @Test(arguments: ["", "notify", "@", "/", "vsock:1:2", "/" + String(repeating: "x", count: 107)])
    func placesThatAreNone(place: String) {
        #expect(throws: ManagerSocket.Unusable.self) { try ManagerSocket(place) }
    }

    @Test func theLongestName() throws {
        #expect(throws: Never.self) { try ManagerSocket("/" + String(repeating: "x", count: 106)) }
        #expect(throws: Never.self) { try ManagerSocket("@" + String(repeating: "x", count: 106)) }
    }
}

// Owns `-demo`: a configuration that works on any machine, and what to try with it.
// Leaves to others: the backends (DemoBackend), applying the configuration (Shuttled).

import Glibc
import NIOCore
import ShuttleEngine

/// Two backends inside this process, and a service in front of them.
struct Demo: Sendable {
    /// Where the service listens when nobody else does.
    static let usualPort = 8080

    let backends: [DemoBackend]
    private(set) var port = usualPort

    static func start(on loop: any EventLoop) async throws -> Demo {
        Demo(backends: [
            try await DemoBackend.start(named: "one", on: loop), try await DemoBackend.start(named: "two", on: loop),
        ])
    }

    private init(backends: [DemoBackend]) {
        self.backends = backends
    }

    /// Takes a port that is free now, because somebody has the usual one. Nil when there is none.
    mutating func moveToFreePort() -> Bool {
        guard let free = Demo.freePort() else {
            return false
        }
        port = free
        return true
    }

    var address: String { "127.0.0.1:\(port)" }

    var services: [ServiceConfiguration] {
        [
            ServiceConfiguration(
                name: "demo", address: address,
                backends: backends.map { backend in
                    let address = "127.0.0.1:\(backend.port)"
                    return BackendConfiguration(name: backend.name, address: address, checkAddress: address)
                }
            )
        ]
    }

    /// What to try, as lines to paste into a shell. `admin` is where the admin API listens: `host:port` or `unix:path`.
    func introduction(admin: String) -> String {
        let target = Demo.curlTarget(admin)
        let one = services[0].backends[0]
        let weighted = #"{"address": "\#(one.address)", "check_address": "\#(one.checkAddress)", "weight": 3}"#
        return """

            The service "demo" listens on \(address), in front of two HTTP backends inside this process.
            The admin API listens on \(admin). Try in another terminal:

            1. Load balancing: four connections go to the two backends by turns.
            curl -s 'http://\(address)/[1-4]'

            2. Live change: from now on backend one gets three of four connections.
            curl -s -X PUT -d '\(weighted)' \(target)/demo/one

            3. Statistics: connections and bytes of the service and of each backend.
            curl -s \(target)/demo

            Ctrl-C ends the demo.


            """
    }

    private static func curlTarget(_ admin: String) -> String {
        guard admin.hasPrefix("unix:") else {
            return "http://\(admin)"
        }
        let path = admin.dropFirst("unix:".count)
        let quoted = path.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#)
        return "--unix-socket '\(quoted)' http://localhost"
    }

    /// A port of 127.0.0.1 that nobody listens on now.
    private static func freePort() -> Int? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else {
            return nil
        }
        defer { close(descriptor) }
        let bound = ShuttleEngine.SocketAddress.loopbackIPv4(port: 0).withSockAddr {
            bind(descriptor, $0.assumingMemoryBound(to: sockaddr.self), $1)
        }
        guard bound == 0 else {
            return nil
        }
        return ShuttleEngine.SocketAddress.local(of: descriptor).map { Int($0.port) }
    }
}

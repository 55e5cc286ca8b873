// The demo: its backends answer, and what it prints is what works.

import Glibc
import NIOCore
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct DemoTests {
    /// Everything that a server sends to one request.
    private static func get(port: Int) -> String {
        let connection = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(connection) }
        guard
            Address.loopbackIPv4(port: UInt16(port)).withSockAddr({
                connect(connection, $0.assumingMemoryBound(to: sockaddr.self), $1)
            }) == 0
        else {
            return "no connection"
        }
        _ = FileCalls.system.write(connection, Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
        var answer: [UInt8] = []
        var byte: UInt8 = 0
        while read(connection, &byte, 1) == 1 {
            answer.append(byte)
        }
        return String(decoding: answer, as: UTF8.self)
    }

    @Test func itsBackendsSayWhoTheyAre() async throws {
        try await ControlTesting.onLoop { loop in
            let demo = try await Demo.start(on: loop)
            let ports = demo.backends.map(\.port)
            let answers = await Task.detached { ports.map { DemoTests.get(port: $0) } }.value
            #expect(answers[0].hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answers[0].hasSuffix("\r\n\r\nhello from backend one\n"))
            #expect(answers[1].hasSuffix("\r\n\r\nhello from backend two\n"))
        }
    }

    @Test func itsConfigurationIsValidAndMoves() async throws {
        try await ControlTesting.onLoop { loop in
            var demo = try await Demo.start(on: loop)
            #expect(demo.address == "127.0.0.1:8080")
            #expect(ConfigurationValidator.issues(in: demo.services).isEmpty)
            let moved = demo.moveToFreePort()
            #expect(moved && demo.port != 8080)
            #expect(demo.services[0].address == "127.0.0.1:\(demo.port)")
        }
    }

    @Test func itPrintsThreeCurlLines() async throws {
        try await ControlTesting.onLoop { loop in
            let demo = try await Demo.start(on: loop)
            func curls(_ admin: String) -> [String] {
                demo.introduction(admin: admin).split(separator: "\n").filter { $0.hasPrefix("curl ") }.map(String.init)
            }
            let lines = curls("127.0.0.1:9090")
            #expect(lines.count == 3)
            #expect(lines[0].contains("http://127.0.0.1:8080/"))
            #expect(lines[1].contains("-X PUT") && lines[1].hasSuffix(" http://127.0.0.1:9090/demo/one"))
            #expect(lines[2].hasSuffix(" http://127.0.0.1:9090/demo"))
            #expect(
                curls("unix:/a b/it's.sock")[2]
                    == #"curl -s --unix-socket '/a b/it'\''s.sock' http://localhost/demo"#
            )
            // The body is one that the API takes, and is about the backend as it is.
            let body = try #require(lines[1].split(separator: "'").first { $0.hasPrefix("{") })
            let backend = try ConfigurationDecoder.backend(parsing: Array(body.utf8), named: "one")
            #expect(backend.address == demo.services[0].backends[0].address && backend.weight == 3)
        }
    }
}

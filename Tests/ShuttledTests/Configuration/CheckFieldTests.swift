// The field `check`: that it is printed where it differs from the default and read back, and what is refused.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct CheckFieldTests {
    private static func service(_ check: String) throws -> ServiceConfiguration {
        try ConfigurationDecoder.service(
            parsing: Array(#"{"name": "web", "address": ":80", "check": \#(check)}"#.utf8)
        )
    }

    private static func printed(_ service: ServiceConfiguration) -> String {
        String(decoding: ConfigurationEncoder.bytes(of: service), as: UTF8.self)
    }

    @Test(arguments: [
        (
            #"{"type": "http", "path": "/health?x=1", "host": "www.example", "status": "200,204", "timeout": 700}"#,
            CheckConfiguration(
                type: .http, path: "/health?x=1", host: "www.example", status: "200,204", timeoutMilliseconds: 700
            )
        ),
        (
            #"{"type": "tcp_expect", "send": "PING\r\n", "expect": "hex:2b504f4e47"}"#,
            CheckConfiguration(type: .tcpExpect, send: "PING\r\n", expect: "hex:2b504f4e47")
        ),
        (
            #"{"type": "tls", "sni": "www.example", "verify": true}"#,
            CheckConfiguration(type: .tls, serverName: "www.example", verify: true)
        ),
        (#"{"type": "tls", "host": "www.example"}"#, CheckConfiguration(type: .tls, host: "www.example")),
    ])
    func whatIsReadIsPrintedAndReadAgain(_ text: String, _ check: CheckConfiguration) throws {
        let service = try Self.service(text)
        #expect(service.check == check)
        let printed = Self.printed(service)
        #expect(printed.contains(#""check": {"#))
        #expect(try ConfigurationDecoder.service(parsing: Array(printed.utf8)) == service)
    }

    @Test(arguments: ["{}", #"{"type": "tcp"}"#])
    func theDefaultIsNotPrinted(_ text: String) throws {
        let service = try Self.service(text)
        #expect(service.check == CheckConfiguration())
        #expect(!Self.printed(service).contains("check\""))
    }

    @Test(arguments: [
        (#"{"type": "ping"}"#, "/check/type", #"must be "tcp", "http", "tcp_expect" or "tls""#),
        (#"{"type": "tcp", "path": "/x"}"#, "/check/path", #"belongs to checks of type "http""#),
        (#"{"path": "/x"}"#, "/check/path", #"the type is "tcp""#),
        (#"{"type": "http", "path": "x"}"#, "/check/path", #"begins with "/""#),
        (#"{"type": "http", "path": 5}"#, "/check/path", "must be a path"),
        (#"{"type": "http", "status": "2xx"}"#, "/check/status", "200,204,300-399"),
        (#"{"type": "http", "status": 200}"#, "/check/status", "must be a string such as"),
        (#"{"type": "http", "timeout": 0}"#, "/check/timeout", "from 1 to 3600000"),
        (#"{"type": "http", "host": "a b"}"#, "/check/host", "a host and a port"),
        (#"{"type": "tcp_expect"}"#, "/check/expect", "is missing or empty"),
        (#"{"type": "tcp_expect", "expect": "hex:2"}"#, "/check/expect", "pairs of hexadecimal digits"),
        (#"{"type": "tcp_expect", "expect": "x", "send": "hex:zz"}"#, "/check/send", "hexadecimal"),
        (#"{"type": "tls", "sni": "10.0.0.1"}"#, "/check/sni", "not an address"),
        (#"{"type": "tls", "sni": "a.example", "host": "b.example"}"#, "/check/sni", "leave one of them out"),
        (#"{"type": "tls", "verify": "yes"}"#, "/check/verify", "true or false"),
        (#"{"type": "http", "pth": "/"}"#, "/check/pth", #"did you mean "path"?"#),
        (#""http""#, "/check", "an object with the fields"),
    ])
    func refusals(_ text: String, _ pointer: String, _ part: String) throws {
        let error = try #require(throws: ConfigurationDecodingError.self) { _ = try Self.service(text) }
        #expect(error.issues.map(\.pointer) == [pointer])
        #expect(error.issues.first?.detail.contains(part) == true, "\(error.issues)")
    }
}

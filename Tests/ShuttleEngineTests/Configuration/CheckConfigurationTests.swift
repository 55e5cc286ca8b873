// What a check may be configured with: which fields go together, status ranges, bytes, names.

import Testing

@testable import ShuttleEngine

@Suite struct CheckConfigurationTests {
    private static func faulty(_ check: CheckConfiguration) -> [String] {
        check.problems.map(\.field)
    }

    @Test func defaultsAreFine() {
        #expect(CheckConfiguration().problems.isEmpty)
        #expect(CheckConfiguration(type: .http).problems.isEmpty)
        #expect(CheckConfiguration(type: .tls).problems.isEmpty)
    }

    @Test func everyTypeWithAllItsFields() {
        let checks = [
            CheckConfiguration(
                type: .http, path: "/a?b=c", host: "a.example:80", status: "200", timeoutMilliseconds: 1
            ),
            CheckConfiguration(type: .tcpExpect, send: "PING\r\n", expect: "+PONG", timeoutMilliseconds: 1),
            CheckConfiguration(type: .tls, host: "a.example", verify: true, timeoutMilliseconds: 1),
            CheckConfiguration(type: .tls, serverName: "a.example", verify: true, timeoutMilliseconds: 1),
        ]
        #expect(checks.map(Self.faulty) == [[], [], [], []])
    }

    @Test func fieldsOfAnotherTypeAreRefused() {
        let all = CheckConfiguration(
            path: "/x", host: "x", status: "200", send: "x", expect: "x", serverName: "x", verify: true,
            timeoutMilliseconds: 1
        )
        func stray(_ type: CheckType) -> [String] {
            var check = all
            check.type = type
            return Self.faulty(check)
        }
        #expect(stray(.tcp) == ["path", "host", "status", "send", "expect", "sni", "verify", "timeout"])
        #expect(stray(.http) == ["send", "expect", "sni", "verify"])
        #expect(stray(.tcpExpect) == ["path", "host", "status", "sni", "verify"])
        #expect(stray(.tls) == ["path", "status", "send", "expect", "sni"], "and one name too many")
        let detail = CheckConfiguration(path: "/x").problems.first?.detail
        #expect(
            detail == #""path" belongs to checks of type "http", and the type is "tcp"; remove it, or change the type"#)
        #expect(CheckConfiguration(host: "x").problems.first?.detail.contains(#"type "http" or "tls","#) == true)
    }

    @Test func anExpectationIsNeeded() {
        #expect(Self.faulty(CheckConfiguration(type: .tcpExpect, send: "x")) == ["expect"])
    }

    @Test(arguments: ["", "x", "*", "/a b", "/ü", "/a#b", "/a\r\nX: y", "/" + String(repeating: "x", count: 1024)])
    func badPaths(_ path: String) {
        #expect(Self.faulty(CheckConfiguration(type: .http, path: path)) == ["path"])
    }

    @Test(arguments: ["a b", "a\r\nX: y", "ü.example", "a/b", "user@a", String(repeating: "x", count: 254)])
    func badHosts(_ host: String) {
        #expect(Self.faulty(CheckConfiguration(type: .http, host: host)) == ["host"])
        #expect(Self.faulty(CheckConfiguration(type: .tls, host: host)) == ["host"])
    }

    @Test(arguments: ["10.0.0.1", "a.example:443", "fd00::1", "[fd00::1]", "127.1", "1"])
    func addressesAreNoServerNames(_ name: String) {
        #expect(Self.faulty(CheckConfiguration(type: .tls, serverName: name)) == ["sni"])
        #expect(!CheckConfiguration.isServerName(name))
    }

    @Test(arguments: ["a", "a.example", "1.example", "a-b_c.example.", "xn--bcher-kva.example"])
    func serverNames(_ name: String) {
        #expect(CheckConfiguration.isServerName(name))
    }

    // MARK: Status

    @Test func statusRanges() throws {
        let ranges = try #require(StatusRanges("200,204,300-399"))
        let good = (0...700).filter(ranges.contains)
        #expect(good == [200, 204] + Array(300...399))
        #expect(ranges.description == "200,204,300-399")
        #expect(StatusRanges("100-599").map { ranges in (100...599).allSatisfy(ranges.contains) } == true)
        #expect(StatusRanges(Array(repeating: "200", count: 32).joined(separator: ",")) != nil)
    }

    @Test(arguments: [
        "", " 200", "200 ", "200, 204", "20", "2000", "2xx", "200-", "-299", "299-200", "200-250-299", "200,,204",
        ",200",
        "099", "600", "200-600", "+20", "٢٠٠", String(repeating: "200,", count: 32) + "200",
    ])
    func badStatusRanges(_ text: String) {
        #expect(StatusRanges(text) == nil)
        #expect(Self.faulty(CheckConfiguration(type: .http, status: text)) == ["status"])
    }

    // MARK: Bytes

    @Test func textAndHexadecimal() {
        #expect(CheckBytes.bytes(of: "") == [])
        #expect(CheckBytes.bytes(of: "PING\r\n") == Array("PING\r\n".utf8))
        #expect(CheckBytes.bytes(of: "ü") == [0xC3, 0xBC])
        #expect(CheckBytes.bytes(of: "hex:00fF0a") == [0, 255, 10])
        #expect(CheckBytes.bytes(of: "HEX:00") == Array("HEX:00".utf8))
        #expect(CheckBytes.bytes(of: "hex:6865783a") == Array("hex:".utf8), "text that begins like hexadecimal")
        for byte in UInt8.min...UInt8.max {
            let digits = (byte < 16 ? "0" : "") + String(byte, radix: 16)
            #expect(CheckBytes.bytes(of: "hex:\(digits)") == [byte])
        }
    }

    @Test(arguments: ["hex:", "hex:0", "hex:0g", "hex:00 01", "hex:0x00", "hex:000"])
    func badHexadecimal(_ text: String) {
        #expect(CheckBytes.bytes(of: text) == nil)
        #expect(Self.faulty(CheckConfiguration(type: .tcpExpect, send: text, expect: "x")) == ["send"])
        #expect(Self.faulty(CheckConfiguration(type: .tcpExpect, expect: text)) == ["expect"])
    }

    @Test func theyAreBounded() {
        let max = ConfigurationRanges.checkBytes.upperBound
        #expect(CheckBytes.bytes(of: String(repeating: "x", count: max))?.count == max)
        #expect(CheckBytes.bytes(of: String(repeating: "x", count: max + 1)) == nil)
        #expect(CheckBytes.bytes(of: "hex:" + String(repeating: "00", count: max))?.count == max)
        #expect(CheckBytes.bytes(of: "hex:" + String(repeating: "00", count: max + 1)) == nil)
    }
}

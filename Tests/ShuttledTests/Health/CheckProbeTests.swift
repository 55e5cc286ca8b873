// What the configuration of a check comes to, above all where it leaves a name out.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct CheckProbeTests {
    private static func probe(
        _ check: CheckConfiguration, at checkAddress: String = "10.0.0.1:81", of address: String = "10.0.0.1:80"
    ) -> CheckProbe {
        CheckProbe(check, checkAddress: checkAddress, backendAddress: address)
    }

    @Test func aConnectUnlessSomethingElseIsSaid() {
        #expect(Self.probe(CheckConfiguration()) == .connect)
    }

    @Test func theHostHeaderIsTheAddressThatIsChecked() {
        func host(_ host: String, at address: String) -> String? {
            let check = CheckConfiguration(type: .http, host: host)
            guard case .http(let question) = Self.probe(check, at: address, of: "one.example:80") else {
                return nil
            }
            #expect(question.path == "/" && question.status == StatusRanges("200-399"))
            return question.host
        }
        #expect(host("", at: "backend.example:8080") == "backend.example:8080")
        #expect(host("", at: "[fd00::1]:8080") == "[fd00::1]:8080")
        #expect(host("www.example", at: "backend.example:8080") == "www.example")
        #expect(host("", at: ":8080") == "one.example:8080", "of a backend from SRV records")
        #expect(host("", at: "srv:_web._tcp.example") == "one.example:80")
        #expect(host("", at: "/run/app.sock") == "localhost" && host("", at: "unix:@app") == "localhost")
    }

    @Test func bytesAreTextOrHexadecimal() {
        let check = CheckConfiguration(type: .tcpExpect, send: "PING\r\n", expect: "hex:2b504f4e47")
        let expected = ExpectedAnswer(send: Array("PING\r\n".utf8), expect: Array("+PONG".utf8))
        #expect(Self.probe(check) == .expect(expected))
    }

    @Test func theServerNameIsTheOneGivenOrTheFirstHostThatIsAName() {
        func name(host: String = "", sni: String = "", at checkAddress: String, of address: String) -> String? {
            let check = CheckConfiguration(type: .tls, host: host, serverName: sni, verify: true)
            guard case .tls(let peer) = Self.probe(check, at: checkAddress, of: address), peer.isVerified else {
                Issue.record("no TLS that is verified")
                return nil
            }
            return peer.serverName
        }
        #expect(name(sni: "a.example", at: "c.example:1", of: "d.example:1") == "a.example")
        #expect(name(host: "b.example", at: "c.example:1", of: "d.example:1") == "b.example")
        #expect(name(at: "c.example:1", of: "d.example:1") == "c.example")
        #expect(name(at: "10.0.0.1:1", of: "d.example:1") == "d.example")
        #expect(name(at: "[fd00::1]:1", of: "d.example.:1") == "d.example")
        #expect(name(at: "[fd00::1]:1", of: "10.0.0.1:1") == nil)
    }
}

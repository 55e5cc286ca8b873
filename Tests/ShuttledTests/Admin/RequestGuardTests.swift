// Who may call: every rule about Host, Origin and Sec-Fetch-Site, and what must not slip through beside them.

import Hummingbird
import NIOCore
import Testing

@testable import shuttled

@Suite struct RequestGuardTests {
    private typealias FieldName = HTTPFields.Element.Name

    private static let loopback = address("127.0.0.1")
    private static let loopback6 = address("::1")
    private static let mapped = address("::ffff:127.0.0.1")
    private static let outside = address("192.0.2.7")
    private static let http = address("127.0.0.1", port: 80)
    private static let unix: NIOCore.SocketAddress = {
        guard let address = try? NIOCore.SocketAddress(unixDomainSocketPath: "/run/shuttle.sock") else {
            preconditionFailure("the path is short enough")
        }
        return address
    }()

    private static func address(_ text: String, port: Int = 9090) -> NIOCore.SocketAddress {
        guard let address = try? NIOCore.SocketAddress(ipAddress: text, port: port) else {
            preconditionFailure("\(text) is an IP address")
        }
        return address
    }

    private func refusal(
        host: String? = "127.0.0.1:9090", _ fields: [(String, String)] = [], at local: NIOCore.SocketAddress = loopback,
        boundTo: String = "127.0.0.1:9090", further: [String] = [], method: HTTPRequest.Method = .get
    ) throws -> ProblemDetails.Kind? {
        var headers = HTTPFields()
        for (name, value) in fields {
            headers.append(.init(name: try #require(FieldName(name)), value: value))
        }
        let request = HTTPRequest(
            method: method, scheme: "http", authority: host, path: "/config", headerFields: headers
        )
        let hosts = AllowedHosts(
            boundTo: try AdminAddress(parsing: boundTo), further: try further.map { try AllowedHosts.rule(parsing: $0) }
        )
        return RequestGuard(hosts: hosts).refusal(of: request, arrivedAt: local)?.kind
    }

    // MARK: Host

    @Test(arguments: [
        "127.0.0.1:9090", "localhost:9090", "LOCALHOST:9090", "LocalHost:9090", "127.0.0.2:9090", "[::1]:9090",
        "[0:0:0:0:0:0:0:1]:9090", "[::ffff:127.0.0.1]:9090",
    ])
    func loopbackIsNamedInTheseWays(_ host: String) throws {
        #expect(try refusal(host: host) == nil)
        #expect(try refusal(host: host, at: Self.loopback6, boundTo: "[::1]:9090") == nil)
        #expect(try refusal(host: host, at: Self.mapped, boundTo: "[::1]:9090") == nil)
    }

    @Test(arguments: [
        "evil.example:9090", "127.0.0.1.evil.example:9090", "127.evil.example:9090", "localhost.evil.example:9090",
        "evil-localhost:9090", "localhost.:9090", "127.0.0.1:9091", "127.0.0.1:80", "127.0.0.1", "localhost", "[::1]",
        "[::2]:9090", "10.0.0.1:9090", "0.0.0.0:9090", "[::]:9090", "192.0.2.7:9090", "[::ffff:192.0.2.7]:9090",
        "xn--lcalhost-54a:9090",
    ])
    func otherHostsAreForeign(_ host: String) throws {
        #expect(try refusal(host: host) == .foreignHost)
    }

    @Test(arguments: [
        "", ":9090", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:+9090", "127.0.0.1:09090", "::1:9090",
        "::1", "[::1:9090", "[::1]9090", "[127.0.0.1]:9090", "localhost:9090:9090", "user@localhost:9090",
        "http://localhost:9090", "localhost:9090/", "local host:9090", "localhost:9090,evil.example",
        "127.0.0.1:9090\u{0}x", "lócalhost:9090", "127.1:9090", "2130706433:9090", "0x7f000001:9090", "0177.0.0.1:9090",
        "localhost:http", "*:9090", "/run/admin.sock", "unix:/run/admin.sock",
    ])
    func whatIsNoHostIsRefusedAsSuch(_ host: String) throws {
        #expect(try refusal(host: host) == .malformedRequest)
    }

    @Test func withoutPortItIsThatOfHTTP() throws {
        #expect(try refusal(host: "localhost", at: Self.http) == nil)
        #expect(try refusal(host: "127.0.0.1:80", at: Self.http) == nil)
        #expect(try refusal(host: "[::1]", at: Self.http) == nil)
        #expect(try refusal(host: "localhost:9090", at: Self.http) == .foreignHost)
    }

    @Test func oneHostIsNeeded() throws {
        #expect(try refusal(host: nil) == .malformedRequest)
        #expect(try refusal(host: "127.0.0.1:9090", [("Host", "127.0.0.1:9090")]) == .malformedRequest)
        #expect(try refusal(host: "127.0.0.1:9090", [("host", "evil.example")]) == .malformedRequest)
    }

    @Test(arguments: [":9090", "192.0.2.7:9090"])
    func outsideLoopbackItsNamesAreForeign(_ boundTo: String) throws {
        #expect(try refusal(host: "192.0.2.7:9090", at: Self.outside, boundTo: boundTo) == nil)
        for host in ["localhost:9090", "127.0.0.1:9090", "[::1]:9090", "192.0.2.8:9090", "192.0.2.7:9091"] {
            #expect(try refusal(host: host, at: Self.outside, boundTo: boundTo) == .foreignHost, "\(host)")
        }
    }

    @Test func theNameItIsBoundToIsItsOwn() throws {
        #expect(try refusal(host: "Proxy.Example:9090", boundTo: "proxy.example:9090") == nil)
        #expect(try refusal(host: "proxy.example:9091", boundTo: "proxy.example:9090") == .foreignHost)
        #expect(try refusal(host: "proxy.example", boundTo: "proxy.example:9090") == .foreignHost)
        #expect(try refusal(host: "other.example:9090", boundTo: "proxy.example:9090") == .foreignHost)
        // Port 0 became another one.
        #expect(try refusal(host: "proxy.example:9090", boundTo: "proxy.example:0") == nil)
    }

    @Test func furtherNamesAreAllowed() throws {
        let further = ["admin.example", "admin.other:8443", "10.1.2.3", "[fd00::1]:7000"]
        for host in [
            "admin.example", "admin.example:1", "ADMIN.example:9090", "admin.other:8443", "10.1.2.3:99",
            "[fd00:0::1]:7000",
        ] {
            #expect(try refusal(host: host, further: further) == nil, "\(host)")
        }
        for host in ["admin.other", "admin.other:9090", "sub.admin.example", "[fd00::1]:7001", "[fd00::1]", "10.1.2.4"]
        {
            #expect(try refusal(host: host, further: further) == .foreignHost, "\(host)")
        }
    }

    @Test(arguments: [
        "", "a b", "http://admin.example", "admin.example:", "admin.example:0", "*.example", ":9090", "/x",
    ])
    func furtherNamesMustBeHosts(_ text: String) {
        #expect(throws: AdminAddress.ParsingError.self) { try AllowedHosts.rule(parsing: text) }
    }

    @Test func aUnixSocketIgnoresHost() throws {
        for host in [nil, "", "localhost", "evil.example", "a b"] {
            #expect(try refusal(host: host, at: Self.unix, boundTo: "/run/shuttle.sock") == nil)
        }
        #expect(try refusal([("Host", "x")], at: Self.unix, boundTo: "/run/shuttle.sock") == nil)
    }

    // MARK: Origin

    @Test(arguments: ["http://127.0.0.1:9090", "http://localhost:9090", "HTTP://localhost:9090", "http://[::1]:9090"])
    func ownOriginsMayCall(_ origin: String) throws {
        #expect(try refusal([("Origin", origin)]) == nil)
        #expect(try refusal([("Origin", origin)], method: .put) == nil)
    }

    @Test(arguments: [
        "null", "", "http://evil.example", "http://evil.example:9090", "https://127.0.0.1:9090",
        "http://127.0.0.1:9091",
        "http://127.0.0.1", "http://localhost", "http://localhost:3000", "ftp://localhost:9090", "localhost:9090",
        "http://localhost:9090/", "http://localhost:9090@evil.example", "http://127.0.0.1:9090.evil.example",
        "http://localhost:9090 http://evil.example", "file://", "chrome-extension://abc",
    ])
    func otherOriginsAreForeign(_ origin: String) throws {
        #expect(try refusal([("Origin", origin)]) == .foreignOrigin)
        #expect(try refusal([("Origin", origin)], method: .put) == .foreignOrigin)
    }

    @Test func everyOriginMustBeOwn() throws {
        let fields = [("Origin", "http://127.0.0.1:9090"), ("Origin", "http://evil.example")]
        #expect(try refusal(fields) == .foreignOrigin)
        #expect(try refusal(fields.reversed()) == .foreignOrigin)
    }

    @Test func anOriginWithAFurtherNameMustHaveThePortThatIsCalled() throws {
        let further = ["admin.example"]
        func check(_ host: String, _ origin: String) throws -> ProblemDetails.Kind? {
            try refusal(host: host, [("Origin", origin)], further: further)
        }
        #expect(try check("admin.example", "http://admin.example") == nil)
        #expect(try check("admin.example:8080", "http://admin.example:8080") == nil)
        // Another program on the same host is another site.
        #expect(try check("admin.example", "http://admin.example:3000") == .foreignOrigin)
        #expect(try check("127.0.0.1:9090", "http://admin.example") == .foreignOrigin)
    }

    /// A TLS proxy that passes `Host` on: the page was loaded from where it calls, by a name that we were told of.
    @Test func behindTLSAnOriginMustBeWhatIsCalledAndKnown() throws {
        func check(_ host: String, _ origin: String, _ further: [String] = ["admin.example"]) throws
            -> ProblemDetails.Kind?
        {
            try refusal(host: host, [("Origin", origin)], further: further, method: .patch)
        }
        #expect(try check("admin.example", "https://admin.example") == nil)
        #expect(try check("Admin.example:8443", "HTTPS://admin.example:8443") == nil)
        #expect(try check("admin.example:8443", "https://admin.example:8443", ["admin.example:8443"]) == nil)
        #expect(try check("admin.example", "https://admin.example:8443") == .foreignOrigin)
        #expect(try check("admin.example:8443", "https://admin.example") == .foreignOrigin)
        let both = ["admin.example", "other.example"]
        #expect(try check("admin.example", "https://other.example", both) == .foreignOrigin)
        #expect(try check("127.0.0.1:9090", "https://admin.example") == .foreignOrigin)
        #expect(try check("127.0.0.1:9090", "https://127.0.0.1:9090") == .foreignOrigin)
        #expect(try check("localhost:9090", "https://localhost:9090") == .foreignOrigin)
        let own = [("Origin", "https://admin.example")]
        #expect(try refusal(own, at: Self.unix, boundTo: "/run/s", further: ["admin.example"]) == nil)
        #expect(try refusal(own, at: Self.unix, boundTo: "/run/s") == .foreignOrigin)
    }

    @Test func onAUnixSocketOnlyFurtherNamesAreOwn() throws {
        for origin in ["http://localhost", "http://127.0.0.1:9090", "null"] {
            #expect(try refusal([("Origin", origin)], at: Self.unix, boundTo: "/run/s") == .foreignOrigin)
        }
        let further = ["admin.example"]
        let own = [("Origin", "http://admin.example")]
        #expect(try refusal(own, at: Self.unix, boundTo: "/run/s", further: further) == nil)
    }

    // MARK: Sec-Fetch-Site and framing

    @Test(arguments: ["none", "same-origin"])
    func theseFetchesAreOwn(_ site: String) throws {
        #expect(try refusal([("Sec-Fetch-Site", site)]) == nil)
    }

    /// Another port of the same machine is the same site, and not ours.
    @Test(arguments: ["cross-site", "same-site", "", "None", "same-origin, cross-site", "anything"])
    func otherFetchesAreForeign(_ site: String) throws {
        #expect(try refusal([("Sec-Fetch-Site", site)]) == .foreignOrigin)
        #expect(try refusal([("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", site)]) == .foreignOrigin)
        #expect(try refusal([("Sec-Fetch-Site", site)], at: Self.unix, boundTo: "/run/s") == .foreignOrigin)
    }

    @Test func aBodyHasOneLength() throws {
        let both = [("Content-Length", "5"), ("Transfer-Encoding", "chunked")]
        #expect(try refusal(both) == .malformedRequest)
        #expect(try refusal(both, at: Self.unix, boundTo: "/run/s") == .malformedRequest)
        #expect(try refusal([both[0]]) == nil)
        #expect(try refusal([both[1]]) == nil)
    }

    @Test func theDetailSaysWhatWouldHelp() throws {
        let request = HTTPRequest(method: .get, scheme: "http", authority: "evil.example:9090", path: "/")
        let problem = try #require(
            RequestGuard(hosts: AllowedHosts(boundTo: .standard)).refusal(of: request, arrivedAt: Self.loopback)
        )
        #expect(problem.detail.contains("\"evil.example:9090\""))
        #expect(problem.detail.contains("127.0.0.1:9090"))
        #expect(problem.detail.contains("-http-host"))
    }
}

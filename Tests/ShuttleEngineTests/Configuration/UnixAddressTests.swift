// The address of a unix socket in text: what is read, what is the same, what is refused and how that reads; what may be
// said of its file.

import Testing

@testable import ShuttleEngine

@Suite struct UnixAddressTests {
    @Test(arguments: [
        ("/run/app.sock", "unix:/run/app.sock"), ("unix:/run/app.sock", "unix:/run/app.sock"),
        ("unix:///run//app.sock", "unix:/run/app.sock"), ("/./run/./app.sock", "unix:/run/app.sock"),
        ("/run/with space:80", "unix:/run/with space:80"), ("/...", "unix:/..."), ("/a/.b", "unix:/a/.b"),
        ("unix:@app", "unix:@app"), ("unix:@/run//x", "unix:@/run//x"), ("unix:@ ", "unix:@ "), ("/@x", "unix:/@x"),
        ("/é", "unix:/é"),
    ])
    func forms(_ text: String, _ canonical: String) throws {
        let address = try UnixAddress(parsing: text)
        #expect(address.description == canonical)
        #expect(try UnixAddress(parsing: canonical) == address, "it is read back as the same")
        #expect(try ListenAddress(parsing: text) == .unix(address))
        #expect(try BackendAddress(parsing: text) == .unix(address))
    }

    @Test(arguments: [
        ("unix:", UnixAddressFault.empty), ("unix:@", .empty), ("unix:run/x", .relative), ("unix:80", .relative),
        ("unix: /x", .relative), ("/", .folder), ("unix:/", .folder), ("/run/", .folder), ("/run/.", .folder),
        ("//", .folder),
        ("/run/../x", .parent), ("/..", .parent), ("/a\u{0}b", .controlCharacter), ("unix:@a\nb", .controlCharacter),
        ("/" + String(repeating: "x", count: 107), .length(108)),
        ("unix:@" + String(repeating: "é", count: 54), .length(108)),
    ])
    func refusals(_ text: String, _ fault: UnixAddressFault) throws {
        for parse in [{ _ = try UnixAddress(parsing: $0) }, { _ = try ListenAddress(parsing: $0) }]
            as [(String) throws -> Void]
        {
            let error = try #require(throws: EndpointError.self) { try parse(text) }
            #expect(error == .unix(text, fault))
            #expect(error.text == text && !error.explanation.isEmpty)
        }
    }

    @Test func theLongestOnes() throws {
        let path = "/" + String(repeating: "x", count: 106)
        #expect(try UnixAddress(parsing: path).name == path)
        #expect(try UnixAddress(parsing: "unix:@" + path).isAbstract)
        // What goes away does not count.
        #expect(try UnixAddress(parsing: "/./" + path).name == path)
    }

    /// The kernel compares bytes, Swift's strings what they look like.
    @Test func bytesCount() throws {
        let (composed, decomposed) = ("/\u{E9}", "/e\u{301}")
        #expect(composed == decomposed)
        #expect(try UnixAddress(parsing: composed) != UnixAddress(parsing: decomposed))
        #expect(try UnixAddress(parsing: "/x") != UnixAddress(parsing: "unix:@/x"))
        #expect(try Set(["/x", "unix:/x", "unix:@x"].map { try UnixAddress(parsing: $0) }).count == 2)
    }

    @Test func remedies() {
        func words(_ text: String) -> String {
            (#expect(throws: EndpointError.self) { try UnixAddress(parsing: text) })?.explanation ?? ""
        }
        #expect(words("unix:run/x").contains("must start with /") && words("unix:run/x").contains("unix:@"))
        #expect(words("/" + String(repeating: "x", count: 200)).contains("201 bytes"))
        #expect(words("/a/../b").contains("\"..\""))
    }

    @Test func otherAddressesAreStillOnesOfTCP() throws {
        #expect(try ListenAddress(parsing: ":80") == .tcp(.wildcard(port: 80)))
        #expect(try ListenAddress(parsing: "LOCALHOST:80").description == "localhost:80")
        #expect(throws: EndpointError.portMissing("@app")) { try ListenAddress(parsing: "@app") }
    }
}

@Suite struct UnixRulesTests {
    private func issues(
        _ address: String, _ backends: [String] = [], _ change: (inout ServiceConfiguration) -> Void = { _ in }
    ) -> [ConfigurationIssue] {
        let backends = backends.enumerated().map { BackendConfiguration(name: "b\($0)", address: $1) }
        var service = ServiceConfiguration(name: "a", address: address, backends: backends)
        change(&service)
        return ConfigurationValidator.issues(in: service)
    }

    @Test func theSameSocketTwiceIsRefusedHoweverItIsWritten() {
        let services = [("a", "/run//x"), ("b", "unix:/run/x"), ("c", "unix:@run/x")].map {
            ServiceConfiguration(name: $0, address: $1)
        }
        #expect(ConfigurationValidator.issues(in: services).map(\.pointer) == ["/0/address", "/1/address"])
    }

    @Test(arguments: ["0660", "660", "0000", "777"]) func modes(_ mode: String) {
        #expect(issues("/run/x") { $0.socketMode = mode }.isEmpty)
        #expect(SocketPermissions.mode(of: mode) == UInt32(mode, radix: 8))
    }

    @Test(arguments: ["", "66", "1660", "4755", "00660", "0668", "0x1b", "u=rw", "-660", " 660"]) func otherModes(
        _ mode: String
    ) {
        let found = issues("/run/x") { $0.socketMode = mode }
        #expect(found.map(\.pointer) == ["/socket_mode"])
        #expect(found.allSatisfy { $0.detail.contains("octal") && $0.detail.contains(Quoted(mode).description) })
    }

    @Test(arguments: ["www-data", "33", "0", "4294967294", "user@realm", "DOMAIN\\user"]) func owners(_ name: String) {
        #expect(issues("/run/x") { $0.socketOwner = name }.isEmpty)
        #expect(issues("/run/x") { $0.socketGroup = name }.isEmpty)
        #expect(SocketPermissions.number(of: name) == UInt32(name))
    }

    @Test(arguments: ["4294967295", "99999999999", "a b", "a:b", "a/b", "-1", "a\u{0}", "a,b"]) func otherOwners(
        _ name: String
    ) {
        #expect(issues("/run/x") { $0.socketOwner = name }.map(\.pointer) == ["/socket_owner"])
        #expect(issues("/run/x") { $0.socketGroup = name }.map(\.pointer) == ["/socket_group"])
    }

    @Test(arguments: [("127.0.0.1:80", "a file"), (":80", "a file"), ("unix:@x", "abstract namespace")])
    func whatHasNoFile(_ address: String, _ words: String) {
        for (pointer, change) in [
            ("/socket_mode", { $0.socketMode = "0600" }), ("/socket_owner", { $0.socketOwner = "root" }),
            ("/socket_group", { $0.socketGroup = "0" }),
        ] as [(String, (inout ServiceConfiguration) -> Void)] {
            let found = issues(address, change)
            #expect(found.map(\.pointer) == [pointer])
            #expect(found.allSatisfy { $0.detail.contains("no file") && $0.detail.contains("address") })
        }
    }

    private func issues(_ address: String, _ change: (inout ServiceConfiguration) -> Void) -> [ConfigurationIssue] {
        issues(address, [], change)
    }

    @Test func settingsOfTCPNeedASideThatSpeaksIt() {
        let settings: [(String, (inout ServiceConfiguration) -> Void)] = [
            ("/keepalive", { $0.keepalive.idleMilliseconds = 5000 }),
            ("/user_timeout", { $0.userTimeoutMilliseconds = 1 }),
        ]
        for (pointer, change) in settings {
            #expect(issues("/run/x", ["/run/y", "unix:@y"], change).map(\.pointer) == [pointer])
            #expect(issues("/run/x", ["/run/y", "10.0.0.1:80"], change).isEmpty)
            #expect(issues(":80", ["/run/y"], change).isEmpty)
            #expect(issues("/run/x", [], change).isEmpty, "backends may come")
        }
        // Switched off it asks for nothing.
        #expect(issues("/run/x", ["/run/y"]) { $0.keepalive.idleMilliseconds = 0 }.isEmpty)
        let source: (inout ServiceConfiguration) -> Void = { $0.sourceAddresses = ["127.0.0.1"] }
        #expect(issues(":80", ["/run/y"], source).map(\.pointer) == ["/source_address"])
        #expect(issues(":80", ["/run/y", "10.0.0.1:80"], source).isEmpty)
        #expect(issues("/run/x", ["10.0.0.1:80"], source).isEmpty)
    }

    @Test(arguments: [
        ("/run/x", "/run/y", true), ("/run/x", "10.0.0.1:80", true), ("10.0.0.1:80", "unix:@x", true),
        ("/run/x", ":80", false), ("/run/x", "srv:_a._tcp.test", false), ("srv:_a._tcp.test", "/run/x", false),
    ])
    func checksBeyondTheAddress(_ address: String, _ checkAddress: String, _ isFine: Bool) {
        let backend = BackendConfiguration(name: "b", address: address, checkAddress: checkAddress)
        #expect(ConfigurationValidator.issues(in: backend).map(\.pointer) == (isFine ? [] : ["/check_address"]))
    }
}

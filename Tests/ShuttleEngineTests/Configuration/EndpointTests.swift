// Which texts are addresses, what they mean, and what is said of those that are not.

import ShuttleEngine
import Testing

@Suite struct EndpointTests {
    /// Text, meaning, canonical form.
    static let accepted: [(String, Endpoint, String)] = [
        ("127.0.0.1:80", .host("127.0.0.1", port: 80), "127.0.0.1:80"),
        ("0.0.0.0:1", .host("0.0.0.0", port: 1), "0.0.0.0:1"),
        ("255.255.255.255:65535", .host("255.255.255.255", port: 65535), "255.255.255.255:65535"),
        ("localhost:8080", .host("localhost", port: 8080), "localhost:8080"),
        ("Web-1.Example.COM:443", .host("web-1.example.com", port: 443), "web-1.example.com:443"),
        ("my_service:80", .host("my_service", port: 80), "my_service:80"),
        ("example.com.:80", .host("example.com.", port: 80), "example.com.:80"),
        ("1a:80", .host("1a", port: 80), "1a:80"),
        ("3com.example:80", .host("3com.example", port: 80), "3com.example:80"),
        ("10.0.0.x:80", .host("10.0.0.x", port: 80), "10.0.0.x:80"),
        ("[::1]:8080", .host("::1", port: 8080), "[::1]:8080"),
        ("[::]:80", .host("::", port: 80), "[::]:80"),
        ("[0:0:0:0:0:0:0:1]:80", .host("::1", port: 80), "[::1]:80"),
        ("[2001:DB8::00AB]:80", .host("2001:db8::ab", port: 80), "[2001:db8::ab]:80"),
        ("[2001:db8:0:0:1:0:0:1]:80", .host("2001:db8::1:0:0:1", port: 80), "[2001:db8::1:0:0:1]:80"),
        ("[2001:db8:0:1:1:1:1:1]:80", .host("2001:db8:0:1:1:1:1:1", port: 80), "[2001:db8:0:1:1:1:1:1]:80"),
        ("[1::]:80", .host("1::", port: 80), "[1::]:80"),
        ("[::ffff:192.0.2.1]:80", .host("::ffff:192.0.2.1", port: 80), "[::ffff:192.0.2.1]:80"),
        ("[::ffff:c000:201]:80", .host("::ffff:192.0.2.1", port: 80), "[::ffff:192.0.2.1]:80"),
        ("[FE80::1%eth0.5]:80", .host("fe80::1%eth0.5", port: 80), "[fe80::1%eth0.5]:80"),
        ("[fe80::1%Eth0]:80", .host("fe80::1%Eth0", port: 80), "[fe80::1%Eth0]:80"),
        (":80", .wildcard(port: 80), ":80"),
        (":65535", .wildcard(port: 65535), ":65535"),
    ]

    @Test(arguments: accepted)
    func accepts(text: String, meaning: Endpoint, canonical: String) throws {
        let endpoint = try Endpoint(parsing: text)
        #expect(endpoint == meaning)
        #expect(endpoint.description == canonical)
        #expect(try Endpoint(parsing: endpoint.description) == endpoint)
    }

    static let refused: [(String, EndpointError)] = [
        ("", .empty),
        ("localhost", .portMissing("localhost")),
        ("8080", .portMissing("8080")),
        ("localhost:", .portMissing("localhost:")),
        (":", .portMissing(":")),
        ("[::1]", .portMissing("[::1]")),
        ("[::1]:", .portMissing("[::1]:")),
        ("a:0", .portRange("a:0")),
        (":0", .portRange(":0")),
        ("a:65536", .portRange("a:65536")),
        ("a:99999999999999999999999", .portRange("a:99999999999999999999999")),
        ("a:+80", .portText("a:+80")),
        ("a:-80", .portText("a:-80")),
        ("a:080x", .portText("a:080x")),
        ("a:080", .portText("a:080")),
        ("a:00", .portText("a:00")),
        ("a:http", .portText("a:http")),
        ("a:0x50", .portText("a:0x50")),
        ("a:8_0", .portText("a:8_0")),
        ("a:٨٠", .portText("a:٨٠")),
        ("[::1]:+80", .portText("[::1]:+80")),
        (" a:80", .space(" a:80")),
        ("a:80 ", .space("a:80 ")),
        ("a :80", .space("a :80")),
        ("a:80\n", .space("a:80\n")),
        ("a:80\r\n", .space("a:80\r\n")),
        ("a\u{0}:80", .space("a\u{0}:80")),
        ("http://a:80", .scheme("http://a:80")),
        ("tcp://:80", .scheme("tcp://:80")),
        ("/run/shuttle.sock", .unixSocket("/run/shuttle.sock")),
        ("/run/with space:80", .unixSocket("/run/with space:80")),
        ("unix:/run/shuttle.sock", .unixSocket("unix:/run/shuttle.sock")),
        ("unix:80", .unixSocket("unix:80")),
        ("::1:80", .colons("::1:80")),
        ("::1", .colons("::1")),
        ("2001:db8::1", .colons("2001:db8::1")),
        ("a:80:90", .colons("a:80:90")),
        ("[::1:80", .brackets("[::1:80")),
        ("[::1]80", .brackets("[::1]80")),
        ("[::1]x:80", .brackets("[::1]x:80")),
        ("[]:80", .ipv6("[]:80")),
        ("[localhost]:80", .ipv6("[localhost]:80")),
        ("[127.0.0.1]:80", .ipv6("[127.0.0.1]:80")),
        ("[1:2:3:4:5:6:7]:80", .ipv6("[1:2:3:4:5:6:7]:80")),
        ("[1:2:3:4:5:6:7:8:9]:80", .ipv6("[1:2:3:4:5:6:7:8:9]:80")),
        ("[1::2::3]:80", .ipv6("[1::2::3]:80")),
        ("[:::]:80", .ipv6("[:::]:80")),
        ("[1:2:3:4:5:6:7:8::]:80", .ipv6("[1:2:3:4:5:6:7:8::]:80")),
        ("[:1]:80", .ipv6("[:1]:80")),
        ("[1:]:80", .ipv6("[1:]:80")),
        ("[12345::]:80", .ipv6("[12345::]:80")),
        ("[::g]:80", .ipv6("[::g]:80")),
        ("[::1.2.3]:80", .ipv6("[::1.2.3]:80")),
        ("[::1.2.3.4:5]:80", .ipv6("[::1.2.3.4:5]:80")),
        ("[fe80::1%]:80", .ipv6("[fe80::1%]:80")),
        ("[fe80::1%eth/0]:80", .ipv6("[fe80::1%eth/0]:80")),
        ("[fe80::1%sixteen-letters-]:80", .ipv6("[fe80::1%sixteen-letters-]:80")),
        ("256.0.0.1:80", .ipv4("256.0.0.1:80")),
        ("127.1:80", .ipv4("127.1:80")),
        ("010.0.0.1:80", .ipv4("010.0.0.1:80")),
        ("1.2.3.4.5:80", .ipv4("1.2.3.4.5:80")),
        ("1.2.3.4.:80", .ipv4("1.2.3.4.:80")),
        ("0x7f000001:80", .ipv4("0x7f000001:80")),
        ("80:80", .ipv4("80:80")),
        ("*:80", .hostCharacter("*:80")),
        ("a/b:80", .hostCharacter("a/b:80")),
        ("bücher.example:80", .hostCharacter("bücher.example:80")),
        ("user@a:80", .hostCharacter("user@a:80")),
        // Combining marks, which join the character before them.
        ("a\u{301}:80", .hostCharacter("a\u{301}:80")),
        ("a:\u{301}80", .portText("a:\u{301}80")),
        ("[::1]\u{301}:80", .brackets("[::1]\u{301}:80")),
        ("[::1]:\u{301}80", .portText("[::1]:\u{301}80")),
        ("[\u{301}::1]:80", .ipv6("[\u{301}::1]:80")),
        ("[fe80::1%\u{301}eth0]:80", .ipv6("[fe80::1%\u{301}eth0]:80")),
        ("1.2.3.4\u{301}:80", .hostCharacter("1.2.3.4\u{301}:80")),
        ("a..b:80", .hostName("a..b:80")),
        (".a:80", .hostName(".a:80")),
        (".:80", .hostName(".:80")),
        ("-a:80", .hostName("-a:80")),
        ("a-.b:80", .hostName("a-.b:80")),
    ]

    @Test(arguments: refused)
    func refuses(text: String, expected: EndpointError) {
        #expect(throws: expected) { try Endpoint(parsing: text) }
        // The message shows the value and ends in a remedy.
        #expect(expected.text == text)
        #expect(expected.description.hasPrefix("\(Quoted(text)) is not a usable address: "))
        let remedies = ["write ", "remove ", "choose "]
        #expect(remedies.contains { expected.explanation.contains($0) }, "\(expected)")
        #expect(!expected.description.contains("\n"))
    }

    /// Length limits of DNS.
    @Test func hostNameLengths() throws {
        let label = String(repeating: "a", count: 63)
        let longest = [label, label, label, String(repeating: "b", count: 61)].joined(separator: ".")
        #expect(longest.utf8.count == 253)
        #expect(try Endpoint(parsing: "\(longest):80") == .host(longest, port: 80))
        #expect(try Endpoint(parsing: "\(longest).:80") == .host("\(longest).", port: 80))
        #expect(throws: EndpointError.hostName("\(longest)b:80")) { try Endpoint(parsing: "\(longest)b:80") }
        #expect(throws: EndpointError.hostName("\(label)a.b:80")) { try Endpoint(parsing: "\(label)a.b:80") }
    }

    @Test func portZeroOnlyWhereAllowed() throws {
        #expect(try Endpoint(parsing: "127.0.0.1:0", allowingPortZero: true) == .host("127.0.0.1", port: 0))
        #expect(try Endpoint(parsing: ":0", allowingPortZero: true).port == 0)
        #expect(throws: EndpointError.portText("a:00")) { try Endpoint(parsing: "a:00", allowingPortZero: true) }
        #expect(throws: EndpointError.portRange("a:65536")) { try Endpoint(parsing: "a:65536", allowingPortZero: true) }
    }

    /// The remedy is what the user most likely meant, ready to be copied.
    @Test(arguments: [
        ("localhost", "\"localhost:8080\""),
        ("localhost:", "\"localhost:8080\""),
        ("[::1]", "\"[::1]:8080\""),
        ("8080", "\"127.0.0.1:8080\""),
        ("::1", "\"[::1]:8080\""),
        ("2001:DB8::1", "\"[2001:db8::1]:8080\""),
        ("*:80", "write \":80\""),
        ("/run/x.sock", "a unix socket cannot stand here"),
        ("a:65536", "from 1 to 65535"),
        ("a:080x", "decimal digits without sign or leading zeros"),
    ])
    func remedies(text: String, part: String) throws {
        let error = try #require(throws: EndpointError.self) { try Endpoint(parsing: text) }
        #expect(error.explanation.contains(part), "\(error)")
    }

    /// Whatever is put into an address: it is refused, or it is plain text whose canonical form means the same.
    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func randomTexts(seed: UInt64) throws {
        let pieces = [
            "[", "]", ":", "::", "1", "80", "0", "a", ".", "-", "%", "eth0", "\u{301}", "é", "_", "ffff", "127.0.0.1",
            "*", "/",
            "\u{200D}", "\u{1F1E9}", " ", "x.y", "fe80::1", "[::1]", ":80",
        ]
        var random = ConfigurationFixtures.Random(seed: seed)
        var accepted = 0
        for _ in 0..<3000 {
            let count = Int.random(in: 0...4, using: &random)
            let text = (0..<count).compactMap { _ in pieces.randomElement(using: &random) }.joined() + ":80"
            guard let endpoint = try? Endpoint(parsing: text) else {
                continue
            }
            accepted += 1
            #expect(text.utf8.allSatisfy { (0x21..<0x7F).contains($0) }, "seed \(seed): \(text)")
            #expect(try Endpoint(parsing: endpoint.description) == endpoint, "seed \(seed): \(text)")
        }
        #expect(accepted > 100, "the texts prove nothing")
    }

    @Test func equalAddressesAreEqual() throws {
        #expect(try Endpoint(parsing: "LOCALHOST:80") == Endpoint(parsing: "localhost:80"))
        #expect(try Endpoint(parsing: "[::0:1]:80") == Endpoint(parsing: "[::1]:80"))
        #expect(try Endpoint(parsing: ":80") != Endpoint(parsing: "0.0.0.0:80"))
        #expect(try Endpoint(parsing: "a:80") != Endpoint(parsing: "a:81"))
    }

    @Test func hostileTextIsCutOffInMessages() throws {
        let error = try #require(throws: EndpointError.self) {
            try Endpoint(parsing: "evil\u{1B}[2J" + String(repeating: "x", count: 100_000))
        }
        #expect(error.description.utf8.count < 400)
        #expect(!error.description.utf8.contains(0x1B))
    }
}

import Testing

@testable import ShuttleEngine
@testable import shuttled

struct AccessLogLineTests {
    private static let clock = SessionClock(aheadMilliseconds: 1_764_220_999_328)

    private static func line(_ format: AccessLogFormat, _ session: FinishedSession) -> String {
        String(decoding: AccessLogLine(format: format).bytes(of: session, clock), as: UTF8.self)
    }

    /// Ended a second before the clock was read, and took two.
    static func session() -> FinishedSession {
        var record = SessionRecord()
        record.startedAt = 7_000_000_000
        record.duration = 2_000_000_000
        record.storedConnectDuration = 450_000
        record.storedFirstByteDuration = 1_200_999
        record.waitDuration = 3_000
        record.sentBytes = 120
        record.receivedBytes = 4096
        record.storedClient = RawAddress(.ipv4(0xc000_0207, port: 40_000))
        record.marks = SessionRecord.Marks(
            reason: TerminationReason.clientClosed.rawValue, retries: 1,
            flags: SessionRecord.Marks.logged | SessionRecord.Marks.hasTCP
        )
        record.storedDownstream = TCPInformation(roundTripMicroseconds: 90, retransmits: 2).word
        return FinishedSession(
            ring: 1, service: "web", backend: "one", backendAddress: .ipv4(0x0a00_0002, port: 80),
            record: record
        )
    }

    @Test func json() {
        #expect(
            Self.line(.json, Self.session()) == """
                {"started": "2025-11-27T05:23:26.328Z", "ended": "2025-11-27T05:23:28.328Z", "service": "web", \
                "backend": "one", "backend_address": "10.0.0.2:80", "client": "192.0.2.7:40000", "network": "tcp", \
                "ring": 1, "reason": "client_closed", "retries": 1, "sent": 120, "received": 4096, \
                "duration_microseconds": 2000000, "connect_microseconds": 450, "first_byte_microseconds": 1200, \
                "wait_microseconds": 3, "client_rtt_microseconds": 90, "client_retransmits": 2, \
                "backend_rtt_microseconds": null, "backend_retransmits": null}
                """
        )
    }

    @Test func text() {
        #expect(
            Self.line(.text, Self.session()) == """
                started=2025-11-27T05:23:26.328Z ended=2025-11-27T05:23:28.328Z service=web backend=one \
                backend_address=10.0.0.2:80 client=192.0.2.7:40000 network=tcp ring=1 reason=client_closed retries=1 \
                sent=120 received=4096 duration_microseconds=2000000 connect_microseconds=450 \
                first_byte_microseconds=1200 wait_microseconds=3 client_rtt_microseconds=90 client_retransmits=2
                """
        )
    }

    /// A path may have spaces and quotes in it.
    @Test(arguments: AccessLogFormat.allCases)
    func aLineIsOneLine(_ format: AccessLogFormat) throws {
        var session = Self.session()
        session.backendAddress = try SocketAddress(UnixAddress(parsing: "unix:/run/a b\"c\""))
        let line = Self.line(format, session)
        #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 }, "\(line)")
        #expect(line.contains(#"a b\"c\""#), "\(line)")
    }

    @Test func whatIsNotKnownIsNotToldInText() {
        var session = Self.session()
        session.backend = nil
        session.backendAddress = nil
        session.record.storedConnectDuration = SessionRecord.none
        let line = Self.line(.text, session)
        #expect(!line.contains("backend=") && !line.contains("backend_address") && !line.contains("connect_micro"))
    }

    private static let destinations: [(String, AccessLogDestination)] = [
        ("stdout", .standardOutput), ("/var/log/access.log", .file("/var/log/access.log")),
        ("syslog", .syslog(socket: "/dev/log")), ("journald", .journald(socket: "/run/systemd/journal/socket")),
        ("syslog:/run/log", .syslog(socket: "/run/log")), ("journald:/run/j", .journald(socket: "/run/j")),
    ]

    @Test(arguments: destinations)
    func destinationsAreParsed(_ text: String, _ destination: AccessLogDestination) throws {
        let parsed = try #require(AccessLogDestination(text))
        #expect(parsed == destination && AccessLogDestination(parsed.description) == destination)
    }

    @Test(arguments: ["", "stderr", "access.log", "./access.log", "/var/", "syslog:", "syslog:log", "journald:x", "/"])
    func noDestinations(_ text: String) {
        #expect(AccessLogDestination(text) == nil)
    }
}

// The text of metrics: names by the conventions, one type and help each, samples together, labels escaped, numbers in their
// places; and how long it takes to print many.

import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct MetricsTests {
    private static func distribution(_ cumulative: [UInt64], count: UInt64, sum: UInt64) -> MagnitudeDistribution {
        MagnitudeDistribution(cumulative: cumulative, count: count, sum: sum)
    }

    private static func reading(_ services: [ServiceConfiguration]) -> MetricsReading {
        let times = Array(repeating: UInt64(3), count: 12)
        let bytes = Array(repeating: UInt64(2), count: 10)
        let distributions = SessionDistributions(
            connect: distribution(times, count: 5, sum: 2_500_000_000),
            firstByte: distribution(times, count: 4, sum: 1),
            duration: distribution(times, count: 9, sum: 9), sent: distribution(bytes, count: 9, sum: 4096),
            received: distribution(bytes, count: 9, sum: 8192))
        return MetricsReading(
            services: services.map(FakeControl.statistics), distributions: services.map { _ in distributions },
            rings: FakeControl.rings)
    }

    private static func text(_ services: [ServiceConfiguration]) -> String {
        let bytes = MetricsPage.bytes(reading(services), .now(), version: "1.2.3")
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func samplesAreInTheirPlaces() {
        let text = MetricsTests.text([FakeControl.web])
        for line in [
            "shuttle_build_info{version=\"1.2.3\"} 1", "shuttle_ring_sessions{ring=\"0\"} 11",
            "shuttle_ring_completions_total{ring=\"0\"} 25", "shuttle_ring_completion_overflows_total{ring=\"1\"} 36",
            "shuttle_service_bytes_total{service=\"web\",direction=\"sent\"} 11",
            "shuttle_service_bytes_total{service=\"web\",direction=\"received\"} 12",
            "shuttle_service_turned_away_total{service=\"web\",reason=\"denied\"} 35",
            "shuttle_service_ended_sessions_total{service=\"web\",reason=\"drain\"} 19",
            "shuttle_backend_up{service=\"web\",backend=\"one\"} 1",
            "shuttle_backend_checks_total{service=\"web\",backend=\"one\",result=\"fail\"} 27",
            "shuttle_backend_check_duration_seconds{service=\"web\",backend=\"one\"} 2.8e-05",
            "shuttle_session_connect_seconds_bucket{service=\"web\",le=\"0.001048576\"} 3",
            "shuttle_session_connect_seconds_bucket{service=\"web\",le=\"+Inf\"} 5",
            "shuttle_session_connect_seconds_sum{service=\"web\"} 2.5",
            "shuttle_session_connect_seconds_count{service=\"web\"} 5",
            "shuttle_session_sent_bytes_bucket{service=\"web\",le=\"4096\"} 2",
            "shuttle_session_sent_bytes_sum{service=\"web\"} 4096",
        ] {
            #expect(text.contains("\n\(line)\n"), "\(line)")
        }
        // Nobody has waited, nothing is limited, and it is no service of UDP.
        #expect(!text.contains("shuttle_session_wait_seconds_count"))
        #expect(
            !text.contains("\nshuttle_service_sessions_limit{") && !text.contains("\nshuttle_service_datagrams_total{"))
        for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
            #expect(text.contains("\n\(name) "), "\(name)")
        }
    }

    /// Every sample belongs to the family that was announced last, with its one TYPE and HELP.
    @Test func familiesStandTogether() throws {
        var udp = FakeControl.web
        udp.name = "dns"
        udp.network = .udp
        var announced: [String] = []
        for line in MetricsTests.text([FakeControl.web, udp]).split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("# TYPE ") {
                #expect(announced.last == String(words[2]), "TYPE follows HELP of the same name")
            } else if line.hasPrefix("# HELP ") {
                announced.append(String(words[2]))
            } else {
                let name = line.prefix { $0 != "{" && $0 != " " }
                let family = try #require(announced.last)
                let ofHistogram = ["_bucket", "_sum", "_count"].map { family + $0 }
                #expect(name == family || ofHistogram.contains(String(name)), "\(line) stands below \(family)")
                #expect(Double(words[words.count - 1]) != nil, "\(line)")
            }
        }
        #expect(Set(announced).count == announced.count)
        #expect(announced == MetricsPage.families.map(\.name))
    }

    @Test func namesFollowTheConventions() {
        for family in MetricsPage.families {
            #expect((family.kind == .counter) == family.name.hasSuffix("_total"), "\(family.name)")
            #expect(family.help.hasSuffix(".") && !family.help.contains("\n") && !family.help.contains("\\"))
            for unit in ["millisecond", "microsecond", "kilobyte", "percent"] {
                #expect(!family.name.contains(unit), "\(family.name) is not in a base unit")
            }
        }
    }

    /// Names of the configuration need none of it; it must not depend on that.
    @Test func labelsAreEscaped() {
        #expect(MetricsText.label("a", "x\\y\"z\n") == #"a="x\\y\"z\n""#)
        #expect(MetricsText.label("a", "é:web_1.x-y") == "a=\"é:web_1.x-y\"")
    }

    @Test func boundsAreThoseOfTheEngine() {
        for metric in SessionMetrics.all {
            let numbers = metric.bounds.compactMap { Double($0.dropFirst(4).dropLast()) }
            #expect(numbers.count == metric.bounds.count && numbers == numbers.sorted())
        }
        let exponents = SessionMetrics.bounds
        #expect((exponents.times + exponents.durations).allSatisfy { 10 <= $0 && $0 <= 50 })
        #expect(exponents.bytes.allSatisfy { 0 <= $0 && $0 <= 40 })
    }

    @Test func statisticsOfTheProcessAreRead() {
        var reading = ProcessReading()
        reading.read(
            "4711 (a ) name) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 1000 123456 789 18446744073709551615 1 1")
        #expect(reading.processorSeconds == 3 && reading.startTime == 10)
        #expect(reading.virtualBytes == 123_456 && reading.residentBytes == 789 * 4096)
        var broken = ProcessReading()
        broken.read("nothing of the kind")
        #expect(broken.residentBytes == nil)
    }
}

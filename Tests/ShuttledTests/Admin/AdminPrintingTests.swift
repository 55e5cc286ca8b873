// The exact text of statistics and problems: names and order are a contract.

import Hummingbird
import Testing

@testable import ShuttleEngine
@testable import shuttled

@Suite struct AdminPrintingTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static let backend = """
        {
          "name": "one",
          "address": "10.0.0.1:80",
          "check_address": "10.0.0.1:81",
          "weight": 3,
          "up": true,
          "sent": 21,
          "received": 22,
          "errors": 23,
          "connections": 24,
          "active": 25,
          "check_success": 26,
          "check_fail": 27,
          "ejected": true,
          "ejections": 28,
          "last_failure": "connect timed out",
          "retried": 38,
          "slow_start_percent": 36,
          "draining": 34,
          "ended": {
            "idle": 28,
            "half_close": 29,
            "lifetime": 30,
            "drain": 32,
            "operator": 33
          },
          "check_status": "fail",
          "check_reason": "expected \\"+PONG\\", got \\"-LOADING\\"",
          "check_duration_microseconds": 28,
          "check_last": "2025-11-26T00:00:00.029Z"
        }

        """

    @Test func statisticsOfABackend() {
        let statistics = FakeControl.statistics(of: FakeControl.web).backends[0]
        #expect(text(StatisticsEncoder.bytes(of: statistics)) == Self.backend)
    }

    @Test func statisticsOfABackendWithAName() throws {
        var report = FakeControl.statistics(of: FakeControl.web).backends[0]
        report.name = NameReport(
            resolvedAddress: "10.0.0.1:80",
            outcome: NameReport.Outcome(failure: "it is gone", answerTime: 1_000_000_000)
        )
        let printed = StatisticsEncoder.bytes(of: report)
        let more = """
              "check_last": "2025-11-26T00:00:00.029Z",
              "resolved_address": "10.0.0.1:80",
              "resolve_error": "it is gone",
              "resolve_time": "2001-09-09T01:46:40.000Z"

            """
        let last = "  \"check_last\": \"2025-11-26T00:00:00.029Z\"\n"
        #expect(text(printed) == Self.backend.replacing(last, with: more))
        #expect(try ConfigurationDecoder.backend(parsing: printed) == report.configuration)
        report.name = NameReport(resolvedAddress: "", outcome: NameReport.Outcome())
        #expect(text(StatisticsEncoder.bytes(of: report)).contains("\"resolve_error\": \"\""))
    }

    @Test func statisticsOfABackendThatStandsForSeveral() throws {
        let one = FakeControl.statistics(of: FakeControl.web).backends[0]
        var written = one.configuration
        written.address = "srv:_web._tcp.test"
        let sum = BackendStatistics.sum(of: [one.statistics, one.statistics], as: written)
        #expect(sum.isUp && sum.connections == 48 && sum.checkFailures == 54)
        #expect(
            sum.draining == 68
                && sum.ended == SessionEnds(idle: 56, halfClose: 58, lifetime: 60, drain: 64, operator: 66))
        #expect(!BackendStatistics.sum(of: [], as: written).isUp)
        var later = one.statistics
        later.lastCheck?.endedAtMilliseconds += 1
        #expect(BackendStatistics.sum(of: [later, one.statistics], as: written).lastCheck == later.lastCheck)
        let target = BackendReport(statistics: one.statistics, name: NameReport(resolvedAddress: "10.0.0.1:80"))
        let printed = StatisticsEncoder.bytes(
            of: BackendReport(
                statistics: sum, name: NameReport(outcome: NameReport.Outcome(answerTime: 0)),
                targets: [target, target]
            )
        )
        let text = text(printed)
        #expect(text.contains("\"resolve_time\": \"1970-01-01T00:00:00.000Z\",\n  \"targets\": [\n"))
        #expect(text.ranges(of: "\"resolved_address\": \"10.0.0.1:80\"").count == 2)
        #expect(text.ranges(of: "resolve_error").count == 1, "the backend says it for all")
        written.checkAddress = "srv:_web._tcp.test"
        let readable = BackendReport(statistics: .sum(of: [one.statistics], as: written), targets: [target])
        #expect(try ConfigurationDecoder.backend(parsing: StatisticsEncoder.bytes(of: readable)) == written)
    }

    /// Before the first failure there is no reason.
    @Test func statisticsOfABackendWithoutFailures() {
        var statistics = FakeControl.statistics(of: FakeControl.web).backends[0]
        statistics.statistics.lastFailure = nil
        #expect(!text(StatisticsEncoder.bytes(of: statistics)).contains("last_failure"))
    }

    @Test func statisticsOfAService() {
        let expected = """
            {
              "name": "web",
              "address": "127.0.0.1:8080",
              "balance": "RR",
              "check_interval": 2000,
              "fall": 2,
              "rise": 2,
              "client_timeout": 0,
              "server_timeout": 0,
              "connect_timeout": 5000,
              "sent": 11,
              "received": 12,
              "errors": 13,
              "connections": 14,
              "active": 15,
              "panics": 29,
              "queued": 16,
              "refused": 17,
              "refused_per_client": 18,
              "queue_timeouts": 19,
              "queue_overflows": 20,
              "denied": 35,
              "refused_by_rate": 36,
              "delayed": 37,
              "delays": 38,
              "bandwidth_holds": 39,
              "retried": 40,
              "preread_failures": 42,
              "preread_timeouts": 41,
              "routed": 43,
              "draining": 31,
              "ended": {
                "idle": 16,
                "half_close": 17,
                "lifetime": 18,
                "drain": 19,
                "operator": 20
              },
              "backends": [
                {
                  "name": "one",
                  "address": "10.0.0.1:80",
                  "check_address": "10.0.0.1:81",
                  "weight": 3,
                  "up": true,
                  "sent": 21,
                  "received": 22,
                  "errors": 23,
                  "connections": 24,
                  "active": 25,
                  "check_success": 26,
                  "check_fail": 27,
                  "ejected": true,
                  "ejections": 28,
                  "last_failure": "connect timed out",
                  "retried": 38,
                  "slow_start_percent": 36,
                  "draining": 34,
                  "ended": {
                    "idle": 28,
                    "half_close": 29,
                    "lifetime": 30,
                    "drain": 32,
                    "operator": 33
                  },
                  "check_status": "fail",
                  "check_reason": "expected \\"+PONG\\", got \\"-LOADING\\"",
                  "check_duration_microseconds": 28,
                  "check_last": "2025-11-26T00:00:00.029Z"
                }
              ]
            }

            """
        let statistics = FakeControl.statistics(of: FakeControl.web)
        #expect(text(StatisticsEncoder.bytes(of: statistics)) == expected)
        #expect(text(StatisticsEncoder.bytes(of: [ServiceReport]())) == "[]\n")
    }

    @Test func statisticsOfRings() {
        let expected = """
            [
              {
                "ring": 0,
                "sessions": 11,
                "turns": 23,
                "submissions": 24,
                "completions": 25,
                "completion_overflows": 26,
                "starvations": 12,
                "accept_pauses": 13,
                "stale_completions": 14,
                "spliced_bytes": 15,
                "adoptions": 16,
                "adoption_microseconds_p999": 17,
                "adoption_microseconds_max": 18,
                "inspection_turns": 23,
                "inspection_microseconds_p999": 25,
                "inspection_microseconds_max": 24,
                "adoption_durations": [
                  {
                    "nanoseconds_max": 19,
                    "count": 20
                  },
                  {
                    "nanoseconds_max": 21,
                    "count": 22
                  }
                ]
              },
              {
                "ring": 1,
                "sessions": 21,
                "turns": 33,
                "submissions": 34,
                "completions": 35,
                "completion_overflows": 36,
                "starvations": 22,
                "accept_pauses": 23,
                "stale_completions": 24,
                "spliced_bytes": 25,
                "adoptions": 26,
                "adoption_microseconds_p999": 27,
                "adoption_microseconds_max": 28,
                "inspection_turns": 33,
                "inspection_microseconds_p999": 35,
                "inspection_microseconds_max": 34,
                "adoption_durations": [
                  {
                    "nanoseconds_max": 29,
                    "count": 30
                  },
                  {
                    "nanoseconds_max": 31,
                    "count": 32
                  }
                ]
              }
            ]

            """
        #expect(text(StatisticsEncoder.bytes(of: FakeControl.rings)) == expected)
    }

    /// What was read can be changed and written back.
    @Test func statisticsReadAsConfiguration() throws {
        let statistics = FakeControl.statistics(of: FakeControl.web)
        let service = try ConfigurationDecoder.service(parsing: StatisticsEncoder.bytes(of: statistics), named: "web")
        #expect(service == FakeControl.web)
        let all = try ConfigurationDecoder.services(parsing: StatisticsEncoder.bytes(of: [statistics]))
        #expect(all == [FakeControl.web])
    }

    @Test func problems() {
        let problem = ProblemDetails(
            .invalidConfiguration, "two \"things\" are wrong",
            issues: [
                ConfigurationIssue(pointer: "/backends/0/weight", detail: "first"),
                ConfigurationIssue(pointer: "", detail: "second"),
            ]
        )
        #expect(
            text(problem.bytes) == """
                {
                  "type": "urn:shuttle:problem:invalid-configuration",
                  "title": "The configuration is not valid",
                  "status": 400,
                  "detail": "two \\"things\\" are wrong",
                  "errors": [
                    {
                      "pointer": "/backends/0/weight",
                      "detail": "first"
                    },
                    {
                      "pointer": "",
                      "detail": "second"
                    }
                  ]
                }

                """)
        #expect(!text(ProblemDetails(.notFound, "x").bytes).contains("errors"))
    }

    @Test func everyKindHasItsOwnTypeAndTitle() {
        let kinds = ProblemDetails.Kind.allCases
        #expect(Set(kinds.map(\.type)).count == kinds.count)
        #expect(Set(kinds.map(\.title)).count == kinds.count)
        #expect(kinds.allSatisfy { (400..<600).contains($0.status.code) })
    }

    @Test func refusalsHaveTheirStatus() {
        let issue = ConfigurationIssue(pointer: "/address", detail: "in use")
        let expected: [(ChangeRefusal, Int)] = [
            (.invalid([issue]), 400), (.cannotListen([issue]), 400), (.unknownService("a"), 404),
            (.unknownBackend(service: "a", name: "b"), 404), (.addressInUse([issue]), 409), (.notDurable("fsync"), 500),
            (.shuttingDown, 503),
        ]
        for (refusal, status) in expected {
            let problem = ProblemDetails(refusal)
            #expect(problem.kind.status.code == status)
            #expect(!problem.detail.isEmpty)
        }
        #expect(ProblemDetails(.addressInUse([issue])).issues == [issue])
        #expect(ProblemDetails(.addressInUse([issue])).detail.contains("in use"))
        #expect(ProblemDetails(.invalid([issue, issue, issue])).detail.contains("3 problems"))
        #expect(ProblemDetails(.notDurable("fsync: no space")).detail.contains("fsync: no space"))
    }

    @Test func malformedJSONIsReportedWithItsPlace() throws {
        let error = #expect(throws: ConfigurationDecodingError.self) {
            try ConfigurationDecoder.service(parsing: Array("{\n  \"address\": oops\n}".utf8), named: "web")
        }
        let problem = ProblemDetails(try #require(error))
        #expect(problem.kind == .malformedJSON)
        #expect(problem.detail.contains("line 2, column 14"))
    }

    @Test func dates() {
        #expect(HTTPDate.text(of: 784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(HTTPDate.text(of: 0) == "Thu, 01 Jan 1970 00:00:00 GMT")
        #expect(HTTPDate.text(of: 1_709_164_800) == "Thu, 29 Feb 2024 00:00:00 GMT")
    }
}

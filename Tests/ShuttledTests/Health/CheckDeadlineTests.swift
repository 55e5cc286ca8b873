// When time is up for a backend, and that a busy loop is not held against it; the words of reasons.

import Glibc
import NIOCore
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct CheckDeadlineTests {
    private typealias Decision = CheckDeadline.Decision

    @Test func decisions() {
        func decide(_ late: Int64, _ hasUnreadBytes: Bool, _ extensions: Int = 0) -> Decision {
            CheckDeadline.decision(
                late: .milliseconds(late), hasUnreadBytes: hasUnreadBytes, extensions: extensions
            )
        }
        #expect(decide(0, false) == .expired)
        #expect(decide(20, false) == .expired, "that a timer is a little late tells of nothing")
        #expect(decide(21, false) == .extended(.milliseconds(21)))
        #expect(decide(1500, false) == .extended(.milliseconds(1500)), "it gets back what was taken from it")
        #expect(decide(0, true) == .extended(CheckDeadline.extensionMin), "what has come is read first")
        #expect(decide(300, true) == .extended(.milliseconds(300)))
        let max = CheckDeadline.extensionsMax
        #expect(decide(0, true, max - 1) == .extended(CheckDeadline.extensionMin))
        #expect(decide(0, true, max) == .inconclusive, "a loop that does not come to read learns nothing")
        #expect(decide(300, false, max) == .inconclusive, "nor one that is always late")
        #expect(decide(0, false, max) == .expired)
    }

    private static let probes: [(CheckProbe, String)] = [
        (.http(HTTPQuestion(path: "/", host: "b", status: StatusRanges("200")!)), "HTTP/1.1 200 OK\r\n\r\n"),
        (.expect(ExpectedAnswer(send: [1], expect: Array("+PONG".utf8))), "+PONG\r\n"),
    ]

    /// The answer comes while the loop does something else, far beyond the limit of the check.
    @Test(arguments: [0, 1])
    func aLoopThatIsLateDoesNotMakeABackendFail(_ index: Int) async throws {
        let port = try ControlTesting.Port.listening()
        let (probe, answer) = Self.probes[index]
        let outcome = try await ControlTesting.onLoop { loop in
            let check = ActiveCheck(loop: loop).check(
                CheckServer.target(port.address, probe, timeout: .milliseconds(100)))
            let connection = accept(port.descriptor, nil, nil)
            defer { close(connection) }
            // Until the question has come, the loop is free.
            try await ControlTesting.eventually("the question") {
                var byte: UInt8 = 0
                return recv(connection, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) == 1
            }
            _ = FileCalls.system.write(connection, Array(answer.utf8))
            usleep(500_000)
            return try await check.get()
        }
        #expect(outcome == .succeeded)
    }

    @Test func aSilentBackendFailsAlthoughTheLoopWasLate() async throws {
        let port = try ControlTesting.Port.listening()
        let outcome = try await ControlTesting.onLoop { loop in
            let check = ActiveCheck(loop: loop).check(
                CheckServer.target(port.address, Self.probes[1].0, timeout: .milliseconds(100)))
            await loop.pause(.milliseconds(20))
            usleep(300_000)
            return try await check.get()
        }
        #expect(outcome == .failed("no answer within 100 ms"))
    }

    @Test func reasonsAreShortAndPrintable() {
        #expect(CheckReason.quoted([]) == #""""#)
        #expect(CheckReason.quoted(Array("a\"\\\r\n\t".utf8)) == #""a\"\\\r\n\t""#)
        #expect(CheckReason.quoted([0, 0x1F, 0x7F, 0x80, 0xFF]) == #""\x00\x1f\x7f\x80\xff""#)
        #expect(CheckReason.quoted([UInt8](repeating: 0x41, count: 48)).count == 50)
        #expect(CheckReason.quoted([UInt8](repeating: 0x41, count: 49)).hasSuffix("A…\""))
        for byte in UInt8.min...UInt8.max {
            #expect(CheckReason.quoted([byte]).utf8.allSatisfy { (0x20..<0x7F).contains($0) })
        }
        #expect(CheckReason.bounded("a\nb\u{1B}ü") == "a?b??")
        #expect(CheckReason.bounded(String(repeating: "x", count: 10_000)).count == CheckReason.lengthMax + 1)
    }
}

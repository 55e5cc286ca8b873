// A check that is a connect, against real sockets: answered, refused, unanswered, and how the connection ends.

import Glibc
import NIOCore
import ShuttleEngine
import Synchronization
import Testing

@testable import shuttled

@Suite struct CheckConnectorTests {
    private static func outcome(
        of address: Address, timeout: TimeAmount = .seconds(10)
    ) async throws -> CheckOutcome {
        try await ControlTesting.onLoop { loop in
            try await ActiveCheck(loop: loop).check(CheckServer.target(address, connectTimeout: timeout)).get()
        }
    }

    /// A listener whose queue is full: the kernel drops further connects without an answer.
    private struct Full {
        let port: ControlTesting.Port
        let first: Int32

        init() throws {
            port = try ControlTesting.Port.listening(backlog: 0)
            first = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            let first = first
            try #require(
                port.address.withSockAddr { connect(first, $0.assumingMemoryBound(to: sockaddr.self), $1) } == 0)
        }

        /// Takes the one that is queued: the next connect, or the next try of one that is dropped, gets in.
        func makeRoom() {
            let accepted = accept(port.descriptor, nil, nil)
            close(accepted)
            close(first)
        }
    }

    @Test func anAnswerIsGood() async throws {
        let port = try ControlTesting.Port.listening()
        #expect(try await Self.outcome(of: port.address) == .succeeded)
    }

    @Test func aUnixSocketIsWaitedForWhileItsQueueIsFull() async throws {
        let name = "shuttle-check-\(getpid())"
        let address = Address(try UnixAddress(parsing: "unix:@\(name)"))
        #expect(try await Self.outcome(of: address) == .failed("connection refused"))
        let missing = Address(try UnixAddress(parsing: "/no/such.sock"))
        #expect(try await Self.outcome(of: missing) == .failed("no such file or directory"))
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(listener) }
        let bound = address.withSockAddr { bind(listener, $0.assumingMemoryBound(to: sockaddr.self), $1) }
        try #require(bound == 0 && listen(listener, 0) == 0)
        // The first of them stays in the queue, which holds one.
        #expect(try await Self.outcome(of: address) == .succeeded)
        let start = ContinuousClock.now
        let outcome = try await Self.outcome(of: address, timeout: .milliseconds(150))
        #expect(outcome == .failed("no place in its listen queue within 150 ms"))
        #expect(ContinuousClock.now - start >= .milliseconds(150))
        close(accept(listener, nil, nil))
        #expect(try await Self.outcome(of: address) == .succeeded)
    }

    @Test func aRefusalIsAFailure() async throws {
        let port = try ControlTesting.Port.closed()
        #expect(try await Self.outcome(of: port.address) == .failed("connection refused"))
    }

    @Test func noAnswerIsAFailureAfterTheTimeout() async throws {
        let full = try Full()
        let start = ContinuousClock.now
        let outcome = try await Self.outcome(of: full.port.address, timeout: .milliseconds(150))
        #expect(outcome == .failed("no answer within 150 ms"))
        #expect(ContinuousClock.now - start >= .milliseconds(150))
        full.makeRoom()
    }

    @Test func aLoopThatIsLateDoesNotMakeABackendFail() async throws {
        let full = try Full()
        let outcome = try await ControlTesting.onLoop { loop in
            // The first try is dropped; the kernel's next one, a second later, is answered. Meanwhile the loop does
            // something else, far beyond the limit of the check.
            let check = ActiveCheck(loop: loop).check(
                CheckServer.target(full.port.address, connectTimeout: .milliseconds(500)))
            full.makeRoom()
            usleep(1_600_000)
            return try await check.get()
        }
        #expect(outcome == .succeeded)
    }

    /// What a server sees of a check's connection after having sent a greeting.
    @Test func theConnectionEndsPolitely() async throws {
        let port = try ControlTesting.Port.listening()
        let server = Task.detached { () -> [Int] in
            let connection = accept(port.descriptor, nil, nil)
            defer { close(connection) }
            _ = FileCalls.system.write(connection, Array("220 mail.example ESMTP\r\n".utf8))
            var byte: UInt8 = 0
            let count = read(connection, &byte, 1)
            let code = count < 0 ? errno : 0
            return [count, Int(code)]
        }
        #expect(try await Self.outcomeThenSettled(port.address) == .succeeded)
        #expect(await server.value == [0, 0], "the end of the stream, and no reset")
    }

    private static func outcomeThenSettled(_ address: Address) async throws -> CheckOutcome {
        try await ControlTesting.onLoop { loop in
            let outcome = try await ActiveCheck(loop: loop).check(CheckServer.target(address)).get()
            // The connection lives on for a moment; the loop must too.
            await loop.pause(CheckConnector.lingerLimit + .milliseconds(100))
            return outcome
        }
    }

    @Test func aServerThatNeverClosesIsLeftAfterAMoment() async throws {
        let port = try ControlTesting.Port.listening()
        #expect(try await Self.outcomeThenSettled(port.address) == .succeeded)
        let connection = accept(port.descriptor, nil, nil)
        defer { close(connection) }
        try #require(connection >= 0)
        // Closed on the other side: what is sent now is answered with a reset, which the next call sees.
        try await ControlTesting.eventually("the connection is gone") {
            send(connection, [0], 1, Int32(MSG_NOSIGNAL)) < 0
        }
    }

    @Test func manyAtOnceLeaveNothingOpen() async throws {
        let port = try ControlTesting.Port.listening(backlog: 1024)
        let before = Self.openDescriptors()
        try await ControlTesting.onLoop { loop in
            let check = ActiveCheck(loop: loop)
            let checks = (0..<300).map { _ in check.check(CheckServer.target(port.address)) }
            for check in checks {
                let outcome = try await check.get()
                #expect(outcome == .succeeded)
            }
            await loop.pause(CheckConnector.lingerLimit + .milliseconds(100))
        }
        // Other tests run at the same time and have descriptors of their own, but not hundreds.
        #expect(Self.openDescriptors() < before + 150)
    }

    private static func openDescriptors() -> Int {
        guard let folder = opendir("/proc/self/fd") else {
            return 0
        }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil {
            count += 1
        }
        return count
    }

    @Test(arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL])
    func whatWeHaveRunOutOfIsNotTheBackendsFault(_ code: Int32) {
        let outcome = CheckOutcome(IOError(errnoCode: code, reason: "connect"))
        guard case .inconclusive = outcome else {
            Issue.record("errno \(code) is \(outcome)")
            return
        }
    }

    @Test(arguments: [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, ECONNRESET])
    func theRestIs(_ code: Int32) {
        let outcome = CheckOutcome(IOError(errnoCode: code, reason: "connect"))
        #expect(outcome == .failed(String(cString: strerror(code)).lowercased()))
    }
}

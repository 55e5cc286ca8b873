// Owns what the tests of the control side stand on: a control loop of their own, waiting for conditions, free ports.

import Glibc
import Logging
import NIOCore
import NIOPosix
import ShuttleEngine
import Synchronization
import Testing

@testable import shuttled

/// An engine's address, told apart from NIO's.
typealias Address = ShuttleEngine.SocketAddress

enum ControlTesting {
    /// Runs `body` on a control loop made for it, as shuttled does.
    static func onLoop<Value: Sendable>(
        _ body: @escaping @Sendable (any EventLoop) async throws -> Value
    ) async throws -> Value {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let result = await Task(executorPreference: ControlLoopExecutor(loop: loop)) { try await body(loop) }.result
        try await group.shutdownGracefully()
        return try result.get()
    }

    /// Waits until `condition` holds; a failure when it does not within the deadline.
    static func eventually(
        _ what: Comment, within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + limit
        while try await !condition() {
            guard ContinuousClock.now < deadline else {
                Issue.record("did not come about: \(what)", sourceLocation: sourceLocation)
                throw TimedOut()
            }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    struct TimedOut: Error {}

    /// A socket of a free loopback port, which closes with the value.
    final class Port: Sendable {
        let descriptor: Int32
        let address: Address

        private init(descriptor: Int32, address: Address) {
            self.descriptor = descriptor
            self.address = address
        }

        deinit { close(descriptor) }

        /// Connects succeed; `backlog` of them wait to be accepted.
        static func listening(backlog: Int32 = 128) throws -> Port {
            let port = try closed()
            try #require(listen(port.descriptor, backlog) == 0)
            return port
        }

        /// Connects are refused: the socket is bound, so that nobody else takes the port, and does not listen.
        static func closed() throws -> Port {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            try #require(descriptor >= 0)
            try #require(
                Address.loopbackIPv4(port: 0).withSockAddr {
                    bind(descriptor, $0.assumingMemoryBound(to: sockaddr.self), $1)
                } == 0)
            return Port(
                descriptor: descriptor, address: try #require(Address.local(of: descriptor))
            )
        }
    }

    /// Host names that resolve as a test says; others do not.
    static func lookup(_ names: [String: Address], timeToLiveSeconds: Int? = nil) -> NameLookup {
        { questions in
            Dictionary(
                uniqueKeysWithValues: questions.map { question in
                    let answer = names[question.name].map { address in
                        NameAnswer(
                            targets: [NameTarget(host: question.name, addresses: [address])],
                            timeToLiveSeconds: timeToLiveSeconds
                        )
                    }
                    return (question, answer.map { .success($0) } ?? .failure(NameFailure(reason: "is unknown")))
                }
            )
        }
    }

    /// A service with backends at the given addresses, named by their order: `b0`, `b1`.
    static func service(
        _ name: String, _ address: String, backends: [String] = [], checkAddress: String = ""
    ) -> ServiceConfiguration {
        ServiceConfiguration(
            name: name, address: address,
            backends: backends.enumerated().map {
                BackendConfiguration(name: "b\($0.offset)", address: $0.element, checkAddress: checkAddress)
            }
        )
    }
}

/// Collects what is logged.
final class LogCollector: Sendable {
    /// Texts from anywhere.
    final class Texts: Sendable {
        private let collected = Mutex<[String]>([])
        var all: [String] { collected.withLock { $0 } }
        func add(_ text: String) { collected.withLock { $0.append(text) } }
    }

    private let texts = Texts()

    var lines: [String] { texts.all }

    func logger(_ level: Logger.Level = .trace) -> Logger {
        let sink = LogSink { [texts] line in texts.add(String(decoding: line, as: UTF8.self)) }
        return Logger(label: "test") { LineLogHandler(label: $0, format: .text, logLevel: level, sink: sink) }
    }
}

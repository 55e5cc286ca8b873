// Owns one health check: a TCP connect, what its outcome means, and a polite end of the connection.
// Leaves to others: when to check whom (HealthMonitor), and what a failure leads to (HealthTracker).

import Glibc
import NIOCore
import NIOPosix
import ShuttleEngine

/// How a check ended.
enum CheckOutcome: Equatable, Sendable {
    case succeeded
    /// The reason, as the end of a sentence: "connection refused".
    case failed(String)
    /// Nothing was learned about the backend, because this process or machine had run out of something.
    case inconclusive(String)
}

/// Starts a check of an address. Runs on the loop; the future belongs to it.
typealias HealthCheck = (_ address: ShuttleEngine.SocketAddress, _ timeout: TimeAmount) -> EventLoopFuture<CheckOutcome>

/// Checks by connecting. Confined to the loop.
final class ConnectCheck {
    /// How long a connection that has done its work waits for the backend to close its side too.
    static let lingerLimit: TimeAmount = .milliseconds(500)
    /// Connections that wait in this way; beyond it they are closed at once.
    static let lingeringMax = 32

    private let loop: any EventLoop
    private var lingering = 0

    init(loop: any EventLoop) {
        self.loop = loop
    }

    func check(_ address: ShuttleEngine.SocketAddress, timeout: TimeAmount) -> EventLoopFuture<CheckOutcome> {
        let promise = loop.makePromise(of: CheckOutcome.self)
        let attempt = Attempt()
        let connecting = ClientBootstrap(group: loop)
            // The limit is kept below: NIO's own cannot tell a backend that was slow from a loop that was.
            .connectTimeout(.hours(24))
            .channelInitializer { [attempt = NIOLoopBound(attempt, eventLoop: loop)] channel in
                attempt.value.channel = channel
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .connect(to: NIOCore.SocketAddress(address))
        let timer = loop.assumeIsolated().scheduleTask(in: timeout) {
            self.limitReached(attempt, timeout: timeout, promise)
        }
        connecting.assumeIsolated().whenComplete { result in
            timer.cancel()
            switch result {
            case .success(let channel):
                promise.succeed(.succeeded)
                self.end(channel)
            case .failure(let error):
                // After the limit was reached this comes from closing the channel, and the promise is kept already.
                promise.succeed(ConnectCheck.outcome(of: error))
            }
        }
        return promise.futureResult
    }

    /// The channel of a connect under way.
    private final class Attempt {
        var channel: (any Channel)?
    }

    /// Whether time is up for the backend, or only this loop has been too busy to see that it has answered: the kernel
    /// knows. A check that was late is a good check.
    private func limitReached(_ attempt: Attempt, timeout: TimeAmount, _ promise: EventLoopPromise<CheckOutcome>) {
        guard let channel = attempt.channel else {
            promise.succeed(.inconclusive("the connection was not begun within the time for it"))
            return
        }
        let state = (channel as? any SocketOptionProvider)?.getTCPInfo()
        let established = state?.assumeIsolated().map { info in
            // 1 is TCP_ESTABLISHED, 8 is TCP_CLOSE_WAIT: the backend has answered and closed since.
            info.tcpi_state == 1 || info.tcpi_state == 8
        }
        guard let established else {
            promise.succeed(.failed(ConnectCheck.timeoutReason(timeout)))
            channel.close(promise: nil)
            return
        }
        established.whenComplete { result in
            if case .success(true) = result {
                // The event is in the loop's next round; `connect` completes then and ends the connection.
                promise.succeed(.succeeded)
                return
            }
            promise.succeed(.failed(ConnectCheck.timeoutReason(timeout)))
            channel.close(promise: nil)
        }
    }

    /// Ends a connection with a FIN, and takes in what the backend sends (a greeting, say) until it has closed as well:
    /// closing with unread bytes would send it a reset, which some servers log as an error.
    private func end(_ channel: any Channel) {
        guard lingering < ConnectCheck.lingeringMax else {
            channel.close(promise: nil)
            return
        }
        lingering += 1
        let timer = loop.scheduleTask(in: ConnectCheck.lingerLimit) {
            channel.close(promise: nil)
        }
        channel.closeFuture.assumeIsolated().whenComplete { _ in
            timer.cancel()
            self.lingering -= 1
        }
        channel.close(mode: .output, promise: nil)
    }

    private static func timeoutReason(_ timeout: TimeAmount) -> String {
        "no answer within \(timeout.nanoseconds / 1_000_000) ms"
    }

    static func outcome(of error: any Error) -> CheckOutcome {
        guard let code = (error as? IOError)?.errnoCode else {
            return .failed("\(error)")
        }
        let reason = String(cString: strerror(code)).lowercased()
        switch code {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EAGAIN, EADDRINUSE:
            return .inconclusive(reason)
        default:
            return .failed(reason)
        }
    }
}

extension NIOCore.SocketAddress {
    /// The same address as NIO has it.
    fileprivate init(_ address: ShuttleEngine.SocketAddress) {
        self = address.withSockAddr { pointer, _ in
            if address.family == AF_INET {
                return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    NIOCore.SocketAddress($0.pointee)
                }
            }
            return pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                NIOCore.SocketAddress($0.pointee)
            }
        }
    }
}

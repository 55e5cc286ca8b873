// Owns the connection of a check: a connect within its limit, and a polite end.
// Leaves to others: what is said on it (the conversations), and when to check whom (HealthMonitor).

import Glibc
import NIOCore
import NIOPosix
import ShuttleEngine

/// Connects for checks, and ends their connections. Confined to the loop.
final class CheckConnector {
    /// How long a connection that has done its work waits for the backend to close its side too.
    static let lingerLimit: TimeAmount = .milliseconds(500)
    /// Connections that wait in this way; beyond it they are closed at once.
    static let lingeringMax = 32
    /// Time between two tries for a place in a full listen queue.
    static let listenQueuePause: TimeAmount = .milliseconds(20)

    /// A connect that did not come about, with what it says.
    struct Failure: Error {
        var outcome: CheckOutcome
    }

    private let loop: any EventLoop
    private var lingering = 0

    init(loop: any EventLoop) {
        self.loop = loop
    }

    /// The connection, or `Failure`.
    func connect(to address: ShuttleEngine.SocketAddress, timeout: TimeAmount) -> EventLoopFuture<any Channel> {
        let promise = loop.makePromise(of: (any Channel).self)
        if address.isUnix {
            connect(toUnix: address, deadline: .now() + timeout, timeout: timeout, promise)
            return promise.futureResult
        }
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
                promise.succeed(channel)
            case .failure(let error):
                // After the limit was reached this comes from closing the channel, and the promise is kept already.
                promise.fail(Failure(outcome: CheckOutcome(error)))
            }
        }
        return promise.futureResult
    }

    /// Connecting to a unix socket does not wait, but for a place in a full listen queue, which the kernel keeps nobody
    /// waiting for: it is asked for again, as sessions do.
    private func connect(
        toUnix address: ShuttleEngine.SocketAddress, deadline: NIODeadline, timeout: TimeAmount,
        _ promise: EventLoopPromise<any Channel>
    ) {
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        var code = descriptor < 0 ? errno : 0
        if code == 0 {
            let result = address.withSockAddr {
                Glibc.connect(descriptor, $0.assumingMemoryBound(to: sockaddr.self), $1)
            }
            code = result == 0 ? 0 : errno
        }
        guard code != 0 else {
            ClientBootstrap(group: loop).withConnectedSocket(descriptor).cascade(to: promise)
            return
        }
        if descriptor >= 0 {
            close(descriptor)
        }
        guard code == EAGAIN else {
            promise.fail(Failure(outcome: CheckOutcome(IOError(errnoCode: code, reason: "connect"))))
            return
        }
        guard NIODeadline.now() < deadline else {
            let limit = CheckReason.milliseconds(timeout)
            promise.fail(Failure(outcome: .failed("no place in its listen queue within \(limit)")))
            return
        }
        loop.assumeIsolated().scheduleTask(in: min(CheckConnector.listenQueuePause, deadline - .now())) {
            self.connect(toUnix: address, deadline: deadline, timeout: timeout, promise)
        }
    }

    /// The channel of a connect under way.
    private final class Attempt {
        var channel: (any Channel)?
    }

    /// Whether time is up for the backend, or only this loop has been too busy to see that it has answered: the kernel
    /// knows. A check that was late is a good check.
    private func limitReached(_ attempt: Attempt, timeout: TimeAmount, _ promise: EventLoopPromise<any Channel>) {
        guard let channel = attempt.channel else {
            promise.fail(
                Failure(outcome: .inconclusive("the connection was not begun within the time for it"))
            )
            return
        }
        func giveUp() {
            promise.fail(Failure(outcome: .failed(CheckReason.noAnswer(within: timeout))))
            channel.close(promise: nil)
        }
        let state = (channel as? any SocketOptionProvider)?.getTCPInfo()
        let established = state?.assumeIsolated().map { info in
            // 1 is TCP_ESTABLISHED, 8 is TCP_CLOSE_WAIT: the backend has answered and closed since.
            info.tcpi_state == 1 || info.tcpi_state == 8
        }
        guard let established else {
            giveUp()
            return
        }
        established.whenComplete { result in
            // The event is in the loop's next round; `connect` completes then.
            if case .success(true) = result {
                return
            }
            giveUp()
        }
    }

    /// Ends a connection that has done its work, and takes in what the backend sends (a greeting, say) until it has
    /// closed as well: closing with unread bytes would send it a reset, which some servers log as an error.
    func end(_ channel: any Channel, mode: CloseMode) {
        guard lingering < CheckConnector.lingeringMax else {
            channel.close(promise: nil)
            return
        }
        lingering += 1
        let timer = loop.scheduleTask(in: CheckConnector.lingerLimit) {
            channel.close(promise: nil)
        }
        channel.closeFuture.assumeIsolated().whenComplete { _ in
            timer.cancel()
            self.lingering -= 1
        }
        channel.close(mode: mode, promise: nil)
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

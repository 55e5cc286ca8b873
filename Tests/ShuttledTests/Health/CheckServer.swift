// Owns the servers that checks are tried on, each with one habit, on the loop of the test.

import NIOCore
import NIOPosix
import NIOSSL
import ShuttleEngine
import Testing

@testable import shuttled

/// Listens on a loopback port, as long as the loop runs.
final class CheckServer {
    enum Habit: Sendable {
        /// Takes everything and never says a word.
        case silent
        /// Says this at once.
        case speaks(String)
        /// Says this once something has come.
        case answers([UInt8])
        /// As `answers`, and then closes.
        case answersAndCloses(String)
        /// Says this in single bytes, one in each of these times, once something has come.
        case drips(String, every: TimeAmount)
        /// Says this again and again, once something has come, until the client leaves.
        case floods(String)
        case closesAtOnce
        /// Closes when something has come.
        case closesWhenAsked
        /// Resets the connection when something has come.
        case resetsWhenAsked
    }

    let address: Address
    /// What came on the connections, one after the other.
    private(set) var received: [UInt8] = []
    private(set) var connections = 0
    /// Ends of the stream that came before a reset or a close of ours, and resets.
    private(set) var ends = 0
    private(set) var resets = 0
    private let channel: any Channel

    private final class Storage {
        weak var server: CheckServer?
    }

    init(_ habit: Habit, tls: NIOSSLContext? = nil, on loop: any EventLoop) async throws {
        let storage = NIOLoopBound(Storage(), eventLoop: loop)

        channel = try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    let handler = Handler(habit, storage.value)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        address = .loopbackIPv4(port: UInt16(channel.localAddress?.port ?? 0))
        storage.value.server = self
    }

    var text: String { String(decoding: received, as: UTF8.self) }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let habit: Habit
        private let storage: Storage
        private var wasAsked = false

        init(_ habit: Habit, _ storage: Storage) {
            self.habit = habit
            self.storage = storage
        }

        func channelActive(context: ChannelHandlerContext) {
            storage.server?.connections += 1
            switch habit {
            case .speaks(let text): say(Array(text.utf8), context)
            case .closesAtOnce: context.close(promise: nil)
            default: break
            }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            storage.server?.received += unwrapInboundIn(data).readableBytesView
            guard !wasAsked else {
                return
            }
            wasAsked = true
            switch habit {
            case .answers(let bytes): say(bytes, context)
            case .answersAndCloses(let text):
                let context = NIOLoopBound(context, eventLoop: context.eventLoop)
                say(Array(text.utf8), context.value).assumeIsolated().whenComplete { _ in
                    context.value.close(promise: nil)
                }
            case .drips(let text, let time): drip(Array(text.utf8)[...], time, context)
            case .floods(let text): flood(Array(String(repeating: text, count: 1000).utf8), context)
            case .closesWhenAsked: context.close(promise: nil)
            case .resetsWhenAsked:
                // In effect at once, for this is the loop.
                _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                context.close(promise: nil)
            case .silent, .speaks, .closesAtOnce: break
            }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .some(.inputClosed) = event as? ChannelEvent {
                storage.server?.ends += 1
                context.close(promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            if (error as? IOError)?.errnoCode == ECONNRESET {
                storage.server?.resets += 1
            }
            context.close(promise: nil)
        }

        @discardableResult
        private func say(_ bytes: [UInt8], _ context: ChannelHandlerContext) -> EventLoopFuture<Void> {
            let promise = context.eventLoop.makePromise(of: Void.self)
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: promise)
            return promise.futureResult
        }

        private func drip(_ bytes: ArraySlice<UInt8>, _ time: TimeAmount, _ context: ChannelHandlerContext) {
            guard let byte = bytes.first, context.channel.isActive else {
                return
            }
            say([byte], context)
            context.eventLoop.assumeIsolated().scheduleTask(in: time) {
                self.drip(bytes.dropFirst(), time, context)
            }
        }

        private func flood(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
            guard context.channel.isActive else {
                return
            }
            let loop = context.eventLoop.assumeIsolated()
            say(bytes, context).assumeIsolated().whenSuccess {
                // Not at once: a write that finds room succeeds at once, and the loop would come to nothing else.
                loop.scheduleTask(in: .milliseconds(1)) { self.flood(bytes, context) }
            }
        }
    }
}

extension CheckServer {
    /// The outcome of a check of a server with this habit.
    static func outcome(
        of habit: Habit, _ probe: CheckProbe, timeout: TimeAmount = .seconds(10),
        tls: (@Sendable () throws -> NIOSSLContext)? = nil
    ) async throws -> CheckOutcome {
        return try await ControlTesting.onLoop { loop in
            let server = try await CheckServer(habit, tls: try tls?(), on: loop)
            let check = ActiveCheck(loop: loop, contexts: TLSContexts(trustRoots: try TestCertificate.trustRoots()))
            return try await check.check(target(server.address, probe, timeout: timeout)).get()
        }
    }

    static func target(
        _ address: Address, _ probe: CheckProbe = .connect, connectTimeout: TimeAmount = .seconds(10),
        timeout: TimeAmount = .seconds(10)
    ) -> HealthTarget {
        HealthTarget(
            identity: BackendIdentity(service: "web", backend: "b", address: address), checkAddress: address,
            intervalMilliseconds: 2000, connectTimeoutMilliseconds: Int(connectTimeout.nanoseconds / 1_000_000),
            probe: probe, probeTimeoutMilliseconds: Int(timeout.nanoseconds / 1_000_000), fall: 2, rise: 2
        )
    }
}

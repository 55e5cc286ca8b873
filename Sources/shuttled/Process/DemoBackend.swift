// Owns a small HTTP server for the demo: it says which backend it is.
// Leaves to others: what is made of several of them (Demo).

import NIOCore
import NIOHTTP1
import NIOPosix

/// A server on a free loopback port that answers every request with one line. It lives as long as the process.
struct DemoBackend: Sendable {
    let name: String
    let port: Int

    static func start(named name: String, on loop: any EventLoop) async throws -> DemoBackend {
        let channel = try await ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline()
                    try pipeline.addHandler(Greeting(text: "hello from backend \(name)\n"))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        guard let port = channel.localAddress?.port else {
            throw ChannelError.unknownLocalAddress
        }
        return DemoBackend(name: name, port: port)
    }

    private final class Greeting: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let text: String

        init(text: String) {
            self.text = text
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            // The answer goes out when the request has been read: a server that closes earlier resets its client.
            guard case .end = unwrapInboundIn(data) else {
                return
            }
            let headers: HTTPHeaders = [
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Length": "\(text.utf8.count)",
                // Balancing is by connection: with one for each request, each request shows it.
                "Connection": "close",
            ]
            let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: headers)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
                channel.close(promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}

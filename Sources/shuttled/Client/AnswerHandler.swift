// Owns one conversation of the client: sends the request, gathers the answer or hands it on, and knows when it is late.
// Leaves to others: connecting (AdminClient), what the answer says.

import NIOCore
import NIOHTTP1

/// Asks once, as soon as it is connected. Confined to its loop.
final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    /// More than a configuration of 64 MiB with all of its statistics.
    static let bodyMax = 1 << 30
    /// A stream gives a sign of life every 15 s: after four that did not come there is nobody any more.
    static let silenceMax: TimeAmount = .seconds(60)

    /// Gets a piece of a stream; what it throws ends the conversation.
    typealias Receive = @Sendable ([UInt8]) throws(ClientFailure) -> Void

    enum Fault: Error, Equatable {
        /// Nothing came for so long.
        case late(TimeAmount)
        /// The connection ended; `isBegun`: in the middle of the answer.
        case ended(isBegun: Bool)
        case tooLong
    }

    private let head: HTTPRequestHead
    private let body: [UInt8]?
    private let limit: TimeAmount
    private let answer: EventLoopPromise<ClientAnswer>
    private let receive: Receive?
    private var gathered: ClientAnswer?
    private var timer: Scheduled<Void>?

    init(
        head: HTTPRequestHead, body: [UInt8]?, limit: TimeAmount,
        answer: EventLoopPromise<ClientAnswer>, receive: Receive?
    ) {
        self.head = head
        self.body = body
        self.limit = limit
        self.answer = answer
        self.receive = receive
    }

    func channelActive(context: ChannelHandlerContext) {
        setTimer(limit, context)
        // What goes wrong with writing is heard of when the connection ends; an answer may be there all the same.
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if let body {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            gathered = ClientAnswer(status: Int(head.status.code), headers: head.headers)
            if isStream {
                setTimer(AnswerHandler.silenceMax, context)
            }
        case .body(let buffer):
            if isStream {
                do throws(ClientFailure) {
                    try receive?(Array(buffer.readableBytesView))
                    setTimer(AnswerHandler.silenceMax, context)
                } catch {
                    fail(error, context)
                }
                return
            }
            gathered?.body.append(contentsOf: buffer.readableBytesView)
            if let count = gathered?.body.count, count > AnswerHandler.bodyMax {
                fail(Fault.tooLong, context)
            }
        case .end:
            if let gathered {
                answer.succeed(gathered)
            }
            timer?.cancel()
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(Fault.ended(isBegun: gathered != nil), context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case HTTPParserError.invalidEOFState = error {
            fail(Fault.ended(isBegun: gathered != nil), context)
        } else {
            fail(error, context)
        }
    }

    /// Whether this is what was asked to be handed on, and not the problem why it is not.
    private var isStream: Bool { receive != nil && gathered?.status == 200 }

    private func setTimer(_ limit: TimeAmount, _ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: limit) {
            self.fail(Fault.late(limit), context)
        }
    }

    /// The first of an answer and a failure counts.
    private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
        timer?.cancel()
        answer.fail(error)
        context.close(promise: nil)
    }
}

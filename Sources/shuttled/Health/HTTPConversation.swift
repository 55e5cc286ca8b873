// Owns a check by HTTP: one question, and the status of its answer.
// Leaves to others: the form of messages (NIOHTTP1), which status is good (StatusRanges).

import NIOCore
import NIOHTTP1

/// Asks for a path and looks at the status. The body is of no interest.
final class HTTPConversation: CheckConversation {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    static let answerMax = 16 * 1024
    static let reasonWhenTooLong = "the header of the answer has more than \(answerMax) bytes"
    static let closeMode = CloseMode.output

    let verdict: EventLoopPromise<CheckOutcome>
    private let question: HTTPQuestion
    private(set) var isAnswered = false
    private var meter: ReceiveMeter?

    init(_ question: HTTPQuestion, verdict: EventLoopPromise<CheckOutcome>) {
        self.question = question
        self.verdict = verdict
    }

    func codecs(_ meter: ReceiveMeter) -> [any ChannelHandler] {
        self.meter = meter
        return [HTTPRequestEncoder(), ByteToMessageHandler(HTTPResponseDecoder(leftOverBytesStrategy: .dropBytes))]
    }

    func begin(on channel: any Channel) {
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: question.path,
            headers: [
                "Host": question.host, "User-Agent": "shuttle-check", "Accept": "*/*", "Connection": "close",
            ]
        )
        // What goes wrong with it is heard of when the connection ends.
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data) else {
            return
        }
        isAnswered = true
        let status = Int(head.status.code)
        if question.status.contains(status) {
            verdict.succeed(.succeeded)
        } else {
            verdict.succeed(.failed("status \(status), expected \(CheckReason.bounded(question.status.description))"))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        verdict.succeed(.failed(reasonOfEnd))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case HTTPParserError.invalidEOFState:
            verdict.succeed(.failed(reasonOfEnd))
        case HTTPParserError.headerOverflow:
            verdict.succeed(.failed("the header of the answer has too many fields"))
        case is HTTPParserError:
            verdict.succeed(.failed("expected an answer in HTTP, got \(received)"))
        default:
            verdict.succeed(CheckOutcome(error))
        }
    }

    func reasonWhenLate(_ limit: TimeAmount) -> String {
        let isSilent = meter?.count == 0
        return isSilent
            ? CheckReason.noAnswer(within: limit)
            : "the answer's header is not complete within \(CheckReason.milliseconds(limit)), got \(received)"
    }

    private var received: String {
        CheckReason.quoted(meter?.beginning ?? [])
    }

    private var reasonOfEnd: String {
        let isSilent = meter?.count == 0
        return isSilent ? "closed without an answer" : "closed before the answer's header was complete, got \(received)"
    }
}

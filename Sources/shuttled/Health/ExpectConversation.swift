// Owns a check that sends bytes and waits for others.
// Leaves to others: how both are written in a configuration (CheckBytes).

import NIOCore

/// Sends what is to be sent, and reads until what is expected has come.
final class ExpectConversation: CheckConversation {
    typealias InboundIn = ByteBuffer

    static let answerMax = 16 * 1024
    static let reasonWhenTooLong = "what is expected is not in the first \(answerMax) bytes of the answer"
    static let closeMode = CloseMode.output

    let verdict: EventLoopPromise<CheckOutcome>
    private let answer: ExpectedAnswer
    private var received: [UInt8] = []
    private(set) var isAnswered = false

    init(_ answer: ExpectedAnswer, verdict: EventLoopPromise<CheckOutcome>) {
        self.answer = answer
        self.verdict = verdict
    }

    func codecs(_ meter: ReceiveMeter) -> [any ChannelHandler] { [] }

    func begin(on channel: any Channel) {
        if !answer.send.isEmpty {
            // What goes wrong with it is heard of when the connection ends.
            channel.writeAndFlush(ByteBuffer(bytes: answer.send), promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isAnswered else {
            return
        }
        // It may begin in what came before.
        let searched = max(0, received.count - (answer.expect.count - 1))
        let room = ExpectConversation.answerMax - received.count
        received += unwrapInboundIn(data).readableBytesView.prefix(room)
        if ExpectConversation.contains(received[searched...], answer.expect) {
            isAnswered = true
            verdict.succeed(.succeeded)
        } else if received.count >= ExpectConversation.answerMax {
            verdict.succeed(.failed("\(expectation) in the first \(ExpectConversation.answerMax) bytes, got \(got)"))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        let reason = received.isEmpty ? "closed without an answer" : "\(expectation), got \(got) and the end"
        verdict.succeed(.failed(reason))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        verdict.succeed(CheckOutcome(error))
    }

    func reasonWhenLate(_ limit: TimeAmount) -> String {
        received.isEmpty
            ? CheckReason.noAnswer(within: limit)
            : "\(expectation) within \(CheckReason.milliseconds(limit)), got \(got)"
    }

    private var expectation: String { "expected \(CheckReason.quoted(answer.expect))" }
    private var got: String { CheckReason.quoted(received) }

    /// Whether `pattern`, which is not empty, is in `bytes`. Both are small.
    static func contains(_ bytes: ArraySlice<UInt8>, _ pattern: [UInt8]) -> Bool {
        guard let first = pattern.first, bytes.count >= pattern.count else {
            return false
        }
        var rest = bytes
        while rest.count >= pattern.count, let start = rest.firstIndex(of: first) {
            rest = rest[start...]
            if rest.starts(with: pattern) {
                return true
            }
            rest = rest.dropFirst()
        }
        return false
    }
}

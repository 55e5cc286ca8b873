// Owns what the checks that talk have in common: the seam to the one that makes them, and counting what a backend sends.
// Leaves to others: what is said (HTTPConversation, ExpectConversation, TLSConversation), and time (CheckDeadline).

import NIOCore

/// What is said on a connection, and what comes of it. Confined to the loop, like its handlers.
protocol CheckConversation: ChannelInboundHandler {
    /// Kept once: what comes after that is not looked at.
    var verdict: EventLoopPromise<CheckOutcome> { get }
    /// Bytes of an answer in which no verdict was found, beyond which none is looked for.
    static var answerMax: Int { get }
    /// What is said then.
    static var reasonWhenTooLong: String { get }
    /// How the connection ends after a good answer.
    static var closeMode: CloseMode { get }

    /// Whether the backend has said what it was asked for, so that the connection may end politely.
    var isAnswered: Bool { get }

    /// The handlers between the meter and the conversation, which is the last handler itself.
    func codecs(_ meter: ReceiveMeter) throws -> [any ChannelHandler]
    /// Says the first word.
    func begin(on channel: any Channel)
    /// What is said when the time has passed.
    func reasonWhenLate(_ limit: TimeAmount) -> String
}

/// Counts what a backend sends and keeps its beginning: the first handler of a check's connection.
final class ReceiveMeter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Bytes that a backend may send after the verdict, before it has closed: an answer's body, say.
    static let lingerMax = 256 * 1024

    private(set) var count = 0
    /// As much as a reason shows.
    private(set) var beginning: [UInt8] = []
    private var countMax: Int
    private var exceeded: () -> Void
    private var context: ChannelHandlerContext?

    init(countMax: Int, exceeded: @escaping () -> Void) {
        self.countMax = countMax
        self.exceeded = exceeded
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        count += buffer.readableBytes
        if beginning.count <= CheckReason.shownMax {
            beginning += buffer.readableBytesView.prefix(CheckReason.shownMax + 1 - beginning.count)
        }
        context.fireChannelRead(data)
        // Only now: what was awaited may have been in it, before a body that is of no interest.
        if count > countMax {
            exceeded()
        }
    }

    /// The verdict is there; what comes now is only waited for.
    func linger() {
        countMax = count + ReceiveMeter.lingerMax
        exceeded = { [weak self] in self?.close() }
    }

    /// Closes the connection without a word of the protocols above.
    func close() {
        context?.close(promise: nil)
    }
}

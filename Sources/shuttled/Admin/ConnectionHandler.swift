// Owns an admin connection's conduct: one request at a time, deadlines, when the connection ends, how it ends without
// destroying what is under way, and the answers to what is not a request at all.
// Leaves to others: what to do when (ConnectionState), answering requests (AdminResponder).

import Hummingbird
import NIOCore
import NIOHTTP1

/// Stands between the HTTP parser and Hummingbird.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Sent down the pipeline by those who answer.
    enum Event {
        /// A request's body is about to be read.
        case bodyWanted
        /// The answer may be long in coming, or in going; the presence is told when its client leaves.
        case answerTakesLong(ClientPresence, LongAnswerKind)
    }

    /// The end of a body whose rest will not come, because the request has been refused.
    struct BodyCutOff: Error {}

    /// What came while the request before was still being answered.
    private enum Held {
        case part(HTTPServerRequestPart)
        case inputClosed
        case failure(HTTPParserError)
    }

    private let table: ConnectionTable
    private let requestLine: RequestLineTap
    private var state: ConnectionState
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    private var timerDeadline = NIODeadline.distantFuture
    private var held: [Held] = []
    private var isReadHeld = false
    /// The answer under way was made here: Hummingbird's, if one comes, is dropped.
    private var isAnsweredHere = false
    private var isHTTP10 = false
    /// The client waits to be asked for the body.
    private var expectsContinue = false
    /// Of the client whose answer takes long.
    private var presence: ClientPresence?

    init(table: ConnectionTable, requestLine: RequestLineTap, limits: AdminLimits) {
        self.table = table
        self.requestLine = requestLine
        self.state = ConnectionState(limits: limits, now: .now())
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        schedule(context: context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        timer?.cancel()
        timer = nil
        held.removeAll()
        endPresence(.left)
        table.leave(self)
    }

    // MARK: Input

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        take(unwrapInboundIn(data), context: context)
    }

    private func take(_ part: HTTPServerRequestPart, context: ChannelHandlerContext) {
        if state.dropsInput {
            if case .body(let buffer) = part, !state.inputDropped(buffer.readableBytes) {
                abort(context: context)
            }
            return
        }
        if state.phase == .answering {
            held.append(.part(part))
            return
        }
        let now = NIODeadline.now()
        switch part {
        case .head(let head):
            if let problem = ProblemDetails(target: head.uri, host: head.headers.first(name: "host")) {
                refuse(problem, context: context)
                return
            }
            isHTTP10 = head.version == .http1_0
            expectsContinue = head.headers[canonicalForm: "expect"].contains { $0.lowercased() == "100-continue" }
            // The parser stops after a request that asks for another protocol.
            let isUpgrade = head.method == .CONNECT || head.headers.contains(name: "upgrade")
            state.headArrived(
                bodyBytes: ConnectionHandler.bodyLength(head.headers), keepsAlive: head.isKeepAlive && !isUpgrade,
                now: now
            )
        case .body:
            expectsContinue = false
            state.bodyArrived(now: now)
        case .end:
            expectsContinue = false
            state.requestEnded(now: now)
        }
        schedule(context: context)
        context.fireChannelRead(wrapInboundOut(part))
    }

    /// `nil` when it is not declared.
    private static func bodyLength(_ headers: HTTPHeaders) -> Int? {
        if headers.contains(name: "transfer-encoding") {
            return nil
        }
        return headers.first(name: "content-length").map { Int($0) ?? .max } ?? 0
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if state.dropsInput {
            // Nobody behind us takes what comes, hence nobody asks for more.
            context.read()
            return
        }
        state.inputArrived(now: .now())
        schedule(context: context)
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        // The next request waits in the kernel, which makes its sender wait.
        if state.phase == .answering {
            isReadHeld = true
        } else {
            context.read()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            return
        }
        if case ChannelEvent.inputClosed? = event as? ChannelEvent {
            if state.dropsInput {
                return
            }
            if state.phase == .answering {
                held.append(.inputClosed)
                // It may only have ended its side; but one that has gone looks the same, and keeps others waiting.
                endPresence(.left)
                return
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let failure = error as? HTTPParserError else {
            context.fireErrorCaught(error)
            return
        }
        if state.dropsInput {
            return
        }
        if state.phase == .answering {
            held.append(.failure(failure))
            return
        }
        let methodProblem = failure == .invalidMethod && state.phase == .waiting ? requestLine.methodProblem : nil
        refuse(methodProblem ?? ProblemDetails(failure, limits: state.limits), context: context)
    }

    /// What came during the answer that is now out.
    private func takeHeld(context: ChannelHandlerContext) {
        var isPassedOn = false
        while !held.isEmpty, state.phase == .waiting || state.phase == .receiving {
            switch held.removeFirst() {
            case .part(let part):
                take(part, context: context)
                isPassedOn = true
            case .inputClosed: context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            case .failure(let failure): refuse(ProblemDetails(failure, limits: state.limits), context: context)
            }
        }
        if isPassedOn {
            context.fireChannelReadComplete()
        }
    }

    // MARK: Output

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if isAnsweredHere {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        switch unwrapOutboundIn(data) {
        case .head(var head):
            if state.answerBegan(now: .now()) {
                head.headers.replaceOrAdd(name: "Connection", value: "close")
            } else if isHTTP10 {
                head.headers.replaceOrAdd(name: "Connection", value: "keep-alive")
            }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body(let body):
            state.answerGrew(body.readableBytes)
            context.write(data, promise: promise)
        case .end:
            let flushed = endAnswer(context: context)
            flushed.futureResult.cascade(to: promise)
            context.write(data, promise: flushed)
        }
    }

    /// Notes that an answer ends; the promise is for its last write.
    private func endAnswer(context: ChannelHandlerContext) -> EventLoopPromise<Void> {
        state.answerEnded(now: .now())
        schedule(context: context)
        let flushed = context.eventLoop.makePromise(of: Void.self)
        flushed.futureResult.assumeIsolated().whenSuccess {
            if let context = self.context {
                self.answerFlushed(context: context)
            }
        }
        return flushed
    }

    private func answerFlushed(context: ChannelHandlerContext) {
        presence = nil
        guard state.answerFlushed(now: .now()) else {
            beginLingering(context: context)
            return
        }
        schedule(context: context)
        takeHeld(context: context)
        if isReadHeld, state.phase != .answering {
            isReadHeld = false
            context.read()
        }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        switch event as? Event {
        case .bodyWanted?:
            askForBody(context: context, promise: promise)
        case .answerTakesLong(let presence, let kind)?:
            attend(presence, kind, context: context)
            promise?.succeed()
        case nil:
            context.triggerUserOutboundEvent(event, promise: promise)
        }
    }

    private func askForBody(context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        if expectsContinue, state.phase == .receiving, state.answer == .none {
            expectsContinue = false
            let head = HTTPResponseHead(version: .http1_1, status: .continue)
            context.writeAndFlush(wrapOutboundOut(.head(head)), promise: promise)
        } else {
            promise?.succeed()
        }
    }

    // MARK: Answers that take long

    private func attend(_ presence: ClientPresence, _ kind: LongAnswerKind, context: ChannelHandlerContext) {
        self.presence = presence
        if kind == .stream {
            state.answerStreams(now: .now())
            schedule(context: context)
        }
        let hasLeft = held.contains { if case .inputClosed = $0 { true } else { false } }
        if hasLeft || isAnsweredHere {
            endPresence(.left)
        } else if state.isStopping {
            endPresence(.stopping)
        }
    }

    private func endPresence(_ reason: ClientPresence.End) {
        presence.take()?.end(reason)
    }

    // MARK: The end

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode != .input else {
            context.close(mode: mode, promise: promise)
            return
        }
        guard state.answer == .none, state.phase != .lingering else {
            // An answer is under way, which closing now would cut off: once it is out, the connection ends by itself.
            state.makeLast()
            context.channel.closeFuture.cascade(to: promise)
            return
        }
        if mode == .output {
            state.linger(now: .now())
            schedule(context: context)
        }
        context.close(mode: mode, promise: promise)
    }

    private func beginLingering(context: ChannelHandlerContext) {
        schedule(context: context)
        held.removeAll()
        context.close(mode: .output, promise: nil)
        // Reading may have been held back, or given up behind us.
        context.read()
    }

    /// Answers what is not, or will not become, a request, and ends the connection.
    private func refuse(_ problem: ProblemDetails, context: ChannelHandlerContext) {
        let wasReceiving = state.phase == .receiving
        guard state.answer == .none else {
            // Answered already, and the rest of the request is broken.
            state.makeLast()
            return
        }
        isAnsweredHere = true
        state.makeLast()
        _ = state.answerBegan(now: .now())
        let response = problem.response
        var headers = HTTPHeaders(response.headers.map { ($0.name.rawName, $0.value) })
        headers.replaceOrAdd(name: "Date", value: HTTPDate.now())
        headers.replaceOrAdd(name: "Connection", value: "close")
        let status = HTTPResponseStatus(
            statusCode: problem.kind.status.code, reasonPhrase: problem.kind.status.reasonPhrase
        )
        let body = ByteBuffer(bytes: problem.bytes)
        state.answerGrew(body.readableBytes)
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil
        )
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: endAnswer(context: context))
        // Whoever waits for more of this request, or for the next one, waits in vain.
        if wasReceiving {
            context.fireErrorCaught(BodyCutOff())
        } else {
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
    }

    private func abort(context: ChannelHandlerContext) {
        context.close(promise: nil)
    }

    // MARK: Time

    private func schedule(context: ChannelHandlerContext) {
        // A timer that runs early only looks again; it is not worth moving at every step.
        guard let deadline = state.nextDeadline(now: .now()) else {
            return
        }
        if timer != nil, timerDeadline <= deadline {
            return
        }
        timer?.cancel()
        timerDeadline = deadline
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.timer = nil
            if let context = self.context {
                self.timerFired(context: context)
            }
        }
    }

    private func timerFired(context: ChannelHandlerContext) {
        let unsent = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        switch state.overdue(unsentBytes: unsent, now: .now()) {
        case nil: schedule(context: context)
        case .close:
            endPresence(.stalled)
            abort(context: context)
        case .head: refuse(.headTimeout(state.limits), context: context)
        case .body: refuse(.bodyTimeout(state.limits), context: context)
        }
    }
}

extension ConnectionHandler: TableMember {
    func expendability(now: NIODeadline) -> (rank: Int, since: NIODeadline)? {
        state.expendability(now: now)
    }

    func evict() {
        if let context {
            abort(context: context)
        }
    }

    func finish() {
        guard let context else {
            return
        }
        if state.stop(now: .now()) {
            abort(context: context)
        } else {
            endPresence(.stopping)
            schedule(context: context)
        }
    }
}

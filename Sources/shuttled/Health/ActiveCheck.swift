// Owns one check from its connect to its end, whatever its type.
// Leaves to others: the connection (CheckConnector), what is said on it (the conversations), when to check whom
// (HealthMonitor), and what a failure leads to (HealthTracker).

import NIOCore
import ShuttleEngine

/// Checks backends as they are configured to be checked. Confined to the loop.
final class ActiveCheck {
    private let loop: any EventLoop
    private let connector: CheckConnector
    private let contexts: TLSContexts

    init(loop: any EventLoop, contexts: TLSContexts = TLSContexts()) {
        self.loop = loop
        self.contexts = contexts
        connector = CheckConnector(loop: loop)
    }

    func check(_ target: HealthTarget) -> EventLoopFuture<CheckOutcome> {
        let promise = loop.makePromise(of: CheckOutcome.self)
        connector.connect(to: target.checkAddress, timeout: .milliseconds(Int64(target.connectTimeoutMilliseconds)))
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    self.connected(channel, target, promise)
                case .failure(let error):
                    promise.succeed((error as? CheckConnector.Failure)?.outcome ?? CheckOutcome(error))
                }
            }
        return promise.futureResult
    }

    private func connected(_ channel: any Channel, _ target: HealthTarget, _ verdict: EventLoopPromise<CheckOutcome>) {
        let limit = TimeAmount.milliseconds(Int64(target.probeTimeoutMilliseconds))
        if let version = target.proxyProtocol {
            // Before there is a handler that could say something: the backend waits for it.
            channel.writeAndFlush(ByteBuffer(bytes: version.headerOfOwnConnections), promise: nil)
        }
        switch target.probe {
        case .connect:
            verdict.succeed(.succeeded)
            connector.end(channel, mode: .output)
        case .http(let question):
            converse(HTTPConversation(question, verdict: verdict), channel, limit: limit)
        case .expect(let answer):
            converse(ExpectConversation(answer, verdict: verdict), channel, limit: limit)
        case .tls(let peer):
            converse(TLSConversation(peer, contexts, verdict: verdict), channel, limit: limit)
        }
    }

    private func converse<Conversation: CheckConversation>(
        _ conversation: Conversation, _ channel: any Channel, limit: TimeAmount
    ) {
        let verdict = conversation.verdict
        let meter = ReceiveMeter(countMax: Conversation.answerMax) {
            verdict.succeed(.failed(Conversation.reasonWhenTooLong))
        }
        do {
            let codecs = try conversation.codecs(meter)
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandlers([meter, conversation] as [any ChannelHandler])
            // Last: one of them begins to talk as soon as it is there.
            try pipeline.addHandlers(codecs, position: .after(meter))
        } catch {
            // Of our own making, such as trust roots that cannot be read.
            verdict.succeed(.inconclusive(CheckReason.bounded("the check could not be set up: \(error)")))
            channel.close(promise: nil)
            return
        }
        let deadline = CheckDeadline(channel, limit: limit) { decision in
            verdict.succeed(
                decision == .inconclusive
                    ? .inconclusive("this process was too busy to hear the answer")
                    : .failed(conversation.reasonWhenLate(limit))
            )
        }
        verdict.futureResult.assumeIsolated().whenComplete { _ in
            deadline.cancel()
            meter.linger()
            if conversation.isAnswered {
                self.connector.end(channel, mode: Conversation.closeMode)
            } else {
                meter.close()
            }
        }
        conversation.begin(on: channel)
    }
}

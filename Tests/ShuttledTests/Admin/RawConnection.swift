// A client that sends exactly the bytes a test gives it and reads answers with a deadline.

import NIOCore
import NIOPosix
import Testing

/// An answer, taken apart.
struct RawResponse: CustomStringConvertible {
    var status: Int
    /// Names in lower case.
    var headers: [(name: String, value: String)]
    var body: String

    subscript(name: String) -> String? { headers.first { $0.name == name }?.value }

    var description: String { "\(status) \(headers) \(body)" }
}

enum RawConnectionError: Error {
    /// Nothing that was waited for came in time; what had come until then.
    case deadline(String)
    case closed(String)
    case unreadable(String)
}

/// One connection to a server.
final class RawConnection: Sendable {
    let channel: any Channel
    private let received: NIOLoopBound<ReceivedHandler>

    /// Nothing in these tests takes that long, unless it hangs.
    static let deadline = TimeAmount.seconds(20)

    private init(channel: any Channel, received: NIOLoopBound<ReceivedHandler>) {
        self.channel = channel
        self.received = received
    }

    /// Connects to `host:port` or `unix:/path`.
    static func open(_ address: String, on group: any EventLoopGroup) async throws -> RawConnection {
        let bootstrap = ClientBootstrap(group: group)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ReceivedHandler())
                }
            }
        let channel: any Channel
        if address.hasPrefix("unix:") {
            channel = try await bootstrap.connect(unixDomainSocketPath: String(address.dropFirst(5))).get()
        } else {
            let colon = try #require(address.lastIndex(of: ":"))
            let host = address[..<colon].filter { $0 != "[" && $0 != "]" }
            let port = try #require(Int(address[address.index(after: colon)...]))
            channel = try await bootstrap.connect(host: String(host), port: port).get()
        }
        let received = try await channel.eventLoop.submit {
            NIOLoopBound(
                try channel.pipeline.syncOperations.handler(type: ReceivedHandler.self), eventLoop: channel.eventLoop
            )
        }.get()
        return RawConnection(channel: channel, received: received)
    }

    /// Whatever happens to them: a server may close while it is being sent to.
    func send(_ text: String) async {
        try? await channel.writeAndFlush(ByteBuffer(string: text)).get()
    }

    func send(bytes: [UInt8]) async {
        try? await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
    }

    /// Ends this side, as after the last request.
    func finish() async {
        try? await channel.close(mode: .output).get()
    }

    func close() async {
        try? await channel.close().get()
    }

    /// The next answer, removed from what has been received. `hasBody` is false for HEAD.
    func response(hasBody: Bool = true) async throws -> RawResponse {
        try await wait { text, isClosed in
            guard let end = text.firstRange(of: "\r\n\r\n") else {
                if isClosed { throw RawConnectionError.closed(text) }
                return nil
            }
            var response = try RawConnection.head(text[..<end.lowerBound])
            let rest = text[end.upperBound...].utf8
            let length = hasBody && response.status >= 200 ? response["content-length"].flatMap { Int($0) } ?? 0 : 0
            guard rest.count >= length else {
                if isClosed { throw RawConnectionError.closed(text) }
                return nil
            }
            response.body = String(decoding: rest.prefix(length), as: UTF8.self)
            text = String(decoding: rest.dropFirst(length), as: UTF8.self)
            return response
        }
    }

    /// What has come so far, once it is enough. It stays, for who asks again.
    func text(_ isEnough: @escaping @Sendable (String) -> Bool) async throws -> String {
        try await wait { text, isClosed in
            if !isEnough(text), isClosed {
                throw RawConnectionError.closed(text)
            }
            return isEnough(text) ? text : nil
        }
    }

    /// Everything up to the end of the connection, which ends on this side as well then.
    func untilClosed() async throws -> String {
        let text = try await wait { text, isClosed in isClosed ? text : nil }
        await close()
        return text
    }

    private static func head(_ text: Substring) throws -> RawResponse {
        let lines = text.components(at: "\r\n")
        let first = lines[0].split(separator: " ", maxSplits: 2)
        guard first.count >= 2, first[0] == "HTTP/1.1", let status = Int(first[1]) else {
            throw RawConnectionError.unreadable(String(text))
        }
        let headers = try lines.dropFirst().map { line in
            let colon = try #require(line.firstIndex(of: ":"))
            return (
                name: line[..<colon].lowercased(),
                value: String(line[line.index(after: colon)...].drop { $0 == " " })
            )
        }
        return RawResponse(status: status, headers: headers, body: "")
    }

    private func wait<Value: Sendable>(
        _ look: @escaping @Sendable (inout String, Bool) throws -> Value?
    ) async throws -> Value {
        let received = self.received
        return try await channel.eventLoop.flatSubmit {
            received.value.wait(on: received.eventLoop, for: RawConnection.deadline, look)
        }.get()
    }
}

extension Substring {
    fileprivate func components(at separator: String) -> [Substring] {
        var parts: [Substring] = []
        var rest = self
        while let range = rest.firstRange(of: separator) {
            parts.append(rest[..<range.lowerBound])
            rest = rest[range.upperBound...]
        }
        return parts + [rest]
    }
}

/// Collects what comes and wakes whoever waits for it.
private final class ReceivedHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var text = ""
    private var isClosed = false
    private var onChange: (() -> Void)?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        text += String(buffer: unwrapInboundIn(data))
        onChange?()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent {
            end()
        }
    }

    func channelInactive(context: ChannelHandlerContext) { end() }

    /// A reset is an end as well.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { end() }

    private func end() {
        isClosed = true
        onChange?()
    }

    func wait<Value: Sendable>(
        on loop: any EventLoop, for limit: TimeAmount, _ look: @escaping (inout String, Bool) throws -> Value?
    ) -> EventLoopFuture<Value> {
        let promise = loop.makePromise(of: Value.self)
        let late = loop.assumeIsolated().scheduleTask(in: limit) {
            self.onChange = nil
            promise.fail(RawConnectionError.deadline(self.text))
        }
        onChange = {
            do {
                guard let value = try look(&self.text, self.isClosed) else { return }
                promise.succeed(value)
            } catch {
                promise.fail(error)
            }
            self.onChange = nil
            late.cancel()
        }
        onChange?()
        return promise.futureResult
    }
}

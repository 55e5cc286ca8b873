// Owns saying what is wrong with a request whose method the parser does not know: it gives up before the path, and the
// answer depends on the path.
// Leaves to others: everything that the parser understands.

import Hummingbird
import NIOCore

/// Sits before the parser and keeps in view what it is reading.
final class RequestLineTap: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// What is being parsed right now.
    private var current: ByteBuffer?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // The parser reports from within this call; afterwards the buffer is its own to reuse.
        current = unwrapInboundIn(data)
        context.fireChannelRead(data)
        current = nil
    }

    /// The problem of a request that begins with what is being parsed, if its method is all that is wrong with it.
    var methodProblem: ProblemDetails? {
        guard let current else {
            return nil
        }
        return RequestLineTap.methodProblem(ofLine: current.readableBytesView.prefix { $0 != UInt8(ascii: "\r") })
    }

    static func methodProblem(ofLine line: some Collection<UInt8>) -> ProblemDetails? {
        let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        // A line that is right up to here was not the one at fault: it came before, in the same packet.
        guard parts.count == 3, parts[2] == "HTTP/1.1" || parts[2] == "HTTP/1.0",
            let method = HTTPRequest.Method(parts[0]), !AdminRoute.everyMethod.contains(method)
        else {
            return nil
        }
        do throws(ProblemDetails) {
            try AdminRoute(path: RequestTarget(parts[1]).path).check(method: method)
            return nil
        } catch {
            return error
        }
    }
}

// Owns taking in a request's body, of bounded size.
// Leaves to others: the time it may take (ConnectionState), and what is in it (shuttled/Configuration).

import Hummingbird
import NIOCore

/// Reads bodies whole.
enum RequestBodyReader {
    /// The body's bytes. Throws a problem when they are more than `bytesMax`, the connection's error when it breaks.
    static func bytes(of body: RequestBody, declaredLength: Int?, max bytesMax: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        // What a client declares, it may never send.
        bytes.reserveCapacity(min(declaredLength ?? 0, 1 << 20))
        for try await part in body {
            guard part.readableBytes <= bytesMax - bytes.count else {
                throw ContentRules.tooLarge("the body has more than \(bytesMax) bytes", max: bytesMax)
            }
            bytes.append(contentsOf: part.readableBytesView)
        }
        // What was cut off must never be taken for the whole.
        if let declaredLength, bytes.count != declaredLength {
            throw ProblemDetails(
                .malformedRequest, "the body ended after \(bytes.count) of \(declaredLength) bytes; send it whole"
            )
        }
        return bytes
    }
}

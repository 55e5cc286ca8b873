// Owns what all answers of the admin API have in common.
// Leaves to others: what they say.

import Hummingbird
import NIOCore

extension Response {
    /// An answer with a body. Nothing may be stored: the next request may come after a change.
    static func admin(
        _ status: HTTPResponse.Status, contentType: String, body: [UInt8], headers: HTTPFields = [:]
    ) -> Response {
        var fields = headers
        fields[.contentType] = contentType
        fields[.cacheControl] = "no-store"
        // A browser must not take what is printed here for something else.
        fields[.xContentTypeOptions] = "nosniff"
        return Response(
            status: status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body))
        )
    }

    static func json(_ body: [UInt8], headers: HTTPFields = [:]) -> Response {
        admin(.ok, contentType: "application/json", body: body, headers: headers)
    }

    static func text(_ status: HTTPResponse.Status, _ text: String) -> Response {
        admin(status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
    }

    /// Success without a body.
    static func noContent(headers: HTTPFields) -> Response {
        var response = Response(status: .noContent, headers: headers)
        response.headers[.cacheControl] = "no-store"
        // A 204 has no length, not even 0 (RFC 9110, 8.6).
        response.headers[.contentLength] = nil
        return response
    }
}

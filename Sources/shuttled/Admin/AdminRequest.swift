// Owns a request that has been let in and whose route is known, and how a change that it carries is made: one way for
// all resources.
// Leaves to others: who is let in (RequestGuard), what each resource reads out of a body (the resources).

import Hummingbird
import NIOCore
import ShuttleEngine

/// A request on its way to a resource.
struct AdminRequest: Sendable {
    let head: HTTPRequest
    let body: RequestBody
    let parameters: [(name: String, value: String)]
    /// Who asks, for the log: an address, or `unix` with the process where the system knows it.
    let peer: String
    let limits: AdminLimits
    /// Called before a body is read: its sender may be waiting to be asked for it.
    let announceBody: @Sendable () -> Void

    /// What is read out of a body.
    typealias Decoder = @Sendable ([UInt8]) throws(ConfigurationDecodingError) -> DecodedChange

    struct DecodedChange: Sendable {
        var change: ConfigurationChange
        /// JSON pointer of what is changed within the body.
        var pointerPrefix = ""
    }

    /// Makes the change that the body describes.
    func change(_ control: any AdminControl, max bytesMax: Int, decode: @escaping Decoder) async throws -> Response {
        try checkSupported()
        if let refusal = ContentRules.typeRefusal(head.headerFields) {
            throw refusal
        }
        let bytes = try await readBody(max: bytesMax)
        let decoded: DecodedChange
        do throws(ConfigurationDecodingError) {
            decoded = try await HeavyWork.run(isLong: bytes.count >= HeavyWork.bytesMin) {
                () throws(ConfigurationDecodingError) in try decode(bytes)
            }
        } catch {
            throw ProblemDetails(error)
        }
        return try await apply(decoded, to: control)
    }

    /// Makes a change that needs no body. One that comes is read before: the change may take longer than its sender may
    /// pause, and would be made while its answer says that it came too slowly.
    func change(_ control: any AdminControl, to change: ConfigurationChange) async throws -> Response {
        try checkSupported()
        _ = try await readBody(max: limits.objectBytesMax)
        return try await apply(DecodedChange(change: change), to: control)
    }

    private func readBody(max bytesMax: Int) async throws -> [UInt8] {
        if let refusal = ContentRules.lengthRefusal(head.headerFields, max: bytesMax) {
            throw refusal
        }
        announceBody()
        let declared = head.headerFields[.contentLength].flatMap { Int($0) }
        return try await RequestBodyReader.bytes(of: body, declaredLength: declared, max: bytesMax)
    }

    private func apply(_ decoded: DecodedChange, to control: any AdminControl) async throws -> Response {
        let origin = ChangeOrigin(
            peer: peer, request: "\(head.method.rawValue) \(head.path ?? "")", pointerPrefix: decoded.pointerPrefix
        )
        let configuration: [ServiceConfiguration]
        do throws(ChangeRefusal) {
            configuration = try await control.apply(decoded.change, origin: origin)
        } catch {
            throw ProblemDetails(error)
        }
        if Preferences(head.headerFields).wantsMinimalReturn {
            return .noContent(headers: [HTTPFields.Element.Name("Preference-Applied")!: "return=minimal"])
        }
        return await .configuration(configuration)
    }

    /// Refuses what would make the change another one if it were understood: a dry run, a condition. Passing over it
    /// would change what the client did not want changed.
    private func checkSupported() throws(ProblemDetails) {
        if let parameter = parameters.first {
            throw ProblemDetails(
                .unsupportedParameter,
                "the query has \(Quoted(parameter.name)), and changes take no parameters; remove it. "
                    + "Nothing was changed"
            )
        }
        let conditions: [HTTPFields.Element.Name] = [.ifMatch, .ifNoneMatch, .ifUnmodifiedSince]
        for condition in conditions where head.headerFields[condition] != nil {
            throw ProblemDetails(
                .unsupportedParameter,
                "the request has \(condition.rawName), and conditional changes are not supported; remove it. "
                    + "Nothing was changed"
            )
        }
    }
}

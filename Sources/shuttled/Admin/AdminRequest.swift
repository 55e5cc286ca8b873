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
    /// Who that is by name, and what they may do; nil where there are no tokens.
    let caller: Caller?
    /// What the request is called in the log; empty for nothing.
    let identifier: String
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
        let condition = try checkedCondition()
        if let refusal = ContentRules.typeRefusal(head.headerFields, method: head.method) {
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
        return try await apply(decoded, if: condition, to: control)
    }

    /// Makes a change that needs no body. One that comes is read before: the change may take longer than its sender may
    /// pause, and would be made while its answer says that it came too slowly.
    func change(_ control: any AdminControl, to change: ConfigurationChange) async throws -> Response {
        let condition = try checkedCondition()
        _ = try await readBody(max: limits.objectBytesMax)
        return try await apply(DecodedChange(change: change), if: condition, to: control)
    }

    private func readBody(max bytesMax: Int) async throws -> [UInt8] {
        if let refusal = ContentRules.lengthRefusal(head.headerFields, max: bytesMax) {
            throw refusal
        }
        announceBody()
        let declared = head.headerFields[.contentLength].flatMap { Int($0) }
        return try await RequestBodyReader.bytes(of: body, declaredLength: declared, max: bytesMax)
    }

    private func apply(
        _ decoded: DecodedChange, if condition: ChangeCondition, to control: any AdminControl
    ) async throws -> Response {
        let parameters = try ChangeParameters(parameters)
        var origin = origin
        origin.pointerPrefix = decoded.pointerPrefix
        origin.confirmWithin = parameters.confirmWithin
        if parameters.isDryRun {
            do throws(ChangeRefusal) {
                return await .preview(
                    try await control.preview(decoded.change, origin: origin, if: condition), of: decoded.change
                )
            } catch {
                throw ProblemDetails(error)
            }
        }
        let live: LiveConfiguration
        do throws(ChangeRefusal) {
            live = try await control.apply(decoded.change, origin: origin, if: condition)
        } catch {
            throw ProblemDetails(error)
        }
        return await answer(live, of: decoded.change.part)
    }

    /// Reads a body that is JSON.
    func document() async throws -> JSONDocument {
        if let refusal = ContentRules.typeRefusal(head.headerFields, method: head.method) {
            throw refusal
        }
        let bytes = try await readBody(max: limits.objectBytesMax)
        do throws(ConfigurationDecodingError) {
            return try ConfigurationDecoder.document(parsing: bytes)
        } catch {
            throw ProblemDetails(error)
        }
    }

    /// Reads a body that nobody needs, so that its sender gets the answer.
    func passOverBody() async throws {
        _ = try await readBody(max: limits.objectBytesMax)
    }

    /// Who makes this request.
    var origin: ChangeOrigin {
        ChangeOrigin(
            peer: peer, request: "\(head.method.rawValue) \(head.path ?? "")", caller: caller,
            identifier: identifier.isEmpty ? nil : identifier
        )
    }

    /// The answer of a change that was made.
    private func answer(_ live: LiveConfiguration, of part: ConfigurationPart) async -> Response {
        // What was removed is at no version any more.
        var headers = live.versions.tag(of: part)?.headers ?? [:]
        if let pending = live.pending {
            headers[ConfirmationResource.idField] = "\(pending.id)"
            headers[ConfirmationResource.untilField] = Timestamp.text(milliseconds: pending.untilMilliseconds)
        }
        if Preferences(head.headerFields).wantsMinimalReturn {
            headers[HTTPFields.Element.Name("Preference-Applied")!] = "return=minimal"
            return .noContent(headers: headers)
        }
        return await .configuration(live.services, headers: headers)
    }

    /// Decides about a change that was made before: like a change it has no body and is answered with the configuration.
    func decide(
        _ decide: @Sendable (ChangeOrigin, ChangeCondition) async throws(ChangeRefusal) -> LiveConfiguration
    ) async throws -> Response {
        if let parameter = parameters.first {
            throw ProblemDetails(
                .unsupportedParameter,
                "the query has \(Quoted(parameter.name)), and nothing is asked here; remove it. Nothing was changed"
            )
        }
        let condition = try checkedCondition()
        _ = try await readBody(max: limits.objectBytesMax)
        do throws(ChangeRefusal) {
            return await answer(try await decide(origin, condition), of: .whole)
        } catch {
            throw ProblemDetails(error)
        }
    }

    /// The condition of a change. Refuses what would make the change another one if it were understood: passing over it
    /// would change what the client did not want changed.
    private func checkedCondition() throws(ProblemDetails) -> ChangeCondition {
        _ = try ChangeParameters(parameters)
        let condition = HTTPFields.Element.Name.ifUnmodifiedSince
        guard head.headerFields[condition] == nil else {
            throw ProblemDetails(
                .unsupportedParameter,
                "the request has \(condition.rawName), and versions have no dates here; use If-Match with the ETag of "
                    + "an answer. Nothing was changed"
            )
        }
        return try ChangeCondition(head.headerFields)
    }
}

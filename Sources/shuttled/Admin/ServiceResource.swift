// Owns `/{service}`: one service's statistics, creating, replacing and removing it.
// Leaves to others: its backends one by one (BackendResource).

import Hummingbird
import ShuttleEngine

struct ServiceResource: Sendable {
    let control: any AdminControl
    let name: String

    func get() async throws -> Response {
        let live = await control.statistics()
        guard let service = live.services.first(where: { $0.configuration.name == name }) else {
            throw ProblemDetails.unknownService(name)
        }
        return .json(
            StatisticsEncoder.bytes(of: service), headers: live.versions.tag(of: .service(name))?.headers ?? [:]
        )
    }

    /// Its configuration alone.
    func getConfiguration(_ request: AdminRequest) async throws -> Response {
        let live = await control.configuration()
        guard let service = live.services.first(where: { $0.name == name }),
            let tag = live.versions.tag(of: .service(name))
        else {
            throw ProblemDetails.unknownService(name)
        }
        return try await request.read(tag) {
            .json(ConfigurationEncoder.bytes(of: service), headers: tag.headers)
        }
    }

    /// Creates or replaces the service; the backends in the body are the ones it has then.
    func put(_ request: AdminRequest) async throws -> Response {
        let name = self.name
        return try await request.change(control, max: request.limits.objectBytesMax) {
            bytes throws(ConfigurationDecodingError) in
            AdminRequest.DecodedChange(
                change: .putService(try ConfigurationDecoder.service(parsing: bytes, named: name)))
        }
    }

    /// Merges the body into the service.
    func patch(_ request: AdminRequest) async throws -> Response {
        let name = self.name
        return try await request.change(control, max: request.limits.objectBytesMax) {
            bytes throws(ConfigurationDecodingError) in
            AdminRequest.DecodedChange(
                change: .patchService(name: name, try ConfigurationDecoder.document(parsing: bytes)))
        }
    }

    func delete(_ request: AdminRequest) async throws -> Response {
        try await request.change(control, to: .deleteService(name: name))
    }
}

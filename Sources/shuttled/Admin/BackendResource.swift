// Owns `/{service}/{backend}`: one backend's statistics, creating, replacing and removing it.
// Leaves to others: the service around it (ServiceResource).

import Hummingbird
import ShuttleEngine

struct BackendResource: Sendable {
    let control: any AdminControl
    let service: String
    let name: String

    func get() async throws -> Response {
        let live = await control.statistics()
        guard let statistics = live.services.first(where: { $0.configuration.name == service }) else {
            throw ProblemDetails.unknownService(service)
        }
        guard let backend = statistics.backends.first(where: { $0.configuration.name == name }) else {
            throw ProblemDetails.unknownBackend(name, of: service)
        }
        return .json(
            StatisticsEncoder.bytes(of: backend),
            headers: live.versions.tag(of: .backend(service: service, name: name))?.headers ?? [:]
        )
    }

    /// Its configuration alone.
    func getConfiguration(_ request: AdminRequest) async throws -> Response {
        let live = await control.configuration()
        guard let configuration = live.services.first(where: { $0.name == service }) else {
            throw ProblemDetails.unknownService(service)
        }
        guard let backend = configuration.backends.first(where: { $0.name == name }),
            let tag = live.versions.tag(of: .backend(service: service, name: name))
        else {
            throw ProblemDetails.unknownBackend(name, of: service)
        }
        return try await request.read(tag) {
            .json(ConfigurationEncoder.bytes(of: backend), headers: tag.headers)
        }
    }

    /// Creates or replaces the backend within a service that exists.
    func put(_ request: AdminRequest) async throws -> Response {
        let (service, name) = (self.service, self.name)
        return try await request.change(control, max: request.limits.objectBytesMax) {
            bytes throws(ConfigurationDecodingError) in
            AdminRequest.DecodedChange(
                change: .putBackend(
                    service: service, try ConfigurationDecoder.backend(parsing: bytes, named: name)
                )
            )
        }
    }

    /// Merges the body into the backend.
    func patch(_ request: AdminRequest) async throws -> Response {
        let (service, name) = (self.service, self.name)
        return try await request.change(control, max: request.limits.objectBytesMax) {
            bytes throws(ConfigurationDecodingError) in
            AdminRequest.DecodedChange(
                change: .patchBackend(
                    service: service, name: name, try ConfigurationDecoder.document(parsing: bytes)
                )
            )
        }
    }

    func delete(_ request: AdminRequest) async throws -> Response {
        try await request.change(control, to: .deleteBackend(service: service, name: name))
    }
}

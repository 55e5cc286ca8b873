// Owns `/config`: the whole configuration, read and replaced at once.
// Leaves to others: parts of it (ServiceResource, BackendResource).

import Hummingbird
import ShuttleEngine

struct ConfigurationResource: Sendable {
    let control: any AdminControl

    /// In a form that can be saved and used as a configuration file unchanged.
    func get(_ request: AdminRequest) async throws -> Response {
        let live = await control.configuration()
        let tag = live.versions.tag(of: .whole)
        return try await request.read(tag) {
            await .configuration(live.services, headers: tag?.headers ?? [:])
        }
    }

    func put(_ request: AdminRequest) async throws -> Response {
        try await request.change(
            control, max: request.limits.configurationBytesMax, decode: ConfigurationResource.decode
        )
    }

    @Sendable private static func decode(
        _ bytes: [UInt8]
    ) throws(ConfigurationDecodingError) -> AdminRequest.DecodedChange {
        let document = try ConfigurationDecoder.document(parsing: bytes)
        return AdminRequest.DecodedChange(
            change: .replaceAll(try ConfigurationDecoder.services(from: document)),
            pointerPrefix: ConfigurationDecoder.servicesPointer(in: document)
        )
    }
}

extension Response {
    /// The whole configuration, as reading it and every change answer.
    static func configuration(_ services: [ServiceConfiguration], headers: HTTPFields) async -> Response {
        let count = services.reduce(services.count) { $0 + $1.backends.count }
        return .json(
            await HeavyWork.run(isLong: count >= HeavyWork.objectsMin) { ConfigurationEncoder.bytes(of: services) },
            headers: headers
        )
    }
}

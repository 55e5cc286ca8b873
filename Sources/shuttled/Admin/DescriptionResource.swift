// Owns `/openapi.json`. Leaves to others: what it says (shuttled/Description).

import Hummingbird

enum DescriptionResource {
    /// Made once, when it is first asked for: it depends on nothing.
    private static let document = APIDescription.bytes(
        version: Version.number, problemTypes: ProblemDetails.Kind.allCases.map(\.type),
        eventTypes: EventKind.allCases.map(\.rawValue)
    )

    static func get(_ request: AdminRequest) throws -> Response {
        _ = try QueryParameters(request.parameters, known: [])
        return .json(document)
    }
}

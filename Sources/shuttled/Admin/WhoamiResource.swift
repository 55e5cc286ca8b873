// Owns `/v1/whoami`: who a request comes from and what they may do, for clients that offer only what would be done.
// Leaves to others: letting in (AccessGuard).

import Hummingbird

enum WhoamiResource {
    static func get(_ request: AdminRequest) throws -> Response {
        _ = try QueryParameters(request.parameters, known: [])
        var writer = JSONWriter()
        writer.object { writer in
            writer.name("name")
            if let caller = request.caller {
                writer.value(caller.name)
            } else {
                writer.null()
            }
            // Without tokens everybody may do everything.
            writer.member("role", (request.caller?.role ?? .write).rawValue)
            writer.member("peer", request.peer)
        }
        return .json(writer.finish(trailingNewline: true))
    }
}

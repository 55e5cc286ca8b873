// Owns `/dashboard` and what is below it: the page and its parts, with what a browser may do with them.
// Leaves to others: the files (Dashboard), and what the page asks for (the other resources).

import Hummingbird

/// Serves the dashboard. It takes no token: nothing in it is secret, and a browser that opens an address has none to send.
enum DashboardResource {
    static let path = "/dashboard"

    /// The page runs and loads nothing but its own files, talks to nobody but this endpoint, stands in no frame, and can
    /// make no markup of texts (trusted types). So a name or a message that looks like markup stays a text.
    private static let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        + "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

    static func get(_ file: DashboardFile, _ request: AdminRequest) throws -> Response {
        _ = try QueryParameters(request.parameters, known: [])
        let tag = VersionTag(text: file.version)
        var response: Response
        let condition = try ChangeCondition(request.head.headerFields)
        switch condition.failure(tag) {
        case nil: response = .admin(.ok, contentType: file.contentType, body: file.bytes, headers: tag.headers)
        case .present(let tag)?: response = Response(status: .notModified, headers: tag.headers)
        case let failure?: throw ProblemDetails(failure)
        }
        // Kept, and asked for each time: after an upgrade no part is of another version than the rest.
        response.headers[.cacheControl] = "no-cache"
        response.headers[.contentSecurityPolicy] = policy
        response.headers[HTTPFields.Element.Name("X-Frame-Options")!] = "DENY"
        response.headers[HTTPFields.Element.Name("Referrer-Policy")!] = "no-referrer"
        response.headers[HTTPFields.Element.Name("Cross-Origin-Resource-Policy")!] = "same-origin"
        return response
    }

    /// Where a browser is sent that asks for `/`.
    static var redirect: Response {
        var response = Response(status: .found, headers: [.location: path, .vary: "Accept", .cacheControl: "no-store"])
        response.headers[.contentLength] = "0"
        return response
    }
}

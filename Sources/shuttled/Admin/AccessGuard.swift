// Owns letting requests in by their token, or by the user at the other end of a unix socket, and what each route takes.
// Leaves to others: which callers there are (AccessList), other sites and hosts (RequestGuard), whether a change is within
// the role `operate` (Control/OperateScope).

import Hummingbird
import ShuttleEngine

/// Says of a request who makes it, and whether they may.
struct AccessGuard: Sendable {
    /// Nil where whoever reaches the endpoint may do everything.
    let tokens: AccessTokens?

    private static let challenge = #"Bearer realm="shuttled""#

    /// Whether entries go by the groups of peers, which have to be asked for.
    var asksForGroups: Bool { tokens?.list.hasGroups ?? false }

    /// The entry that lets a request in; nil where there are no tokens. A token that was shown decides alone: one that is
    /// wrong is not made up for by the peer's user.
    func entry(for request: HTTPRequest, from peer: AdminPeer) throws(ProblemDetails) -> AccessList.Entry? {
        guard let list = tokens?.list else {
            return nil
        }
        let fields = request.headerFields[values: .authorization]
        guard fields.count <= 1 else {
            throw AccessGuard.unauthorized(
                "the request has more than one Authorization header field; send one", error: "invalid_request"
            )
        }
        guard let field = fields.first else {
            if let credentials = peer.credentials {
                if let entry = list.entry(ofUser: credentials.user, groups: peer.groups) {
                    return entry
                }
                throw AccessGuard.unauthorized(
                    "the request has no token, and no line of the token file lets in the user \(credentials.user) or one "
                        + "of its groups; send a token as Authorization: Bearer TOKEN, or add a line with "
                        + "uid:\(credentials.user) to the file that shuttled was started with (-token-file)"
                )
            }
            throw AccessGuard.unauthorized(
                "the request has no token; send one of the file that shuttled was started with (-token-file) as "
                    + "Authorization: Bearer TOKEN"
            )
        }
        guard let shown = AccessGuard.token(in: field) else {
            throw AccessGuard.unauthorized(
                "Authorization is not Bearer and a token; send Authorization: Bearer TOKEN", error: "invalid_request"
            )
        }
        guard let entry = list.entry(withToken: shown) else {
            throw AccessGuard.unauthorized(
                "the token is none that is known here; it may have been replaced. Send one that is in the file that "
                    + "shuttled was started with (-token-file)", error: "invalid_token"
            )
        }
        return entry
    }

    /// The bytes after the scheme, which may be written in any case.
    private static func token(in field: String) -> [UInt8]? {
        let words = field.split(separator: " ", omittingEmptySubsequences: true)
        guard words.count == 2, words[0].lowercased() == "bearer" else {
            return nil
        }
        return Array(words[1].utf8)
    }

    private static func unauthorized(_ detail: String, error: String? = nil) -> ProblemDetails {
        let header = challenge + (error.map { ", error=\"\($0)\"" } ?? "")
        return ProblemDetails(.unauthorized, "\(detail). Nothing was done", headers: [.wwwAuthenticate: header])
    }

    /// Refuses what the role cannot reach, whatever comes of it.
    func check(
        _ entry: AccessList.Entry?, _ route: AdminRoute, _ method: HTTPRequest.Method
    ) throws(ProblemDetails) {
        let needed = route.leastRole(for: method)
        guard let entry, entry.role < needed else {
            return
        }
        throw ProblemDetails(.insufficientRole, entry.caller, needed: needed, "this request takes \(needed.rawValue)")
    }

    /// Has an answer that takes long end when its caller is let in no more.
    func attend(_ presence: ClientPresence, of entry: AccessList.Entry?) {
        if let entry {
            tokens?.attend(presence, of: entry.proof)
        }
    }

    /// What a wait or a stream whose caller is let in no more is answered with.
    static var revoked: ProblemDetails {
        unauthorized("the token that the request came with has been removed meanwhile", error: "invalid_token")
    }
}

extension AdminRoute {
    /// The least role that a request may have. A change that is tried is asked for what the change is: it is refused in the
    /// same words, and may have names looked up.
    func leastRole(for method: HTTPRequest.Method) -> AccessRole {
        switch self {
        case _ where method == .get || method == .head: .read
        case .historyRestore, .logLevels: .write
        // More may be needed, which depends on what is changed and is judged with the change.
        default: .operate
        }
    }
}

extension ProblemDetails {
    /// A caller whose role does not reach.
    init(_ kind: Kind, _ caller: Caller, needed: AccessRole, _ reason: String) {
        self.init(
            kind,
            "\(Quoted(caller.name)) has the role \(caller.role.rawValue), and \(reason). Use a token with the role "
                + "\(needed.rawValue). Nothing was changed",
            headers: [
                .wwwAuthenticate: #"Bearer realm="shuttled", error="insufficient_scope", scope="\#(needed.rawValue)""#
            ]
        )
    }
}
